/**
 * UUID version 7 (RFC 9562, 5.7) as 16 bytes that sort by time, also within one millisecond of one process:
 * rand_a carries the fraction of the millisecond (method 3) and never goes back.
 * Not a secret: nothing may be authorised by knowing one.
 */
import { randomFillSync } from 'node:crypto'
import { performance } from 'node:perf_hooks'

const POOL_BYTES = 8192
const pool = Buffer.allocUnsafeSlow(POOL_BYTES)
let poolAt = POOL_BYTES
let lastTick = 0

/** Microseconds since 1970-01-01 UTC by this process's clock: the wall clock at start, then monotonic. */
let origin = Date.now() * 1000 - performance.now() * 1000
/** The wall clock is followed again when it has moved away by more than this. */
const DRIFT_MICROS_MAX = 2000
let nextCheck = 0

export function nowMicros(): number {
  const elapsed = performance.now()
  if (elapsed >= nextCheck) {
    nextCheck = elapsed + 250
    const wall = Date.now() * 1000
    if (Math.abs(origin + elapsed * 1000 - wall) > DRIFT_MICROS_MAX) origin = wall - elapsed * 1000
  }
  return Math.floor(origin + elapsed * 1000)
}

/** Writes a new identifier at `at`; `micros` is the time it carries. */
export function writeUuid(target: Buffer, at: number, micros: number): void {
  // Ticks of a quarter microsecond: 12 bits hold the 4,000 of a millisecond.
  let tick = micros * 4
  if (tick <= lastTick) tick = lastTick + 1
  lastTick = tick
  const millis = Math.floor(tick / 4000)
  const fraction = tick - millis * 4000
  const high = Math.floor(millis / 0x100000000)
  const low = millis >>> 0
  target[at] = high >>> 8
  target[at + 1] = high
  target[at + 2] = low >>> 24
  target[at + 3] = low >>> 16
  target[at + 4] = low >>> 8
  target[at + 5] = low
  target[at + 6] = 0x70 | (fraction >>> 8)
  target[at + 7] = fraction
  if (poolAt === POOL_BYTES) {
    randomFillSync(pool)
    poolAt = 0
  }
  for (let i = 0; i < 8; i++) target[at + 8 + i] = pool[poolAt + i]!
  target[at + 8] = 0x80 | (target[at + 8]! & 0x3f)
  poolAt += 8
}

export function newUuid(micros = nowMicros()): Buffer {
  const id = Buffer.allocUnsafe(16)
  writeUuid(id, 0, micros)
  return id
}

const HEX = '0123456789abcdef'
/** Both digits of each byte. */
const DIGITS = Uint16Array.from({ length: 256 }, (_, byte) => {
  const [high, low] = [HEX.charCodeAt(byte >>> 4), HEX.charCodeAt(byte & 15)]
  return high | (low << 8)
})
const scratch = Buffer.alloc(36, '-')
/** Where each byte's digits stand. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]

/** Canonical text, 8-4-4-4-12 in lower case. */
export function uuidText(id: Uint8Array): string {
  for (let i = 0; i < 16; i++) {
    const digits = DIGITS[id[i]!]!
    const at = PLACES[i]!
    scratch[at] = digits & 255
    scratch[at + 1] = digits >>> 8
  }
  return scratch.toString('latin1')
}

/** The 16 bytes of a canonical text; throws a RangeError for anything else. */
export function uuidBytes(text: string): Buffer {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    throw new RangeError(`not a UUID: ${text.slice(0, 64)}`)
  return Buffer.from(text.replaceAll('-', ''), 'hex')
}
