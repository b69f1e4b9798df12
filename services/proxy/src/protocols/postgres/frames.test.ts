/** However the bytes arrive, the same messages come out, and nothing else than a clear error comes of bad ones. */
import fc from 'fast-check'
import { FrameCutter } from './frames'
import { message, WireError } from './wire'

interface Seen {
  frames: { type: number; body: string }[]
  /** Streamed messages put together from their pieces. */
  streamed: { type: number; bytes: string }[]
  forwarded: Buffer
}

const STREAMED = new Set([0x64, 0x44])

function collect(chunks: Buffer[], frameBytesMax = 1 << 20): Seen & { heldMax: number } {
  const seen: Seen = { frames: [], streamed: [], forwarded: Buffer.alloc(0) }
  const forwarded: Buffer[] = []
  let heldMax = 0
  const cutter: FrameCutter = new FrameCutter(STREAMED, frameBytesMax, {
    onFrame(type, bytes, at, end) {
      if (STREAMED.has(type)) seen.streamed.push({ type, bytes: bytes.toString('latin1', at, end) })
      else seen.frames.push({ type, body: bytes.toString('latin1', at + 5, end) })
      return false
    },
    onPiece(type, bytes, at, end, first) {
      if (first) seen.streamed.push({ type, bytes: '' })
      seen.streamed.at(-1)!.bytes += bytes.toString('latin1', at, end)
    },
    onChunkEnd(bytes) {
      forwarded.push(Buffer.from(bytes))
    },
  })
  for (const chunk of chunks) {
    cutter.push(chunk)
    heldMax = Math.max(heldMax, cutter.heldBytes)
  }
  seen.forwarded = Buffer.concat(forwarded)
  return { ...seen, heldMax }
}

const anyMessage = fc
  .tuple(fc.constantFrom(0x51, 0x50, 0x42, 0x64, 0x44, 0x5a), fc.uint8Array({ maxLength: 60 }))
  .map(([type, body]) => message(type, Buffer.from(body)))

/** The same bytes, cut at some places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at]
    .map((from, i) => Buffer.from(bytes.subarray(from, at[i] ?? bytes.length)))
    .filter((one) => one.length > 0)
}

test('any split gives the same messages, and every byte goes on once and in order', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (messages, places) => {
        const bytes = Buffer.concat(messages)
        const whole = collect([bytes])
        const split = collect(cut(bytes, places))
        expect(split.frames).toEqual(whole.frames)
        expect(split.streamed).toEqual(whole.streamed)
        expect(split.forwarded.equals(bytes)).toBe(true)
        expect(whole.forwarded.equals(bytes)).toBe(true)
      },
    ),
  )
})

test('byte by byte, at every offset', () => {
  const bytes = Buffer.concat([
    message(0x51, Buffer.from('select 1\0')),
    message(0x64, Buffer.alloc(30, 7)),
    message(0x53, Buffer.alloc(0)),
    message(0x44, Buffer.alloc(3, 9)),
  ])
  const whole = collect([bytes])
  for (let at = 0; at <= bytes.length; at++) {
    const two = collect(cut(bytes, [at]))
    expect(two.frames).toEqual(whole.frames)
    expect(two.streamed).toEqual(whole.streamed)
  }
  expect(collect([...bytes].map((byte) => Buffer.from([byte]))).frames).toEqual(whole.frames)
})

test('mutated bytes give messages or a WireError, and never hold more than the bound', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { minLength: 1, maxLength: 6 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 10 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      (messages, changes, places) => {
        const bytes = Buffer.concat(messages)
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        try {
          expect(collect(cut(bytes, places), 1000).heldMax).toBeLessThanOrEqual(1001)
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
      },
    ),
  )
})

test('a length beyond the bound is refused before memory is taken for it', () => {
  const head = Buffer.from([0x51, 0x3f, 0xff, 0xff, 0xff])
  expect(() => collect([head], 1000)).toThrow(/frameBytesMax/)
  expect(() =>
    collect(
      [...head].map((byte) => Buffer.from([byte])),
      1000,
    ),
  ).toThrow(/frameBytesMax/)
  // A streamed type is never gathered, so it may be as long as the protocol allows.
  expect(collect([Buffer.from([0x64, 0x3f, 0xff, 0xff, 0xff, 1, 2])], 1000).heldMax).toBe(0)
})

test.each([0, 3, -1, -2147483648])('the impossible length %d is refused', (length) => {
  const bytes = Buffer.alloc(9)
  bytes[0] = 0x51
  bytes.writeInt32BE(length, 1)
  expect(() => collect([bytes])).toThrow(WireError)
  expect(() => collect(cut(bytes, [1, 2, 3, 4]))).toThrow(WireError)
})

test('what is kept at any message comes again from there, once, in order', () => {
  const body = fc.string({ maxLength: 40 })
  fc.assert(
    fc.property(
      fc.array(body, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.nat(11), { maxLength: 4 }),
      (bodies, chunkBytes, keepAt) => {
        const stream = Buffer.concat(bodies.map((text) => message(0x51, Buffer.from(text))))
        const seen: string[] = []
        const passed: Buffer[] = []
        const keep = new Set(keepAt)
        const cutter: FrameCutter = new FrameCutter(STREAMED, 1 << 20, {
          onFrame(_type, bytes, at, end) {
            if (keep.delete(seen.length)) return true
            seen.push(bytes.toString('utf8', at + 5, end))
            return false
          },
          onPiece() {},
          onChunkEnd: (bytes) => passed.push(Buffer.from(bytes)),
        })
        for (let at = 0; at < stream.length; at += chunkBytes)
          cutter.push(stream.subarray(at, at + chunkBytes))
        for (let i = 0; i <= keepAt.length; i++) cutter.resume()
        expect(seen).toEqual(bodies.map((text) => Buffer.from(text).toString()))
        expect(Buffer.concat(passed).equals(stream)).toBe(true)
      },
    ),
  )
})
