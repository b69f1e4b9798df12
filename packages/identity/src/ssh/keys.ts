/**
 * Public keys and signatures as SSH writes them (RFC 4253, 5656, 8332, 8709). Refuses RSA below 2,048 bits, DSA, and
 * signatures that rest on SHA-1.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { Reader, write } from './wire'

const CURVES: Record<string, { jwk: string; hash: string; bytes: number }> = {
  nistp256: { jwk: 'P-256', hash: 'sha256', bytes: 32 },
  nistp384: { jwk: 'P-384', hash: 'sha384', bytes: 48 },
  nistp521: { jwk: 'P-521', hash: 'sha512', bytes: 66 },
}
const RSA_BITS_MIN = 2048
const RSA_BYTES_MAX = 2048

const base64 = (bytes: Buffer) => bytes.toString('base64url')

/** mpint without the zero that keeps it positive. */
function positive(bytes: Buffer): Buffer {
  let at = 0
  while (at < bytes.length - 1 && bytes[at] === 0) at++
  return bytes.subarray(at)
}

/** `ssh-ed25519`, …; throws where the bytes are no key that is known. */
export function readPublicKey(blob: Buffer): { type: string; key: KeyObject } {
  const reader = new Reader(blob)
  const type = reader.text()
  const key = readKeyFields(type, reader)
  if (!reader.isAtEnd) throw new Error('a public key with something behind it')
  return { type, key }
}

/** The fields behind a key's type, as keys and certificates both have them. */
export function readKeyFields(type: string, reader: Reader): KeyObject {
  if (type === 'ssh-ed25519') {
    const x = reader.string()
    if (x.length !== 32) throw new Error('an Ed25519 key of the wrong length')
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: base64(x) }, format: 'jwk' })
  }
  if (type === 'ssh-rsa') {
    const e = positive(reader.string())
    const n = positive(reader.string())
    if (n.length > RSA_BYTES_MAX || e.length > 8) throw new Error('an RSA key that is too large')
    const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24
    if (bits < RSA_BITS_MIN) throw new Error(`an RSA key of ${bits} bits: at least ${RSA_BITS_MIN}`)
    return createPublicKey({ key: { kty: 'RSA', e: base64(e), n: base64(n) }, format: 'jwk' })
  }
  const curve = /^ecdsa-sha2-(nistp\d+)$/.exec(type)?.[1]
  const known = curve === undefined ? undefined : CURVES[curve]
  if (known === undefined)
    throw new Error(`keys of type ${JSON.stringify(type)} are not known here`)
  const named = reader.text()
  const point = reader.string()
  if (named !== curve || point.length !== 1 + 2 * known.bytes || point[0] !== 4)
    throw new Error('an ECDSA key that does not fit its type')
  return createPublicKey({
    key: {
      kty: 'EC',
      crv: known.jwk,
      x: base64(point.subarray(1, 1 + known.bytes)),
      y: base64(point.subarray(1 + known.bytes)),
    },
    format: 'jwk',
  })
}

/** Whether `signature` (format and value, as SSH has it) of `data` is this key's. */
export function verifySignature(blob: Buffer, data: Buffer, signature: Buffer): boolean {
  try {
    const { type, key } = readPublicKey(blob)
    const reader = new Reader(signature)
    const format = reader.text()
    const value = reader.string()
    if (!reader.isAtEnd) return false
    return verifyValue(type, key, format, data, value)
  } catch {
    return false
  }
}

function verifyValue(
  type: string,
  key: KeyObject,
  format: string,
  data: Buffer,
  value: Buffer,
): boolean {
  if (type === 'ssh-ed25519') return format === type && verify(null, data, key, value)
  if (type === 'ssh-rsa') {
    const hash = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }[format]
    return hash !== undefined && verify(hash, data, key, value)
  }
  if (format !== type) return false
  const { hash, bytes } = CURVES[type.slice('ecdsa-sha2-'.length)]!
  const reader = new Reader(value)
  const half = (part: Buffer): Buffer => {
    const number = positive(part)
    if (number.length > bytes) throw new Error('a number that is too large')
    return Buffer.concat([Buffer.alloc(bytes - number.length), number])
  }
  const both = Buffer.concat([half(reader.string()), half(reader.string())])
  return reader.isAtEnd && verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, both)
}

/** Ed25519 only: what is made here. */
export function signEd25519(key: KeyObject, data: Buffer): Buffer {
  return write('ssh-ed25519', sign(null, data, key))
}

export function ed25519Blob(key: KeyObject): Buffer {
  const { x } = key.export({ format: 'jwk' })
  return write('ssh-ed25519', Buffer.from(x!, 'base64url'))
}

/** Of a line as authorized_keys or a .pub file has it, without options: `ssh-ed25519 AAAA… comment`. Throws. */
export function publicKeyBlob(line: string): Buffer {
  const [type, text] = line.trim().split(/\s+/)
  const blob = Buffer.from(text ?? '', 'base64')
  if (readPublicKey(blob).type !== type) throw new Error('a public key that is not of its type')
  return blob
}

export function isPublicKeyLine(line: string): boolean {
  try {
    publicKeyBlob(line)
    return true
  } catch {
    return false
  }
}
