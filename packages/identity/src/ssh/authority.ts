/**
 * Custody's own SSH authority: certificates for people, which stand for a token and are revoked as one, and for gateways,
 * so that known_hosts needs one line for all. Refuses to make any where only its public half is.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Configuration, CustodyError, type Home, writeFileAtomic } from '@custody/kit'
import { newUuid, uuidText, type Who } from '@custody/schemas'
import type { Principal } from '../index'
import { type Certificate, makeCertificate, parseCertificate } from './certificate'
import { ed25519Blob, publicKeyBlob, readPublicKey, signEd25519 } from './keys'

/** What Custody's own certificates say of who holds them. OpenSSH passes over extensions that it does not know. */
const IDENTITY = 'identity@custody'
/** A clock that is behind by this much still finds a new certificate valid. */
const CLOCK_SKEW_MS = 60_000
/** Of gateways' certificates; they are made anew at each start. */
const HOST_DAYS = 397

export const CERTIFICATE_TTL_SECONDS_MAX = 24 * 3600
const PERMITS = ['agent-forwarding', 'port-forwarding', 'pty', 'user-rc', 'X11-forwarding']

export interface SshAuthority {
  /** As known_hosts and TrustedUserCAKeys have it: `ssh-ed25519 AAAA… `. */
  readonly publicKey: string
  readonly blob: Buffer
  readonly privateKey: KeyObject | null
}

type SshAuthoritySettings = Partial<Configuration['identity']['sshAuthority']>

/** The one that the settings name, or the home's own, made at first use. */
export function loadSshAuthority(home: Home, settings: SshAuthoritySettings = {}): SshAuthority {
  if (settings.file !== undefined) return readAuthority(settings.file)
  const path = join(home.keys, 'ssh-authority.pem')
  if (!existsSync(path)) writeFileAtomic(path, newKey(), 0o600)
  return readAuthority(path)
}

function newKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string
}

function readAuthority(file: string): SshAuthority {
  const refused = (why: string) =>
    new CustodyError('CUSTODY-SSH-004', `the key of the SSH authority ${file}: ${why}`)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw refused((cause as Error).message)
  }
  if (text.startsWith('ssh-ed25519 ')) {
    try {
      const blob = publicKeyBlob(text)
      return { blob, publicKey: lineOf(blob), privateKey: null }
    } catch {
      throw refused('not a public key')
    }
  }
  let privateKey: KeyObject | null = null
  let publicKey: KeyObject
  try {
    if (text.includes('PRIVATE KEY')) privateKey = createPrivateKey(text)
    publicKey = createPublicKey(privateKey ?? text)
  } catch {
    // What the parser quotes may be the key.
    throw refused('neither PEM of a key nor a line of an OpenSSH public key')
  }
  if (publicKey.asymmetricKeyType !== 'ed25519') throw refused('not an Ed25519 key')
  const blob = ed25519Blob(publicKey)
  return { blob, publicKey: lineOf(blob), privateKey }
}

function lineOf(blob: Buffer): string {
  return `ssh-ed25519 ${blob.toString('base64')}`
}

export interface UserCertificateRequest {
  /** As a .pub file has it. */
  publicKey: string
  who: Pick<Who, 'subject' | 'issuer' | 'email' | 'name' | 'groups' | 'kind' | 'authenticatedAt'>
  /** The tokens that it is made of: it ends with any of them. */
  madeOf?: string
  ttlSeconds: number
  /** Only from there. */
  sourceAddress?: string
}

export interface IssuedCertificate {
  /** As a -cert.pub file has it. */
  certificate: string
  /** Revoke it by this. */
  id: string
  serial: string
  expires: Date
}

export function issueUserCertificate(
  authority: SshAuthority,
  { publicKey, who, madeOf, ttlSeconds, sourceAddress }: UserCertificateRequest,
): IssuedCertificate {
  const key = ownerKey(publicKey)
  const id = uuidText(newUuid())
  const serial = serialOf(id)
  const now = Date.now()
  const expires = new Date(Math.floor(now / 1000 + ttlSeconds) * 1000)
  const facts = {
    id,
    issuer: who.issuer,
    subject: who.subject,
    email: who.email,
    name: who.name,
    groups: who.groups,
    kind: who.kind,
    authenticatedAt: who.authenticatedAt === null ? null : Number(who.authenticatedAt),
    ...(madeOf !== undefined && { madeOf }),
  }
  const blob = makeCertificate(
    {
      key,
      type: 'user',
      serial,
      keyId: who.subject,
      principals: [who.subject, ...(who.email && who.email !== who.subject ? [who.email] : [])],
      validAfterMs: now - CLOCK_SKEW_MS,
      validBeforeMs: expires.getTime(),
      criticalOptions: new Map(sourceAddress ? [['source-address', sourceAddress]] : []),
      extensions: new Map([
        ...PERMITS.map((one) => [`permit-${one}`, ''] as const),
        [IDENTITY, JSON.stringify(facts)] as const,
      ]),
    },
    authority.blob,
    randomBytes(32),
    signerOf(authority),
  )
  return {
    certificate: `${readPublicKey(key).type}-cert-v01@openssh.com ${blob.toString('base64')}`,
    id,
    serial: serial.toString(),
    expires,
  }
}

function ownerKey(line: string): Buffer {
  try {
    return publicKeyBlob(line)
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-SSH-005',
      `the public key can’t be certified: ${(cause as Error).message}`,
      { cause },
    )
  }
}

function signerOf({ privateKey }: SshAuthority): (data: Buffer) => Buffer {
  if (privateKey === null)
    throw new CustodyError('CUSTODY-SSH-004', 'here is only the public half of the SSH authority')
  return (data) => signEd25519(privateKey, data)
}

/** A serial has 64 bits and a token's identifier 128: enough of it to be told by. */
function serialOf(id: string): bigint {
  return createHash('sha256').update(id).digest().readBigUInt64BE(0)
}

/** Who holds one of our own certificates, which is verified already; null where it does not say. */
export function holderOf(certificate: Certificate): Principal | null {
  try {
    const data = certificate.extensions.get(IDENTITY)!
    const facts = JSON.parse(data.toString('utf8', 4)) as Record<string, unknown>
    const text = (name: string) =>
      typeof facts[name] === 'string' && facts[name] !== '' ? (facts[name] as string) : null
    const subject = text('subject')
    const id = text('id')
    const issuer = text('issuer')
    if (subject === null || issuer === null || id === null || serialOf(id) !== certificate.serial)
      return null
    if (certificate.keyId !== subject || !certificate.principals.includes(subject)) return null
    return {
      who: {
        subject,
        issuer,
        email: text('email'),
        name: text('name'),
        groups: Array.isArray(facts.groups)
          ? facts.groups.filter((one): one is string => typeof one === 'string')
          : [],
        kind: text('kind') ?? 'human',
        method: 'ssh-certificate',
        tokenId: id,
        authenticatedAt: typeof facts.authenticatedAt === 'number' ? facts.authenticatedAt : null,
        onBehalfOf: [],
      },
      expiresMs: Number(certificate.validBefore) * 1000,
      ...(text('madeOf') !== null && { madeOf: text('madeOf')! }),
    }
  } catch {
    return null
  }
}

/** A gateway's host key, made at first use, and the private half for signing. */
export function loadHostKey(home: Home, file?: string): { blob: Buffer; privateKey: KeyObject } {
  const path = file ?? join(home.keys, 'ssh-host-key.pem')
  if (file === undefined && !existsSync(path)) writeFileAtomic(path, newKey(), 0o600)
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(readFileSync(path, 'utf8'))
  } catch {
    throw new CustodyError(
      'CUSTODY-SSH-004',
      `the gateway’s SSH host key ${path} can’t be read as PEM`,
    )
  }
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw new CustodyError(
      'CUSTODY-SSH-004',
      `the gateway’s SSH host key ${path} is not an Ed25519 key`,
    )
  return { blob: ed25519Blob(createPublicKey(privateKey)), privateKey }
}

/** Null where only the public half of the authority is here. */
export function certifyHostKey(
  authority: SshAuthority,
  key: Buffer,
  gateway: string,
  names: readonly string[],
): Buffer | null {
  if (authority.privateKey === null) return null
  const now = Date.now()
  return makeCertificate(
    {
      key,
      type: 'host',
      serial: BigInt(now),
      keyId: `custody:${gateway}`,
      principals: names,
      validAfterMs: now - CLOCK_SKEW_MS,
      validBeforeMs: now + HOST_DAYS * 86_400_000,
    },
    authority.blob,
    randomBytes(32),
    signerOf(authority),
  )
}

/** A certificate for a host key from a file that somebody else had made: `ssh-ed25519-cert-v01@openssh.com AAAA…`. */
export function readHostCertificate(file: string, key: Buffer): Buffer {
  let blob: Buffer
  try {
    blob = Buffer.from(readFileSync(file, 'utf8').trim().split(/\s+/)[1] ?? '', 'base64')
    if (!parseCertificate(blob).key.equals(key)) throw new Error('it is for another key')
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-SSH-004',
      `the gateway’s SSH host certificate ${file}: ${(cause as Error).message}`,
    )
  }
  return blob
}
