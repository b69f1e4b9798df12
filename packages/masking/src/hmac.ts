/**
 * HMAC-SHA256 (RFC 2104) of short texts, many with one key: the key's pads are made once, and each digest is two one-shot
 * hashes, which Node does in a third of the time of a streaming one.
 */
import { hash } from 'node:crypto'

const BLOCK_BYTES = 64
const DIGEST_BYTES = 32

interface Pads {
  /** The inner pad, and room for a text behind it. */
  inner: Buffer
  outer: Buffer
}

const known = new WeakMap<Buffer, Pads>()

function padsOf(key: Buffer): Pads {
  let pads = known.get(key)
  if (pads === undefined) {
    const own = key.length > BLOCK_BYTES ? hash('sha256', key, 'buffer') : key
    pads = {
      inner: Buffer.alloc(BLOCK_BYTES + 256, 0x36),
      outer: Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES, 0x5c),
    }
    for (let i = 0; i < own.length; i++) {
      pads.inner[i]! ^= own[i]!
      pads.outer[i]! ^= own[i]!
    }
    known.set(key, pads)
  }
  return pads
}

/** `key`: one Buffer kept for all calls. */
export function hmacSha256(key: Buffer, text: string): Buffer {
  const pads = padsOf(key)
  const bytesMax = BLOCK_BYTES + text.length * 3
  if (pads.inner.length < bytesMax) {
    const larger = Buffer.alloc(bytesMax)
    pads.inner.copy(larger, 0, 0, BLOCK_BYTES)
    pads.inner = larger
  }
  const length = pads.inner.write(text, BLOCK_BYTES, 'utf8')
  hash('sha256', pads.inner.subarray(0, BLOCK_BYTES + length), 'buffer').copy(
    pads.outer,
    BLOCK_BYTES,
  )
  return hash('sha256', pads.outer, 'buffer')
}
