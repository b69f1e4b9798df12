/**
 * Text for other systems: well-formed Unicode, cut where a limit says so and never within a character, and free of what would
 * end a line or a field. Knows no event.
 */
declare global {
  // Of ES2024, which Node.js has and the language level that everything is built for does not name.
  interface String {
    isWellFormed(): boolean
    toWellFormed(): string
  }
}

const encoder = new TextEncoder()
let scratch = new Uint8Array(64 * 1024)

/** At most `bytesMax` bytes of UTF-8, cut between characters; the text itself where it fits. */
export function cutBytes(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text
  if (text.length <= bytesMax && Buffer.byteLength(text) <= bytesMax) return text
  if (bytesMax <= 0) return ''
  if (scratch.length < bytesMax) scratch = new Uint8Array(bytesMax)
  // It stops before the first character that has no room.
  const { read } = encoder.encodeInto(text, scratch.subarray(0, bytesMax))
  return text.slice(0, read)
}

/** The same with a mark at the end where something was cut off. */
export function cutMarked(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text
  return `${cutBytes(text, Math.max(0, bytesMax - 3))}…`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON must escape
const UNSAFE_IN_JSON = /[\u0000-\u001f"\\\ud800-\udfff]/

/** A JSON string. Halves of surrogate pairs, which many readers refuse, become U+FFFD. */
export function jsonText(text: string): string {
  if (!UNSAFE_IN_JSON.test(text)) return `"${text}"`
  return JSON.stringify(text.isWellFormed() ? text : text.toWellFormed())
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
const EACH_CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** What a control character looks like (Unicode's block Control Pictures), so that it is seen and does nothing. */
export function pictureOf(control: string): string {
  const code = control.charCodeAt(0)
  if (code < 0x20) return String.fromCharCode(0x2400 + code)
  if (code === 0x7f) return '\u2421'
  // Next line, line separator, paragraph separator end a line for some readers.
  if (code === 0x85 || code >= 0x2028) return '\u2424'
  return '\ufffd'
}

/** Well-formed text of one line: control characters shown as their pictures. */
export function oneLine(text: string): string {
  if (!CONTROLS.test(text)) return text
  return text.toWellFormed().replace(EACH_CONTROL, pictureOf)
}

/** Seconds whose text is kept; neighbours in a stream have few. */
const SECONDS_KEPT = 64
const keptSeconds = new Float64Array(SECONDS_KEPT).fill(Number.NaN)
const keptTexts: string[] = new Array(SECONDS_KEPT).fill('')

/** ISO 8601 in UTC with six decimals. */
export function isoMicros(micros: number): string {
  const second = Math.floor(micros / 1e6)
  const slot = ((second % SECONDS_KEPT) + SECONDS_KEPT) % SECONDS_KEPT
  if (keptSeconds[slot] !== second) {
    const date = new Date(second * 1000)
    // What no calendar has is shown as the beginning of time rather than thrown.
    keptTexts[slot] = (Number.isNaN(date.getTime()) ? new Date(0) : date).toISOString().slice(0, -4)
    keptSeconds[slot] = second
  }
  const rest = Math.floor(micros - second * 1e6)
  return `${keptTexts[slot]!}${String(rest).padStart(6, '0')}Z`
}
