/**
 * Searches bytes for all spellings of all values in one pass, however they were cut into pieces. Letters are compared in any
 * case. Knows no protocol; refuses to read anything by itself.
 */
import type { Canary } from './values'

export interface Hit {
  canary: Canary
  /** How it was written there. */
  spelling: string
  /** Where the first one begins, in bytes from the start of the place. */
  at: number
}

export interface SearchOptions {
  /** Also parts of values: for places that are small enough. */
  parts?: boolean
}

interface Needle {
  canary: Canary
  spelling: string
  bytes: Buffer
  isPart: boolean
  /** The next one that begins with the same four bytes, or a collision. */
  next: Needle | undefined
}

/** Not looked up for every byte. */
const { imul } = Math
const TABLE_BITS = 18
const KEY_BYTES = 4

/** Bytes with small letters only. */
const FOLDED = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
)

export class Searcher {
  private readonly table: (Needle | undefined)[] = Array.from({ length: 1 << TABLE_BITS })
  /** The same, to be asked first: in the processor's cache. */
  private readonly filter = new Uint8Array(1 << TABLE_BITS)
  private longest = 0
  readonly needles: number

  constructor(canaries: readonly Canary[]) {
    let needles = 0
    const seen = new Set<string>()
    for (const canary of canaries)
      for (const { name, bytes, isPart = false } of canary.spellings) {
        const folded = Buffer.from(bytes.map((byte) => FOLDED[byte]!))
        const key = `${canary.name}\0${folded.toString('latin1')}`
        if (seen.has(key)) continue
        seen.add(key)
        needles++
        this.longest = Math.max(this.longest, folded.length)
        const slot = slotOf(folded.readUInt32BE(0))
        this.filter[slot] = 1
        this.table[slot] = {
          canary,
          spelling: name,
          bytes: folded,
          isPart,
          next: this.table[slot],
        }
      }
    this.needles = needles
  }

  /** All in one piece. */
  find(bytes: Buffer, o: SearchOptions = {}): Hit[] {
    const search = this.begin(o)
    search.take(bytes)
    return search.hits()
  }

  /** Piece by piece. */
  begin(o: SearchOptions = {}): Search {
    const found = new Map<string, Hit>()
    let kept: Buffer = Buffer.alloc(0)
    let passed = 0
    return {
      take: (chunk) => {
        const bytes = kept.length > 0 ? Buffer.concat([kept, chunk]) : chunk
        this.pass(bytes, passed, o.parts === true, found)
        kept = Buffer.from(bytes.subarray(Math.max(0, bytes.length - this.longest + 1)))
        passed += bytes.length - kept.length
      },
      hits: () => [...found.values()],
    }
  }

  private pass(bytes: Buffer, offset: number, parts: boolean, found: Map<string, Hit>): void {
    const { filter } = this
    let key = 0
    for (let i = 0; i < bytes.length; i++) {
      key = (key << 8) | FOLDED[bytes[i]!]!
      const slot = slotOf(key)
      if (filter[slot] === 0 || i < KEY_BYTES - 1) continue
      const start = i - KEY_BYTES + 1
      for (let needle = this.table[slot]; needle; needle = needle.next) {
        if ((needle.isPart && !parts) || !matches(bytes, start, needle.bytes)) continue
        const name = `${needle.canary.name}\0${needle.spelling}`
        if (!found.has(name))
          found.set(name, {
            canary: needle.canary,
            spelling: needle.spelling,
            at: offset + start,
          })
      }
    }
  }
}

export interface Search {
  take(chunk: Buffer): void
  hits(): Hit[]
}

function slotOf(key: number): number {
  return imul(key, 0x9e3779b1) >>> (32 - TABLE_BITS)
}

function matches(bytes: Buffer, start: number, needle: Buffer): boolean {
  if (start + needle.length > bytes.length) return false
  for (let i = 0; i < needle.length; i++) if (FOLDED[bytes[start + i]!] !== needle[i]) return false
  return true
}
