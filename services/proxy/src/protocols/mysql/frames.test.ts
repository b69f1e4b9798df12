/** Bytes cut everywhere: at every offset, truncated, mutated. What comes out is what went in, or an error that says so. */
import { columnDefinition } from '@custody/mysql-values'
import fc from 'fast-check'
import { Answer, ColumnMemory, Seen } from './answers'
import { AnswerCutter, CommandCutter } from './frames'
import {
  errPayload,
  greetingPayload,
  HEADER_BYTES,
  handshakeResponsePayload,
  lenencBytes,
  lenencInt,
  okPayload,
  okWithTracked,
  PACKET_BYTES_MAX,
  packet,
  readChangeUser,
  readErr,
  readGreeting,
  readHandshakeResponse,
  readOk,
  readTracked,
  WireError,
} from './wire'

const PAYLOAD = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes))

/** Some bytes in some pieces. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  const all = [0, ...at, bytes.length]
  return all.slice(1).map((end, i) => Buffer.from(bytes.subarray(all[i], end)))
}

describe('commands', () => {
  test('come out whole, however they arrive', () => {
    fc.assert(
      fc.property(fc.array(PAYLOAD, { maxLength: 8 }), fc.array(fc.nat()), (payloads, cuts) => {
        const cutter = new CommandCutter(1 << 20)
        const found: Buffer[] = []
        for (const piece of pieces(Buffer.concat(payloads.map((one) => packet(0, one))), cuts)) {
          cutter.push(piece)
          for (;;) {
            const command = cutter.next()
            if (command === null) break
            found.push(Buffer.from(command.payload))
          }
        }
        expect(found).toEqual(payloads)
        expect(cutter.heldBytes).toBe(0)
      }),
    )
  })

  test.each([PACKET_BYTES_MAX - 1, PACKET_BYTES_MAX, PACKET_BYTES_MAX + 1])(
    'of %i bytes is put together from its packets',
    (bytes) => {
      const payload = Buffer.alloc(bytes, 7)
      const cutter = new CommandCutter(1 << 26)
      const whole = packet(0, payload)
      cutter.push(whole.subarray(0, 5))
      expect(cutter.next()).toBeNull()
      cutter.push(whole.subarray(5))
      const command = cutter.next()!
      expect(command.payload.equals(payload)).toBe(true)
      expect(Buffer.concat(command.packets).equals(whole)).toBe(true)
      expect(command.sequence).toBe(bytes < PACKET_BYTES_MAX ? 0 : 1)
    },
  )

  test('out of order, or beyond the bound, is an error', () => {
    const wrong = new CommandCutter(100)
    wrong.push(packet(3, Buffer.alloc(5)))
    expect(() => wrong.next()).toThrow(WireError)
    const large = new CommandCutter(100)
    large.push(packet(0, Buffer.alloc(101)).subarray(0, 4))
    expect(() => large.next()).toThrow(/frameBytesMax/)
  })
})

const column = columnDefinition({ name: 'c', schema: 's', table: 't', orgTable: 't', orgName: 'c' })

/** A result as a server sends it. */
function result(rows: readonly Buffer[], deprecateEof: boolean): Buffer {
  const eof = deprecateEof ? Buffer.from([0xfe, 0, 0, 2, 0, 0, 0]) : Buffer.from([0xfe, 0, 0, 2, 0])
  const payloads = [
    Buffer.from([1]),
    column,
    ...(deprecateEof ? [] : [eof]),
    ...rows.map((row) => lenencBytes(row)),
    eof,
  ]
  return Buffer.concat(payloads.map((payload, i) => packet(i + 1, payload)))
}

/** What a relay would see of it. */
function follow(chunks: readonly Buffer[], deprecateEof: boolean, streams: boolean) {
  const answer = new Answer('text', { deprecateEof, extendedMetadata: false }, new ColumnMemory())
  const out: Buffer[] = []
  let rows = 0
  const cutter = new AnswerCutter(1 << 26, {
    streams: (first, length) => streams && answer.isRow(first, length),
    onPacket: (bytes, at, end) => {
      if (answer.take(bytes, at, end) === Seen.row) rows++
    },
    onPiece: (_bytes, _at, _end, isFirst) => {
      if (isFirst) rows++
    },
    onChunkEnd: (bytes) => out.push(Buffer.from(bytes)),
  })
  for (const chunk of chunks) cutter.push(chunk)
  return { rows, isOver: answer.isOver, out: Buffer.concat(out), columns: answer.columns }
}

describe('answers', () => {
  test.each([true, false])('cut at every offset (EOF deprecated: %s)', (deprecateEof) => {
    const bytes = result([Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(300, 9)], deprecateEof)
    for (let at = 0; at <= bytes.length; at++)
      for (const streams of [true, false]) {
        const seen = follow([bytes.subarray(0, at), bytes.subarray(at)], deprecateEof, streams)
        expect(seen).toMatchObject({ rows: 3, isOver: true, columns: [{ name: 'c' }] })
        expect(seen.out.equals(bytes)).toBe(true)
      }
  })

  test('cut anywhere, as often as one likes', () => {
    const rows = fc.array(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 10 },
    )
    fc.assert(
      fc.property(
        rows,
        fc.array(fc.nat()),
        fc.boolean(),
        fc.boolean(),
        (all, cuts, eof, streams) => {
          const bytes = result(all, eof)
          const seen = follow(pieces(bytes, cuts), eof, streams)
          expect(seen.rows).toBe(all.length)
          expect(seen.isOver).toBe(true)
          if (!streams) expect(seen.out.equals(bytes)).toBe(true)
        },
      ),
    )
  })

  test('a row over 16 MB, in pieces and whole', () => {
    const row = Buffer.alloc(PACKET_BYTES_MAX + 100, 3)
    const bytes = result([row, Buffer.from('after')], true)
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += 65_536) chunks.push(bytes.subarray(at, at + 65_536))
    expect(follow(chunks, true, true)).toMatchObject({ rows: 2, isOver: true })
    const whole = follow(chunks, true, false)
    expect(whole).toMatchObject({ rows: 2, isOver: true })
  })

  test('truncated they are not over, mutated they are an answer or an error', () => {
    const bytes = result([Buffer.from('one'), Buffer.from('two')], true)
    for (let end = 0; end < bytes.length; end++)
      expect(follow([bytes.subarray(0, end)], true, true).isOver).toBe(false)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const other = Buffer.from(bytes)
        other[at] = byte
        try {
          follow([other], true, true)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          expect(error).not.toBeInstanceOf(TypeError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('columns that come again are not read again', () => {
    const memory = new ColumnMemory()
    const read = (payloads: readonly Buffer[]) => {
      memory.begin()
      for (const payload of payloads) memory.take(payload, 0, payload.length, false)
      return memory.end()
    }
    const other = columnDefinition({ name: 'd' })
    const first = read([column, other])
    expect(read([column, other])).toBe(first)
    expect(read([column])).toMatchObject([{ name: 'c' }])
    expect(read([column])).toHaveLength(1)
    expect(read([other, column])).toMatchObject([{ name: 'd' }, { name: 'c' }])
    expect(read([other, column, column])).toHaveLength(3)
  })
})

describe('packets', () => {
  test('greeting and handshake, written and read', () => {
    const greeting = {
      version: '10.11.19-MariaDB',
      threadId: 0x40000001,
      nonce: Buffer.from('01234567890123456789'),
      capabilities: 0x81bff7fe,
      mariadbCapabilities: 0x1d,
      collation: 45,
      status: 2,
      plugin: 'caching_sha2_password',
    }
    expect(readGreeting(greetingPayload(greeting))).toEqual(greeting)
    const response = {
      capabilities: 0x81bff7fe,
      mariadbCapabilities: 4,
      packetBytesMax: 1 << 24,
      collation: 45,
      user: 'ada',
      auth: Buffer.alloc(300, 1),
      database: 'shop',
      plugin: 'mysql_clear_password',
      attributes: new Map([['program_name', 'tést']]),
      zstdLevel: 0,
    }
    expect(readHandshakeResponse(handshakeResponsePayload(response))).toEqual(response)
  })

  test('any bytes as a handshake are one, or an error that is ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [
          readGreeting,
          readHandshakeResponse,
          (payload: Buffer) => readChangeUser(payload, 0xffffffff),
          (payload: Buffer) => readTracked(payload, 0, payload.length),
          (payload: Buffer) => readOk(payload, 0, payload.length),
        ])
          try {
            read(Buffer.from(bytes))
          } catch (error) {
            expect(error instanceof WireError || error instanceof RangeError).toBe(true)
          }
      }),
      { numRuns: 2000 },
    )
  })

  test('an error is cut to what clients keep, its code never', () => {
    const payload = errPayload(1227, '42000', 'é'.repeat(1000), ' [CODE]')
    const { message, errno, sqlstate } = readErr(payload, 0, payload.length)
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(511)
    expect(message.endsWith('… [CODE]')).toBe(true)
    expect({ errno, sqlstate }).toEqual({ errno: 1227, sqlstate: '42000' })
  })

  test('what is tracked can be taken out', () => {
    const entry = (name: string, value: string) => {
      const data = Buffer.concat([lenencBytes(name), lenencBytes(value)])
      return Buffer.concat([Buffer.from([0]), lenencBytes(data)])
    }
    const [one, two] = [entry('sql_mode', 'ANSI'), entry('autocommit', 'OFF')]
    const ok = Buffer.concat([
      ...[Buffer.from([0]), lenencInt(3), lenencInt(0), Buffer.from([2, 0x40, 0, 0])],
      ...[lenencBytes('info'), lenencBytes(Buffer.concat([one, two]))],
    ])
    const { trackAt } = readOk(ok, 0, ok.length)
    const found = readTracked(ok, trackAt, ok.length)
    expect(found.map(({ name, value }) => [name, value])).toEqual([
      ['sql_mode', 'ANSI'],
      ['autocommit', 'OFF'],
    ])
    const kept = okWithTracked(ok, 0, ok.length, [two], true)
    expect(readTracked(kept, readOk(kept, 0, kept.length).trackAt, kept.length)).toMatchObject([
      { name: 'autocommit' },
    ])
    const none = okWithTracked(ok, 0, ok.length, [], true)
    expect(readOk(none, 0, none.length)).toMatchObject({ affected: 3n, status: 2, trackAt: -1 })
    expect(okPayload(2)).toHaveLength(7)
    expect(HEADER_BYTES).toBe(4)
  })
})
