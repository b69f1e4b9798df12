/**
 * Clients that never give up: each sends tagged statements through the proxy, notes which it saw complete, and connects
 * again when the connection is gone. Beside them pgbench, whose statements carry tags too.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { clientProgram } from '@custody/test-support'
import { Client } from 'pg'

export interface LoadOptions {
  port: number
  user: string
  password: string
  database: string
  clients: number
  directory: string
}

export interface Load {
  /** Tags of statements whose completion a client saw. */
  readonly seen: Set<string>
  stop(): Promise<void>
}

/** Every tag there is looks so, in the target's log as in the record. */
export const TAG = /ct-[0-9a-z]+-[0-9]+-x/g

export function startLoad(o: LoadOptions): Load {
  const seen = new Set<string>()
  let stopping = false
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

  async function loop(name: string): Promise<void> {
    let n = 0
    while (!stopping) {
      const client = new Client({
        ...o,
        host: '127.0.0.1',
        ssl: false,
        connectionTimeoutMillis: 3000,
      })
      client.on('error', () => {})
      try {
        await client.connect()
        while (!stopping) {
          const tag = `ct-${name}-${n++}-x`
          await say(client, n, tag)
          seen.add(tag)
        }
        await client.end()
      } catch {
        client.end().catch(() => {})
        await pause(10)
      }
    }
  }

  /** One command, by turns of every kind that goes another way through the proxy. */
  async function say(client: Client, n: number, tag: string): Promise<void> {
    switch (n % 6) {
      case 0:
        await client.query(`select '${tag}'`)
        break
      case 1:
        await client.query('select $1::text as tag', [tag])
        break
      case 2:
        await client.query({ name: 'named', text: 'select $1::text as tag, 2', values: [tag] })
        break
      case 3:
        await client.query('insert into crash (tag) values ($1)', [tag])
        break
      case 4:
        await client.query(`select repeat('r', 20000) from generate_series(1, 20) /* ${tag} */`)
        break
      default:
        await client.query(`update crash_count set n = n + 1 where false /* ${tag} */`)
    }
  }

  let run = 0
  async function pgbenchLoop(): Promise<void> {
    while (!stopping) {
      const script = join(o.directory, 'tagged.sql')
      writeFileSync(script, "\\set n random(1, 9000000000000000)\nselect 'ct-b:run-:n-x';\n")
      await new Promise<void>((resolve) => {
        const child = spawn(
          clientProgram('pgbench'),
          ['-n', '-f', script, '-c', '2', '-T', '1', '-D', `run=${run++}`, o.database],
          {
            env: {
              ...process.env,
              PGHOST: '127.0.0.1',
              PGPORT: String(o.port),
              PGUSER: o.user,
              PGPASSWORD: o.password,
              PGSSLMODE: 'disable',
            },
            stdio: 'ignore',
          },
        )
        child.once('error', () => resolve())
        child.once('exit', () => resolve())
      })
      await pause(20)
    }
  }

  const running = [...Array.from({ length: o.clients }, (_, i) => loop(`c${i}`)), pgbenchLoop()]
  return {
    seen,
    async stop() {
      stopping = true
      await Promise.all(running)
    },
  }
}
