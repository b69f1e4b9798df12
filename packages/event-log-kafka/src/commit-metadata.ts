/**
 * What a consumer notes beside a committed offset: up to where the slice goes that it is about to hand out, and how far
 * each recorder has been seen in this partition, so that whoever has it next drops the same duplicates. Pure text.
 *
 *   metadata = "custody1 " upTo { " " recorder ":" sequence ":" micros }     ; numbers in base 36, upTo "-" for none
 */
export interface CommitMetadata {
  upTo: bigint | null
  seen: SeenRecorder[]
}

/** How far a recorder was seen in a partition: the sequence of its last event, and the latest time up to there. */
export interface SeenRecorder {
  recorder: string
  sequence: number
  micros: number
}

const MARK = 'custody1'
/** Kafka takes 4,096 (offset.metadata.max.bytes). */
export const METADATA_BYTES_MAX = 4000

/** Recorders seen last come first; those that don't fit are left out. */
export function encodeMetadata({ upTo, seen }: CommitMetadata): string {
  let text = `${MARK} ${upTo === null ? '-' : upTo.toString(36)}`
  for (const { recorder, sequence, micros } of seen) {
    const entry = ` ${recorder}:${sequence.toString(36)}:${micros.toString(36)}`
    if (text.length + entry.length > METADATA_BYTES_MAX) break
    text += entry
  }
  return text
}

/** Null for what is none of ours. */
export function decodeMetadata(text: string | null): CommitMetadata | null {
  if (text === null) return null
  const [mark, upTo, ...entries] = text.split(' ')
  if (mark !== MARK || upTo === undefined) return null
  const seen: SeenRecorder[] = []
  for (const entry of entries) {
    const [recorder = '', sequence = '', micros = '', more] = entry.split(':')
    const numbers = [number36(sequence), number36(micros)]
    if (recorder === '' || more !== undefined || numbers.includes(null)) return null
    seen.push({ recorder, sequence: numbers[0]!, micros: numbers[1]! })
  }
  if (upTo === '-') return { upTo: null, seen }
  const n = number36(upTo)
  return n === null ? null : { upTo: BigInt(n), seen }
}

function number36(text: string): number | null {
  if (!/^[0-9a-z]{1,11}$/.test(text)) return null
  const n = Number.parseInt(text, 36)
  return Number.isSafeInteger(n) ? n : null
}
