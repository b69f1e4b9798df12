/**
 * Reaches targets: TCP with a time limit, and TLS as the resource asks for. Knows no protocol beyond a callback that
 * asks the target for TLS. Never shows a credential.
 */

import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { CustodyError } from '@custody/kit'

export type TargetTls = 'disable' | 'prefer' | 'require' | 'verify-full'

export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return {
    host: address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(colon + 1)),
  }
}

export function connectTarget(address: string, connectMsMax: number): Promise<Socket> {
  const { host, port } = splitAddress(address)
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      allowHalfOpen: true,
    })
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${connectMsMax} ms`)),
      connectMsMax,
    )
    const failed = (cause: Error) => {
      clearTimeout(timer)
      reject(
        new CustodyError(
          'CUSTODY-TARGET-001',
          `the target ${address} can't be reached: ${cause.message}`,
          { cause },
        ),
      )
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      resolve(socket)
    })
  })
}

/** TLS over a connection on which the target has agreed to it. */
export function startTls(
  socket: Socket,
  address: string,
  mode: TargetTls,
  ca: string | undefined,
  connectMsMax: number,
  /** What is spoken inside, where the protocol has a name for it. */
  alpn: string[],
): Promise<TLSSocket> {
  const { host } = splitAddress(address)
  const verify = mode === 'verify-full'
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      host,
      servername: /^[\d.]+$|:/.test(host) ? undefined : host,
      ALPNProtocols: alpn,
      rejectUnauthorized: verify,
      ca: ca === undefined ? undefined : readFileSync(ca),
    })
    const timer = setTimeout(
      () => secure.destroy(new Error(`no TLS within ${connectMsMax} ms`)),
      connectMsMax,
    )
    const failed = (cause: Error) => {
      clearTimeout(timer)
      reject(
        new CustodyError(
          'CUSTODY-TARGET-002',
          `TLS with the target ${address} failed: ${cause.message}`,
          { cause },
        ),
      )
    }
    secure.once('error', failed)
    secure.once('secureConnect', () => {
      clearTimeout(timer)
      secure.off('error', failed)
      resolve(secure)
    })
  })
}
