/**
 * SSH clients that never give up: each runs tagged commands, many channels on one connection, notes which it saw end, and
 * connects again when the connection is gone. Beside them OpenSSH's own client and scp, a connection for each command.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runSsh, type SshWay } from '@custody/test-support'
import { Client } from 'ssh2'

export interface SshLoadOptions {
  port: number
  token: string
  clients: number
  way: SshWay
  directory: string
}

export interface SshLoad {
  /** Tags of commands whose end a client saw. */
  readonly seen: Set<string>
  /** Files that arrived. */
  readonly files: number
  stop(): Promise<void>
}

/** A gateway that has just been killed answers nothing. */
const CONNECT_MS_MAX = 10_000

export function startSshLoad(o: SshLoadOptions): SshLoad {
  const seen = new Set<string>()
  let files = 0
  let stopping = false

  async function loop(name: string): Promise<void> {
    let n = 0
    while (!stopping) {
      try {
        const client = await signIn(o)
        try {
          while (!stopping) {
            // Some at once, on channels of one connection.
            const tags = Array.from({ length: 1 + (n % 3) }, () => `ct-${name}-${n++}-x`)
            await Promise.all(
              tags.map(async (tag, i) => {
                await say(client, n + i, tag)
                seen.add(tag)
              }),
            )
          }
        } finally {
          client.end()
        }
      } catch {
        await pause(20)
      }
    }
  }

  async function openSshLoop(): Promise<void> {
    let n = 0
    while (!stopping) {
      const tag = `ct-o-${n++}-x`
      const { code } = await runSsh(o.way, 'ssh', [o.way.host, `echo ${tag}`])
      if (code === 0) seen.add(tag)
      else await pause(20)
    }
  }

  /** The name of each file is its tag; an operation is complete when its client says so. */
  async function fileLoop(): Promise<void> {
    const place = join(o.directory, 'files')
    mkdirSync(place)
    writeFileSync(join(place, 'content'), Buffer.alloc(200_000, 'content '))
    let n = 0
    while (!stopping) {
      const tag = `ct-f-${n++}-x`
      const { code } = await runSsh(o.way, 'scp', [
        '-q',
        ...(n % 2 ? ['-O'] : []),
        join(place, 'content'),
        `${o.way.host}:${place}/${tag}`,
      ])
      if (code === 0) {
        seen.add(tag)
        files++
      } else await pause(20)
    }
  }

  const running = [
    ...Array.from({ length: o.clients }, (_, i) => loop(`c${i}`)),
    openSshLoop(),
    fileLoop(),
  ]
  return {
    seen,
    get files() {
      return files
    },
    async stop() {
      stopping = true
      await Promise.all(running)
    },
  }
}

function signIn(o: SshLoadOptions): Promise<Client> {
  return new Promise<Client>((resolve, reject) => {
    const client = new Client()
    client.once('ready', () => resolve(client))
    client.on('error', reject)
    client.once('close', () => reject(new Error('closed')))
    client.connect({
      host: '127.0.0.1',
      port: o.port,
      username: 'target',
      password: o.token,
      readyTimeout: CONNECT_MS_MAX,
    })
  })
}

/** One command, by turns of every kind that goes another way through the proxy. Rejects unless it was seen to end well. */
function say(client: Client, n: number, tag: string): Promise<void> {
  const commands = [
    `echo ${tag}`,
    `echo ${tag}; exit 0`,
    `cat; echo ${tag}`,
    `seq 1 5000; echo ${tag} >&2`,
    `true ${tag}`,
  ]
  return new Promise<void>((resolve, reject) => {
    client.once('close', () => reject(new Error('closed')))
    client.exec(commands[n % commands.length]!, (error, channel) => {
      if (error) {
        reject(error)
        return
      }
      let ended = false
      channel.on('data', () => {})
      channel.stderr.on('data', () => {})
      channel.on('exit', (code) => {
        ended = code === 0
      })
      channel.on('close', () => (ended ? resolve() : reject(new Error('it did not end'))))
      channel.end('input\n')
    })
  }).finally(() => client.removeAllListeners('close'))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
