/**
 * Clients of MySQL that never give up: each sends tagged statements through the proxy, every kind that goes another way through
 * it, notes which it saw complete, and connects again when the connection is gone. Beside them MariaDB's own client with
 * scripts.
 */
import { Readable } from 'node:stream'
import { type MysqlLogin, mysql } from '@custody/test-support'
import { type Connection, createConnection } from 'mysql2/promise'
import type { Load } from './load'
import { pause } from './proxy-process'

export interface MysqlLoadOptions extends MysqlLogin {
  password: string
  database: string
  clients: number
}

const CONNECT_MS_MAX = 10_000
const SCRIPT_STATEMENTS = 40

export interface MysqlLoad extends Load {
  /** Completions that all clients but the scripts have seen. */
  readonly completions: number
}

export function startMysqlLoad({ clients, ...login }: MysqlLoadOptions): MysqlLoad {
  const seen = new Set<string>()
  let completions = 0
  let stopping = false

  async function loop(name: string, compress: boolean): Promise<void> {
    let n = 0
    while (!stopping) {
      let client: Connection | null = null
      try {
        client = await createConnection({
          ...login,
          host: '127.0.0.1',
          compress,
          multipleStatements: true,
          connectTimeout: CONNECT_MS_MAX,
          infileStreamFactory: () => Readable.from([Buffer.from('from a file\n')]),
        })
        client.on('error', () => {})
        while (!stopping) {
          const tag = `ct-${name}-${n++}-x`
          await say(client, n, tag)
          seen.add(tag)
          completions++
        }
        await client.end()
      } catch {
        client?.destroy()
        await pause(10)
      }
    }
  }

  async function say(client: Connection, n: number, tag: string): Promise<void> {
    switch (n % 9) {
      case 0:
        await client.query(`select '${tag}'`)
        break
      case 1:
        await client.execute('select ? as tag', [tag])
        break
      case 2:
        await client.execute('insert into crash (tag) values (?)', [tag])
        break
      case 3:
        await client.query(`select 1; select '${tag}'; insert into crash values ('${tag}')`)
        break
      case 4:
        await client.query(`select repeat('r', 20000) from crash_rows /* ${tag} */`)
        break
      case 5:
        await client.query(`call crash_twice('${tag}')`)
        break
      case 6:
        await client.query(`load data local infile 'f' into table crash /* ${tag} */`)
        break
      case 7:
        await client.query(`prepare p from 'select ''${tag}'''; execute p; deallocate prepare p`)
        break
      default:
        await client.query(`update crash_count set n = n + 1 where false /* ${tag} */`)
    }
  }

  async function scripts(): Promise<void> {
    for (let run = 0; !stopping; run++) {
      const lines = Array.from(
        { length: SCRIPT_STATEMENTS },
        (_, i) => `select 'ct-s${run}-${i}-x';`,
      )
      const { stdout } = await mysql(login, ['-N', '--unbuffered'], { input: lines.join('\n') })
      for (const tag of stdout.split('\n')) if (tag.startsWith('ct-')) seen.add(tag)
      await pause(20)
    }
  }

  const running = [
    ...Array.from({ length: clients }, (_, i) => loop(`c${i}`, i % 3 === 2)),
    scripts(),
  ]
  return {
    seen,
    get completions() {
      return completions
    },
    async stop() {
      stopping = true
      await Promise.all(running)
    },
  }
}
