/**
 * The gateway's own host key, as clients see it: certified by Custody's authority for every resource's name, so that one
 * line of known_hosts is enough, and plain for clients that know no certificates. One key for all resources: SSH shows it
 * before the client has said which of them it wants.
 */
import { sign } from 'node:crypto'
import { hostname } from 'node:os'
import {
  certifyHostKey,
  loadHostKey,
  readHostCertificate,
  type SshAuthority,
} from '@custody/identity'
import type { Configuration, Home, Logger } from '@custody/kit'
import type { ServerHostKey, Transport } from './transport'

const PLAIN = 'ssh-ed25519'
const CERTIFIED = 'ssh-ed25519-cert-v01@openssh.com'

export interface GatewayHostKey {
  readonly blob: Buffer
  /** Null where there is no certificate. */
  readonly certificate: Buffer | null
  /** For one connection. `transport` is asked for when a signature is made. */
  offer(transport: () => Transport): Record<string, ServerHostKey>
}

export function gatewayHostKey(
  configuration: Configuration,
  home: Home,
  authority: SshAuthority,
  logger: Logger,
): GatewayHostKey {
  const { ssh, listen, resources, gateway } = configuration
  const { blob, privateKey } = loadHostKey(home, ssh.hostKey)
  const names = new Set([
    ...Object.entries(resources)
      .filter(([, { protocol }]) => protocol === 'ssh')
      .map(([name]) => name),
    ...ssh.hostNames,
    gateway,
    hostname(),
    'localhost',
    '127.0.0.1',
    '::1',
    ...(listen.publicHost ? [listen.publicHost] : []),
    ...(/^(0\.0\.0\.0|::)$/.test(listen.host) ? [] : [listen.host]),
  ])
  const certificate = ssh.hostCertificate
    ? readHostCertificate(ssh.hostCertificate, blob)
    : certifyHostKey(authority, blob, gateway, [...names])
  if (certificate === null)
    logger.warn(
      'the SSH host key has no certificate: the authority’s private half is elsewhere (ssh.hostCertificate)',
    )
  const signed = (data: Buffer) => sign(null, data, privateKey)
  return {
    blob,
    certificate,
    offer: (transport) => ({
      ...(certificate && {
        [CERTIFIED]: {
          type: PLAIN,
          getPublicSSH: () => certificate,
          sign: (data: Buffer) => {
            // ssh2 names a signature by what was negotiated; behind a certificate it is the key's own name.
            transport().protocol._kex.negotiated.serverHostKey = PLAIN
            return signed(data)
          },
        },
      }),
      [PLAIN]: { type: PLAIN, getPublicSSH: () => blob, sign: signed },
    }),
  }
}
