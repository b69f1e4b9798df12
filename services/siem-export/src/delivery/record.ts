/**
 * Records as bytes, from when they are made until they are acknowledged. Strings of whole batches would outlive several collections,
 * and be copied by each; bytes outside the heap cost nothing to keep. Knows no format.
 */
import { type Event, uuidText } from '@custody/schemas'
import { severityOf } from '../formats'
import type { Outgoing } from './destination'

const SLAB_BYTES = 1024 * 1024
/** Of one UTF-16 unit in UTF-8. */
const UNIT_BYTES_MAX = 3

let slab = Buffer.alloc(0)
let slabAt = 0

export class WrittenRecord implements Outgoing {
  readonly id: string
  readonly key: string
  readonly timeMicros: number
  readonly kind: string
  readonly severity: Outgoing['severity']
  readonly recorder: string
  readonly sequence: number
  readonly session: string | null
  readonly resource: string | null
  readonly bytes: number
  private readonly slab: Buffer
  private readonly from: number
  private readonly isAscii: boolean

  constructor(event: Event, text: string) {
    const session = event.session && uuidText(event.session)
    this.id = uuidText(event.id)
    this.key = session ?? event.recorder
    this.timeMicros = Number(event.time)
    this.kind = event.kind
    this.severity = severityOf(event)
    this.recorder = event.recorder
    this.sequence = Number(event.sequence)
    this.session = session
    this.resource = event.path?.resource ?? null
    this.bytes = Buffer.byteLength(text)
    // Nothing but ASCII has as many bytes as characters.
    this.isAscii = this.bytes === text.length
    if (slabAt + this.bytes > slab.length) {
      slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, text.length * UNIT_BYTES_MAX))
      slabAt = 0
    }
    this.slab = slab
    this.from = slabAt
    slabAt += slab.write(text, slabAt, this.isAscii ? 'latin1' : 'utf8')
  }

  /** Made anew each time it is asked for. */
  get text(): string {
    const encoding = this.isAscii ? 'latin1' : 'utf8'
    return this.slab.toString(encoding, this.from, this.from + this.bytes)
  }

  /** Puts the record's bytes at a place; answers how many. */
  copy(target: Buffer, at: number): number {
    return this.slab.copy(target, at, this.from, this.from + this.bytes)
  }
}
