/**
 * Ports: finding a free one, how to reach one, and telling in plain words why one cannot be listened on.
 * Refuses to guess: what is free now may be taken a moment later, so listening is the only proof.
 */
import { createServer, type Server } from 'node:net'
import { CustodyError } from './errors'

/** A port that was free a moment ago. Prefer listening on 0 wherever the server can say what it got. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host, exclusive: true }, resolve)
  })
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
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
