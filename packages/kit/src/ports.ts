/**
 * Ports: finding a free one, how to reach one, and telling in plain words why one cannot be listened on.
 * Refuses to guess: what is free now may be taken a moment later, so listening is the only proof.
 */
import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { CustodyError } from './errors'

/** Below where systems take the ports of outgoing connections and of those who ask for any: 32768 (Linux), 49152 (others). */
const PORT_MIN = 20_000
const PORT_MAX = 32_000
const TRIES_MAX = 100

/**
 * A port that was free a moment ago, and that nobody is given by chance. Prefer listening on 0 wherever the server can say what
 * it got.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 1; ; tries++) {
    const server = createServer()
    try {
      const port = tries < TRIES_MAX ? randomInt(PORT_MIN, PORT_MAX) : 0
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ port, host, exclusive: true }, resolve)
      })
      return (server.address() as { port: number }).port
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (tries >= TRIES_MAX || (code !== 'EADDRINUSE' && code !== 'EACCES')) throw error
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

/** Where this machine reaches an address that is listened on: one that stands for all of its own is none to go to. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

export function urlOf(host: string, port: number): string {
  return `http://${reachable(host)}:${port}`
}

/** Listens, and answers with the port; a failure names the setting that changes it. */
export function listen(
  server: Server,
  o: { host: string; port: number; setting: string; variable?: string; backlog?: number },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, o))
    server.once('error', failed)
    server.listen({ port: o.port, host: o.host, backlog: o.backlog ?? 511 }, () => {
      server.removeListener('error', failed)
      resolve((server.address() as { port: number }).port)
    })
  })
}

/** The error of a failed listen in our words. */
export function listenError(
  error: NodeJS.ErrnoException,
  o: { host: string; port: number; setting: string; variable?: string },
): CustodyError {
  const change = o.variable ? `${o.setting} or ${o.variable}` : o.setting
  const details = { host: o.host, port: o.port, setting: o.setting }
  if (error.code === 'EADDRINUSE') {
    return new CustodyError(
      'CUSTODY-LISTEN-001',
      `port ${o.port} on ${o.host} is taken by another program; change it with ${change}`,
      { cause: error, details },
    )
  }
  return new CustodyError(
    'CUSTODY-LISTEN-002',
    `cannot listen on ${o.host} port ${o.port} (${change}): ${error.message}`,
    { cause: error, details },
  )
}
