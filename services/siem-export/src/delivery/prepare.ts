/**
 * From messages to what a destination takes: decoded, routed, formatted. What can't be becomes a letter with its reason, and
 * keeps nothing else from being delivered. Pure but for the schemas it learns. Refuses to guess at a message it can't read.
 */
import {
  createEventReader,
  type Event,
  findReading,
  fingerprintIn,
  isMessage,
  registerSchema,
  sha256,
  uuidText,
} from '@custody/schemas'
import type { Outgoing } from './destination'
import { WrittenRecord } from './record'
import type { LeftOut, Route } from './routing'

export type Step =
  | { place: number; take: Outgoing; message: Buffer; isReceipt: boolean }
  | { place: number; letter: { id: string; message: Buffer; code: string; reason: string } }
  | { place: number; leftOut: LeftOut; isReceipt: boolean }

/** Neighbours of one thread are read one after another. */
export const readEvent = createEventReader()

export const RECEIPT_KIND = 'siem.acknowledged'

/** Turns one event into the text of its record; null leaves it out. */
export interface Writer {
  text(event: Event, message: Buffer): string | null
}

export function stepOf(message: Buffer, place: number, route: Route, writer: Writer): Step {
  let event: Event
  try {
    const skipped = route.skips(message)
    if (skipped) return { place, leftOut: skipped, isReceipt: false }
    event = readEvent(message)
  } catch (error) {
    return letter(message, place, 'CUSTODY-SIEM-003', `not readable: ${(error as Error).message}`)
  }
  const isReceipt = event.kind === RECEIPT_KIND
  try {
    const taken = route.take(event)
    if (typeof taken === 'string') return { place, leftOut: taken, isReceipt }
    const text = writer.text(taken, message)
    if (text === null) return { place, leftOut: 'filtered', isReceipt }
    return { place, take: new WrittenRecord(taken, text), message, isReceipt }
  } catch (error) {
    return letter(
      message,
      place,
      'CUSTODY-SIEM-003',
      `can’t be formatted: ${(error as Error).message}`,
    )
  }
}

function letter(message: Buffer, place: number, code: string, reason: string): Step {
  const id =
    message.length >= 26 ? uuidText(message.subarray(10, 26)) : sha256(message).toString('hex')
  return { place, letter: { id, message, code, reason: reason.slice(0, 1000) } }
}

/** Schemas of newer versions are learnt before their events are read. */
export async function learnSchemas(
  messages: readonly Buffer[],
  schema: (fingerprint: string) => Promise<string | null>,
): Promise<void> {
  let last = ''
  for (const message of messages) {
    if (!isMessage(message)) continue
    const fingerprint = fingerprintIn(message)
    if (fingerprint === last) continue
    last = fingerprint
    if (findReading(fingerprint)) continue
    const found = await schema(fingerprint)
    if (found === null) continue
    try {
      registerSchema(JSON.parse(found), fingerprint)
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error
    }
  }
}
