/**
 * Which host key a target must have: one that the settings name, one that an authority of the settings certified, or the
 * one that it had when it was first met, kept in the home. Refuses any other, loudly: it may be somebody in between.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCertificate, publicKeyBlob, verifyHostCertificate } from '@custody/identity'
import { CustodyError, type Home, type SshResource, writeFileAtomic } from '@custody/kit'
import { splitAddress } from '../../upstream'
import { WireReader } from './numbers'
import type { Transport } from './transport'

export interface HostKeys {
  /** Names that the key exchange offers, the wanted ones first. */
  readonly algorithms: readonly string[]
  /** Null where it is the right one. */
  verify(presented: Buffer, transport: Transport): CustodyError | null
}

const PLAIN = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]
/** What ssh2 knows how to check behind a certificate. */
const CERTIFIED: Record<string, string> = {
  'ssh-ed25519-cert-v01@openssh.com': 'ssh-ed25519',
  'ecdsa-sha2-nistp256-cert-v01@openssh.com': 'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384-cert-v01@openssh.com': 'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521-cert-v01@openssh.com': 'ecdsa-sha2-nistp521',
  'rsa-sha2-512-cert-v01@openssh.com': 'rsa-sha2-512',
  'rsa-sha2-256-cert-v01@openssh.com': 'rsa-sha2-256',
}

export interface KeptHostKey {
  address: string
  key: string
  since: string
}

/** `SHA256:…`, as OpenSSH prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** Host keys that were met, one file for each resource: several processes of one home may write. */
export class MetHosts {
  private readonly directory: string

  constructor(home: Home) {
    this.directory = join(home.keys, 'ssh-targets')
  }

  of(resource: string): KeptHostKey | null {
    const path = this.path(resource)
    if (!existsSync(path)) return null
    try {
      const { address, key, since } = JSON.parse(readFileSync(path, 'utf8'))
      typeOf(Buffer.from(key, 'base64'))
      return { address, key, since }
    } catch (cause) {
      // Whoever spoils it must not have the next key taken for the first.
      throw new CustodyError(
        'CUSTODY-SSH-003',
        `the host key that is kept of ${JSON.stringify(resource)} can’t be read: ${path}`,
        { cause },
      )
    }
  }

  keep(resource: string, kept: KeptHostKey): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    writeFileAtomic(this.path(resource), `${JSON.stringify(kept)}\n`, 0o600)
  }

  private path(resource: string): string {
    return join(this.directory, `${resource}.json`)
  }
}

export interface HostKeysOptions {
  name: string
  resource: SshResource
  met: MetHosts
  /** A host key was met for the first time, or is another than before. */
  noted(kind: 'met' | 'changed', fingerprint: string, before: string | null): void
}

export function hostKeysOf({ name, resource, met, noted }: HostKeysOptions): HostKeys {
  const pinned = resource.hostKeys?.map(publicKeyBlob) ?? []
  const authorities = resource.hostKeyCa?.map(publicKeyBlob) ?? []
  const isPinned = pinned.length + authorities.length > 0
  const kept = isPinned ? null : met.of(name)
  let known = kept && kept.address === resource.address ? Buffer.from(kept.key, 'base64') : null
  const { host } = splitAddress(resource.address)
  /** Asked again when keys are exchanged anew. */
  let accepted: Buffer | null = null
  const wanted = isPinned ? pinned : known ? [known] : []
  const types = wanted.flatMap((key) => namesOf(typeOf(key)))
  return {
    algorithms: [
      ...(authorities.length > 0 ? Object.keys(CERTIFIED) : []),
      ...PLAIN.filter((one) => types.includes(one)),
      // Of who is known by other keys the others are asked for as well: a change is to be seen as one.
      ...PLAIN.filter((one) => !types.includes(one)),
    ],
    verify: (presented, transport) => {
      if (accepted?.equals(presented) === false)
        return refused(presented, 'it is another than a moment ago')
      const type = typeOf(presented)
      if (type.includes('-cert-')) {
        const certificate = parseCertificate(presented)
        const problem = verifyHostCertificate(certificate, authorities, host, Date.now())
        if (problem !== null) return refused(presented, problem)
        accepted = Buffer.from(presented)
        behindCertificate(transport, presented, certificate.key)
        return null
      }
      if (accepted !== null || wanted.some((key) => key.equals(presented))) {
        accepted = Buffer.from(presented)
        return null
      }
      if (isPinned || known !== null)
        return refused(presented, isPinned ? 'it is none of those that the settings name' : null)
      // Another session may have met it while this one was on its way.
      const meanwhile = met.of(name)
      if (meanwhile?.address === resource.address) {
        known = Buffer.from(meanwhile.key, 'base64')
        if (!known.equals(presented)) return refused(presented, null)
        accepted = Buffer.from(presented)
        return null
      }
      met.keep(name, {
        address: resource.address,
        key: presented.toString('base64'),
        since: new Date().toISOString(),
      })
      noted('met', fingerprintOf(presented), null)
      accepted = Buffer.from(presented)
      return null
    },
  }

  function refused(presented: Buffer, why: string | null): CustodyError {
    const now = fingerprintOf(presented)
    const before = known ? fingerprintOf(known) : null
    noted('changed', now, before)
    return new CustodyError(
      'CUSTODY-SSH-003',
      `THE HOST KEY OF ${JSON.stringify(name)} IS NOT THE ONE EXPECTED: ${now}${before ? `, it was ${before}` : ''}${why ? ` (${why})` : ''}. Somebody may be in between; nothing was sent`,
    )
  }
}

function typeOf(key: Buffer): string {
  return new WireReader(key).text()
}

function namesOf(type: string): string[] {
  return type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]
}

/**
 * ssh2 can't check a signature against a certificate. The exchange hash is over the certificate, the signature is by the
 * key that is in it: ssh2 reads `_hostKey` for the one first and then for the other.
 */
function behindCertificate(transport: Transport, certificate: Buffer, key: Buffer): void {
  const kex = transport.protocol._kex
  kex.negotiated.serverHostKey = CERTIFIED[kex.negotiated.serverHostKey]!
  let reads = 0
  Object.defineProperty(kex, '_hostKey', {
    configurable: true,
    get: () => (reads++ === 0 ? certificate : key),
    set: () => {},
  })
}
