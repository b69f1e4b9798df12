/**
 * OpenSSH certificates (PROTOCOL.certkeys): read, checked, made. Pure.
 * Refuses what is not signed by an authority that it is told of, certificates of hosts where users are asked for and the
 * other way round, those that name nobody, those out of their time, and those with a critical option that is not understood.
 */
import { BlockList, isIP } from 'node:net'
import { readKeyFields, readPublicKey, verifySignature } from './keys'
import { Reader, write } from './wire'

export const CERTIFICATE_SUFFIX = '-cert-v01@openssh.com'
const BYTES_MAX = 64 * 1024
const FOREVER = 2n ** 64n - 1n

export interface Certificate {
  /** `ssh-ed25519`, … of the key that it is about. */
  keyType: string
  /** That key, as it would be without a certificate. */
  key: Buffer
  serial: bigint
  type: 'user' | 'host'
  keyId: string
  principals: string[]
  /** Seconds since 1970. */
  validAfter: bigint
  validBefore: bigint
  criticalOptions: Map<string, Buffer>
  extensions: Map<string, Buffer>
  authority: Buffer
  /** All of it that is signed, and the signature. */
  signed: Buffer
  signature: Buffer
}

/** Throws where the bytes are no certificate. Nothing in it is to be believed before it is verified. */
export function parseCertificate(blob: Buffer): Certificate {
  if (blob.length > BYTES_MAX) throw new Error('a certificate that is too large')
  const reader = new Reader(blob)
  const type = reader.text()
  if (!type.endsWith(CERTIFICATE_SUFFIX)) throw new Error('not a certificate')
  const keyType = type.slice(0, -CERTIFICATE_SUFFIX.length)
  reader.string()
  const from = reader.at
  readKeyFields(keyType, reader)
  const key = Buffer.concat([write(keyType), blob.subarray(from, reader.at)])
  const serial = reader.uint64()
  const kind = reader.uint32()
  if (kind !== 1 && kind !== 2) throw new Error('neither of a user nor of a host')
  const keyId = reader.text()
  const principals = listOf(reader.string())
  const validAfter = reader.uint64()
  const validBefore = reader.uint64()
  const criticalOptions = optionsOf(reader.string())
  const extensions = optionsOf(reader.string())
  reader.string()
  const authority = reader.string()
  const signed = blob.subarray(0, reader.at)
  const signature = reader.string()
  if (!reader.isAtEnd) throw new Error('something behind the signature')
  return {
    keyType,
    key,
    serial,
    type: kind === 1 ? 'user' : 'host',
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    extensions,
    authority,
    signed,
    signature,
  }
}

function listOf(bytes: Buffer): string[] {
  const reader = new Reader(bytes)
  const found: string[] = []
  while (!reader.isAtEnd) found.push(reader.text())
  return found
}

/** In the order of their names, each once (as OpenSSH wants extensions; it only warns of others). */
function optionsOf(bytes: Buffer): Map<string, Buffer> {
  const reader = new Reader(bytes)
  const found = new Map<string, Buffer>()
  while (!reader.isAtEnd) {
    const name = reader.text()
    if (found.has(name)) throw new Error(`the option ${JSON.stringify(name)} twice`)
    found.set(name, reader.string())
  }
  return found
}

/** Why it does not hold, or null: signature, authority and time. */
function problemOf(
  certificate: Certificate,
  authorities: readonly Buffer[],
  type: 'user' | 'host',
  nowMs: number,
): string | null {
  const { authority, signed, signature, validAfter, validBefore } = certificate
  if (certificate.type !== type) return `it is a certificate of a ${certificate.type}`
  if (!authorities.some((one) => one.equals(authority)))
    return 'no authority that is trusted here made it'
  if (authorityType(authority).endsWith(CERTIFICATE_SUFFIX))
    return 'its authority is itself a certificate'
  if (!verifySignature(authority, signed, signature)) return 'its signature is not its authority’s'
  const now = BigInt(Math.floor(nowMs / 1000))
  if (now < validAfter) return 'it is not valid yet'
  if (validBefore !== FOREVER && now >= validBefore) return 'it has expired'
  if (certificate.principals.length === 0) return 'it names nobody'
  return null
}

function authorityType(authority: Buffer): string {
  try {
    return new Reader(authority).text()
  } catch {
    return ''
  }
}

/** What a user's certificate lets its holder do. */
export interface UserCertificateTerms {
  /** Run this, whatever is asked for. */
  forceCommand: string | null
  permitPty: boolean
  permitPortForwarding: boolean
  permitAgentForwarding: boolean
  permitX11Forwarding: boolean
}

/** Why it is refused, or what it lets its holder do. `address`: where the holder is. */
export function verifyUserCertificate(
  certificate: Certificate,
  authorities: readonly Buffer[],
  address: string,
  nowMs: number,
): { problem: string } | { problem: null; terms: UserCertificateTerms } {
  const problem = problemOf(certificate, authorities, 'user', nowMs)
  if (problem !== null) return { problem }
  let forceCommand: string | null = null
  for (const [name, data] of certificate.criticalOptions) {
    if (name !== 'force-command' && name !== 'source-address')
      return { problem: `its critical option ${JSON.stringify(name)} is not known here` }
    const value = textOf(data)
    if (value === null) return { problem: `its option ${JSON.stringify(name)} can’t be read` }
    if (name === 'force-command') {
      forceCommand = value
      continue
    }
    const found = addressIn(value, address)
    if (found === null) return { problem: 'its source addresses can’t be read' }
    if (!found) return { problem: 'it is for other source addresses' }
  }
  const permits = (what: string) => certificate.extensions.has(`permit-${what}`)
  return {
    problem: null,
    terms: {
      forceCommand,
      permitPty: permits('pty'),
      permitPortForwarding: permits('port-forwarding'),
      permitAgentForwarding: permits('agent-forwarding'),
      permitX11Forwarding: permits('X11-forwarding'),
    },
  }
}

/** Why it is not this host's, or null. Names may have `*` and `?`, as OpenSSH has it. */
export function verifyHostCertificate(
  certificate: Certificate,
  authorities: readonly Buffer[],
  host: string,
  nowMs: number,
): string | null {
  const problem = problemOf(certificate, authorities, 'host', nowMs)
  if (problem !== null) return problem
  if (certificate.criticalOptions.size > 0) return 'it has critical options, which hosts’ have not'
  const named = certificate.principals.some((principal) => fits(principal, host))
  return named ? null : `it is for ${certificate.principals.join(', ')}`
}

function fits(principal: string, host: string): boolean {
  const pattern = principal
    .split(/([*?])/)
    .map((part) =>
      part === '*' ? '.*' : part === '?' ? '.' : part.replace(/[.+^${}()|[\]\\]/g, '\\$&'),
    )
  return new RegExp(`^${pattern.join('')}$`, 'i').test(host)
}

/** An option's value is a string within the string. */
function textOf(data: Buffer): string | null {
  try {
    const reader = new Reader(data)
    const value = reader.text()
    return reader.isAtEnd ? value : null
  } catch {
    return null
  }
}

/** Whether an address is in a list of addresses and networks; null where the list is not one. */
function addressIn(list: string, address: string): boolean | null {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  const blocks = new BlockList()
  for (const entry of list.split(',')) {
    const [network = '', bits] = entry.trim().split('/')
    const family = isIP(network)
    if (family === 0) return null
    const most = family === 4 ? 32 : 128
    const prefix = bits === undefined ? most : Number(bits)
    if (!/^\d{1,3}$/.test(bits ?? '0') || prefix > most) return null
    blocks.addSubnet(network, prefix, family === 4 ? 'ipv4' : 'ipv6')
  }
  const family = isIP(plain)
  return family !== 0 && blocks.check(plain, family === 4 ? 'ipv4' : 'ipv6')
}

export interface CertificateDraft {
  key: Buffer
  type: 'user' | 'host'
  serial: bigint
  keyId: string
  principals: readonly string[]
  validAfterMs: number
  validBeforeMs: number
  criticalOptions?: ReadonlyMap<string, string>
  /** Empty text: a flag. */
  extensions?: ReadonlyMap<string, string>
}

/** The certificate's bytes. `nonce`: 32 random bytes. */
export function makeCertificate(
  draft: CertificateDraft,
  authority: Buffer,
  nonce: Buffer,
  sign: (data: Buffer) => Buffer,
): Buffer {
  const { type } = readPublicKey(draft.key)
  const fields = draft.key.subarray(4 + Buffer.byteLength(type))
  const options = (map: ReadonlyMap<string, string> = new Map()) =>
    Buffer.concat(
      [...map]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, value]) => write(name, value === '' ? '' : write(value))),
    )
  const seconds = (ms: number) => BigInt(Math.floor(ms / 1000))
  const signed = Buffer.concat([
    write(`${type}${CERTIFICATE_SUFFIX}`, nonce),
    fields,
    write(
      draft.serial,
      draft.type === 'user' ? 1 : 2,
      draft.keyId,
      write(...draft.principals),
      seconds(draft.validAfterMs),
      seconds(draft.validBeforeMs),
      options(draft.criticalOptions),
      options(draft.extensions),
      '',
      authority,
    ),
  ])
  return Buffer.concat([signed, write(sign(signed))])
}
