/**
 * How MySQL's and MariaDB's account plug-ins prove a password without showing it. Pure: a password and a nonce in, an answer
 * out. Refuses to encrypt a password that its key is too small for.
 */
import { constants, createHash, publicEncrypt } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519'

const EMPTY = Buffer.alloc(0)

/** Of a switch to a plug-in, its nonce: 20 bytes and a NUL, but of client_ed25519 32 that end in nothing, of which any may be 0. */
export function switchedNonce(plugin: string, data: Buffer): Buffer {
  return Buffer.from(data.subarray(0, plugin === 'client_ed25519' ? 32 : 20))
}

function digest(algorithm: string, ...parts: readonly Uint8Array[]): Buffer {
  const made = createHash(algorithm)
  for (const part of parts) made.update(part)
  return made.digest()
}

function xor(one: Buffer, other: Buffer): Buffer {
  return Buffer.from(one.map((byte, i) => byte ^ other[i % other.length]!))
}

/** mysql_native_password: SHA1(p) XOR SHA1(nonce SHA1(SHA1(p))) */
export function nativePassword(password: string, nonce: Buffer): Buffer {
  if (password === '') return EMPTY
  const once = digest('sha1', Buffer.from(password))
  return xor(once, digest('sha1', nonce, digest('sha1', once)))
}

/** caching_sha2_password, the fast way: SHA256(p) XOR SHA256(SHA256(SHA256(p)) nonce) */
export function cachingSha2(password: string, nonce: Buffer): Buffer {
  if (password === '') return EMPTY
  const once = digest('sha256', Buffer.from(password))
  return xor(once, digest('sha256', digest('sha256', once), nonce))
}

/** caching_sha2_password and sha256_password without TLS: the password, XOR the nonce, for the target's key (OAEP). */
export function encryptedPassword(password: string, nonce: Buffer, publicKey: string): Buffer {
  return publicEncrypt(
    { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING },
    xor(Buffer.from(`${password}\0`), nonce),
  )
}

/** MariaDB's client_ed25519: the nonce signed by Ed25519, whose secret is the password itself, of whatever length. */
export function ed25519Password(password: string, nonce: Buffer): Buffer {
  if (password === '') return EMPTY
  const { n } = ed25519.CURVE
  const secret = digest('sha512', Buffer.from(password))
  const low = Buffer.from(secret.subarray(0, 32))
  low[0]! &= 248
  low[31]! = (low[31]! & 63) | 64
  const scalar = numberOf(low) % n
  const publicKey = ed25519.ExtendedPoint.BASE.multiply(scalar).toRawBytes()
  const r = numberOf(digest('sha512', secret.subarray(32), nonce)) % n
  const point = ed25519.ExtendedPoint.BASE.multiply(r).toRawBytes()
  const h = numberOf(digest('sha512', point, publicKey, nonce)) % n
  return Buffer.concat([point, bytesOf((r + h * scalar) % n)])
}

function numberOf(littleEndian: Buffer): bigint {
  return BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`)
}

function bytesOf(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
}
