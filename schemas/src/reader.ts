/**
 * Reads events one after another, for whoever follows a log: the generated straight-line decoder over Avro's primitives (Avro
 * 1.11, "Binary Encoding"), with what does not change kept. Who and path are the same bytes in all events of a session, so they are
 * decoded once and compared from then on; short texts come from a few words.
 * What it gives is what `decodeMessage` gives, which tests hold it to; records of one session are shared, so nobody may change
 * them. Bounded. Refuses whatever would reach behind the bytes given, with a RangeError.
 */
import { decodeMessage, HEADER_BYTES, isMessage, schemaFingerprint } from './codec'
import { readEvent } from './generated/decoder'
import type { Event, Path, Who } from './generated/event'

const LONG_BYTES_MAX = 10
const ZIGZAG_MAX = 2 * Number.MAX_SAFE_INTEGER
const WORD_BYTES_MAX = 32
/** A power of two. */
const WORDS = 2048
const SESSIONS_KEPT_MAX = 1024
const NO_BYTES = Buffer.alloc(0)

interface Word {
  bytes: Uint8Array
  text: string
}

export class Reader {
  bytes: Buffer = NO_BYTES
  at = 0
  private readonly words: (Word | undefined)[] = new Array(WORDS).fill(undefined)

  begin(bytes: Buffer, at: number): void {
    this.bytes = bytes
    this.at = at
  }

  long(): number {
    const { bytes } = this
    const first = bytes[this.at]
    if (first !== undefined && first < 128) {
      this.at++
      return (first >>> 1) ^ -(first & 1)
    }
    let n = 0
    let factor = 1
    for (let i = 0; i < LONG_BYTES_MAX; i++) {
      const byte = bytes[this.at++]
      if (byte === undefined) break
      n += (byte & 127) * factor
      if (byte < 128) {
        if (n > ZIGZAG_MAX) throw new RangeError(`a long that loses precision before ${this.at}`)
        return n % 2 === 0 ? n / 2 : -(n + 1) / 2
      }
      factor *= 128
    }
    throw new RangeError(`no number before ${this.at}`)
  }

  /** Takes so many bytes; answers where they begin. */
  private take(length: number): number {
    const from = this.at
    if (length < 0 || from + length > this.bytes.length)
      throw new RangeError(`${length} bytes at ${from} of ${this.bytes.length}`)
    this.at = from + length
    return from
  }

  text(): string {
    const length = this.long()
    const from = this.take(length)
    const { bytes } = this
    if (length === 0) return ''
    if (length > WORD_BYTES_MAX) return bytes.toString('utf8', from, this.at)
    let hash = length
    for (let i = from; i < from + length; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (WORDS - 1)
    const word = this.words[slot]
    if (word !== undefined && word.bytes.length === length) {
      let i = 0
      while (i < length && word.bytes[i] === bytes[from + i]) i++
      if (i === length) return word.text
    }
    const text = bytes.toString('utf8', from, this.at)
    this.words[slot] = { bytes: Uint8Array.prototype.slice.call(bytes, from, this.at), text }
    return text
  }

  data(): Buffer {
    const length = this.long()
    const from = this.take(length)
    return this.bytes.subarray(from, this.at)
  }

  fixed(size: number): Buffer {
    const from = this.take(size)
    return this.bytes.subarray(from, this.at)
  }

  boolean(): boolean {
    const value = this.bytes[this.at++]
    if (value === undefined || value > 1) throw new RangeError(`no boolean before ${this.at}`)
    return value === 1
  }

  /** The branch of a union of null and something. */
  some(): boolean {
    const branch = this.long()
    if (branch !== 0 && branch !== 1)
      throw new RangeError(`no branch ${branch} of a union before ${this.at}`)
    return branch === 1
  }

  private items(): number {
    let items = this.long()
    if (items < 0) {
      items = -items
      this.long()
    }
    // Each takes a byte at least.
    if (items > this.bytes.length - this.at)
      throw new RangeError(`a block of ${items} items before ${this.at}`)
    return items
  }

  list<T>(item: (r: Reader) => T): T[] {
    const out: T[] = []
    for (let n = this.items(); n > 0; n = this.items()) for (; n > 0; n--) out.push(item(this))
    return out
  }

  map<T>(value: (r: Reader) => T): Record<string, T> {
    const out: Record<string, T> = {}
    for (let n = this.items(); n > 0; n = this.items())
      for (; n > 0; n--) {
        const name = this.text()
        out[name] = value(this)
      }
    return out
  }
}

interface Kept {
  session: Buffer
  /** Of who and path as they were written. */
  bytes: Buffer
  who: Who | null
  path: Path | null
}

export class KeptSessions {
  private readonly kept = new Map<string, Kept>()
  private key: string | null = null
  private known: Kept | undefined
  private read: Path | null = null

  session(r: Reader): Buffer | null {
    this.key = null
    this.known = undefined
    if (!r.some()) return null
    const session = r.fixed(16)
    this.key = session.toString('latin1')
    this.known = this.kept.get(this.key)
    return this.known?.session ?? session
  }

  /** Reads who and the path behind it. */
  who(r: Reader, readWho: (r: Reader) => Who, readPath: (r: Reader) => Path): Who | null {
    const { known, key } = this
    const from = r.at
    if (known !== undefined) {
      const end = from + known.bytes.length
      if (end <= r.bytes.length && known.bytes.compare(r.bytes, from, end) === 0) {
        r.at = end
        this.read = known.path
        return known.who
      }
    }
    const who = r.some() ? readWho(r) : null
    const path = r.some() ? readPath(r) : null
    this.read = path
    if (key !== null) {
      if (known === undefined && this.kept.size >= SESSIONS_KEPT_MAX)
        this.kept.delete(this.kept.keys().next().value!)
      const session = known?.session ?? Buffer.from(key, 'latin1')
      this.kept.set(key, { session, bytes: Buffer.from(r.bytes.subarray(from, r.at)), who, path })
    }
    return who
  }

  path(): Path | null {
    return this.read
  }
}

/** As `decodeMessage`, faster for messages of neighbours in a log. */
export function createEventReader(): (message: Buffer) => Event {
  const reader = new Reader()
  const kept = new KeptSessions()
  return (message) => {
    if (!isMessage(message)) throw new RangeError('not an Avro single-object message')
    for (let i = 0; i < schemaFingerprint.length; i++)
      if (message[2 + i] !== schemaFingerprint[i]) return decodeMessage(message)
    reader.begin(message, HEADER_BYTES)
    const event = readEvent(reader, kept)
    if (reader.at !== message.length)
      throw new RangeError(`an event of ${reader.at} bytes in a message of ${message.length}`)
    return event
  }
}
