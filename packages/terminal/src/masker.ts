/**
 * Masks a stream of bytes that a terminal or a person reads: what detectors find is replaced by as many columns, so that
 * what is drawn on a screen stays where it is. Looks through escape sequences, and over the ends of chunks: what could be
 * the beginning of something sensitive is held back until it is decided, for a bounded time and number of bytes.
 * Refuses to hold up echo: what was just typed is shown at once, since who typed it knows it.
 */
import { type Plain, plainOf } from './plain'
import type { StreamMasker, StreamMaskerLimits, StreamMasking } from './types'

export const STREAM_MASKER_LIMITS: StreamMaskerLimits = {
  holdBytesMax: 16 * 1024,
  holdMicrosMax: 40_000,
  contextBytesMax: 256,
}

const LINE_FEED = 0x0a
/** Typed and not seen again yet. */
const TYPED_BYTES_MAX = 4096
const KEY_BEGIN = '-----BEGIN '
const STAR = 0x2a

class Masker implements StreamMasker {
  private held: Buffer = Buffer.alloc(0)
  /** The plain end of what was released. */
  private context: Buffer = Buffer.alloc(0)
  private typedBytes: Buffer = Buffer.alloc(0)
  private since = 0
  /** Within a private key of several lines that was too long to be held: nothing is shown until it ends. */
  private isInKey = false

  constructor(
    private readonly masking: StreamMasking,
    private readonly counts: { add(detector: string): void },
    private readonly limits: StreamMaskerLimits,
  ) {}

  get heldBytes(): number {
    return this.held.length
  }

  get dueMicros(): number | null {
    return this.held.length === 0 ? null : this.since + this.limits.holdMicrosMax
  }

  typed(bytes: Buffer): void {
    this.typedBytes = Buffer.concat([this.typedBytes, bytes]).subarray(-TYPED_BYTES_MAX)
  }

  push(bytes: Buffer, atMicros: number): Buffer {
    const all = this.held.length === 0 ? bytes : Buffer.concat([this.held, bytes])
    if (this.held.length === 0) this.since = atMicros
    const plain = plainOf(all)
    const isEcho = this.isEcho(plain.text)
    let release = isEcho ? all.length : plain.at(safeEnd(plain.text))
    // A sequence that is cut belongs to what comes.
    release = Math.min(release, plain.whole)
    if (all.length - release > this.limits.holdBytesMax) {
      release = plain.whole
      if (plain.text.lastIndexOf(KEY_BEGIN) > plain.text.lastIndexOf('-----END '))
        this.isInKey = true
    }
    const out = this.masked(
      all.subarray(0, release),
      release === all.length ? plain : plainOf(all.subarray(0, release)),
    )
    const rest = all.subarray(release)
    if (rest.length > 0 && rest.length < this.held.length + bytes.length) this.since = atMicros
    this.held = Buffer.from(rest)
    return out
  }

  flush(_atMicros: number): Buffer {
    const all = this.held
    this.held = Buffer.alloc(0)
    if (all.length === 0) return all
    return this.masked(all, plainOf(all))
  }

  end(): Buffer {
    return this.flush(0)
  }

  /** Whether it is what was typed, coming back. */
  private isEcho(text: string): boolean {
    const shown = text.replace(/[\p{Cc}]+/gu, '')
    if (shown === '' || this.typedBytes.length === 0) return false
    const typed = this.typedBytes.toString('latin1')
    const at = typed.indexOf(shown)
    if (at < 0) return false
    this.typedBytes = this.typedBytes.subarray(at + shown.length)
    return true
  }

  private masked(bytes: Buffer, plain: Plain): Buffer {
    if (bytes.length === 0) return bytes
    if (this.isInKey) {
      const end = plain.text.indexOf('-----END ')
      const until = end < 0 ? plain.text.length : end
      this.isInKey = end < 0
      const starred = Buffer.from(bytes)
      for (let i = 0; i < until; i++) if (bytes[plain.at(i)]! > 0x20) starred[plain.at(i)] = STAR
      return starred
    }
    const own = plain.bytes
    const before = this.context.length
    const seen = before === 0 ? own : Buffer.concat([this.context, own])
    const feed = own.lastIndexOf(LINE_FEED)
    const line = feed >= 0 ? own.subarray(feed + 1) : seen
    this.context = Buffer.from(line.subarray(-this.limits.contextBytesMax))
    const finds = this.masking.findText(seen)
    if (finds === null) return bytes
    const out = Buffer.from(bytes)
    const gone = new Set<number>()
    for (const { start, end, text, detector, isShown } of finds) {
      if (end <= before) continue
      this.counts.add(detector)
      if (isShown) continue
      replace(
        out,
        gone,
        plain,
        Math.max(0, start - before),
        end - before,
        start < before ? '' : text,
      )
    }
    return gone.size === 0 ? out : (out.filter((_, at) => !gone.has(at)) as Buffer)
  }
}

/** Column for column; what takes more room is cut, what takes less is filled up. */
function replace(
  out: Buffer,
  gone: Set<number>,
  plain: Plain,
  start: number,
  end: number,
  text: string,
): void {
  let at = 0
  for (let i = start; i < end; i++) {
    const offset = plain.at(i)
    const byte = out[offset]!
    if (byte < 0x20) continue
    // Of a character of several bytes, the first stands for it.
    if ((byte & 0xc0) === 0x80) gone.add(offset)
    else {
      const code = at < text.length ? text.charCodeAt(at++) : STAR
      out[offset] = code >= 0x20 && code < 0x7f ? code : STAR
    }
  }
}

/** Up to where no find can reach into what is still to come. */
function safeEnd(text: string): number {
  const begin = text.lastIndexOf(KEY_BEGIN)
  if (begin >= 0 && text.indexOf('-----END ', begin) < 0) return begin
  const line = text.lastIndexOf('\n') + 1
  const rest = text.slice(line)
  // Half of the words that begin a key.
  const dashes = /-{1,5}(?:B(?:E(?:G(?:I(?:N)?)?)?)?)?$/.exec(rest)
  // The word at the end, and numbers in groups before it; a prompt ends in a blank, and is let through.
  const word = /(?:\+?[(\d][\d() .+-]{3,}|[A-Z]{2}\d{2}(?: [A-Z0-9]{1,4})+ ?|[^\s]+)$/.exec(rest)
  // `password = …`: what comes next decides.
  const named = /(?:passw|secret|token|key|pwd|credential)[^\s]*\s*[:=]\s*["']?[^\s]*$/i.exec(rest)
  const at = Math.min(
    dashes?.index ?? rest.length,
    word?.index ?? rest.length,
    named?.index ?? rest.length,
  )
  return line + at
}

export function createStreamMasker(
  masking: StreamMasking,
  counts: { add(detector: string): void },
  limits: Partial<StreamMaskerLimits> = {},
): StreamMasker {
  return new Masker(masking, counts, { ...STREAM_MASKER_LIMITS, ...limits })
}
