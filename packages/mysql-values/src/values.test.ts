import fc from 'fast-check'
import {
  binarySize,
  ColumnFlag,
  charsetOf,
  columnDefinition,
  decodeText,
  decodeValue,
  encodeText,
  encodeValue,
  errPacket,
  FieldType,
  FormError,
  isEof,
  lenenc,
  lenencString,
  okPacket,
  Reader,
  RowPlaces,
  readBulkExecute,
  readColumn,
  readErr,
  readExecute,
  readOk,
  readQuery,
  settingsChange,
  typeName,
  typeNamed,
  type ValueType,
  withNames,
} from './index'

const of = (type: number, more: Partial<ValueType> = {}): ValueType => ({
  type,
  collation: 45,
  flags: 0,
  decimals: 31,
  length: 0,
  extendedType: null,
  ...more,
})

const date = fc
  .tuple(
    fc.integer({ min: 1, max: 9999 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
  )
  .map(
    ([y, m, d]) =>
      `${String(y).padStart(4, '0')}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')}`,
  )
const clock = fc
  .tuple(
    fc.integer({ min: 0, max: 23 }),
    fc.integer({ min: 0, max: 59 }),
    fc.integer({ min: 0, max: 59 }),
  )
  .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))
const micros = fc.option(
  fc.integer({ min: 1, max: 999_999 }).map((n) => `.${String(n).padStart(6, '0')}`),
  { nil: '' },
)
const between = (least: bigint, most: bigint) => fc.bigInt({ min: least, max: most }).map(String)
const UNSIGNED = { flags: ColumnFlag.unsigned }

const VALUES: readonly [string, ValueType, fc.Arbitrary<string>][] = [
  ['tinyint', of(FieldType.tiny), between(-128n, 127n)],
  ['tinyint unsigned', of(FieldType.tiny, UNSIGNED), between(0n, 255n)],
  ['smallint', of(FieldType.short), between(-32768n, 32767n)],
  ['smallint unsigned', of(FieldType.short, UNSIGNED), between(0n, 65535n)],
  ['mediumint', of(FieldType.int24), between(-(2n ** 23n), 2n ** 23n - 1n)],
  ['int', of(FieldType.long), between(-(2n ** 31n), 2n ** 31n - 1n)],
  ['int unsigned', of(FieldType.long, UNSIGNED), between(0n, 2n ** 32n - 1n)],
  ['bigint', of(FieldType.longlong), between(-(2n ** 63n), 2n ** 63n - 1n)],
  ['bigint unsigned', of(FieldType.longlong, UNSIGNED), between(0n, 2n ** 64n - 1n)],
  ['year', of(FieldType.year), between(1901n, 2155n)],
  [
    'double',
    of(FieldType.double),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => String(n).replace('e+', 'e')),
  ],
  [
    'decimal',
    of(FieldType.newdecimal),
    fc
      .tuple(between(-(10n ** 30n), 10n ** 30n), fc.stringMatching(/^\d{0,10}$/))
      .map(([whole, rest]) => (rest ? `${whole}.${rest}` : whole)),
  ],
  ['date', of(FieldType.date), date],
  [
    'datetime',
    of(FieldType.datetime),
    fc.tuple(date, clock, micros).map(([day, time, rest]) => `${day} ${time}${rest}`),
  ],
  [
    'timestamp(6)',
    of(FieldType.timestamp, { decimals: 6 }),
    fc.tuple(date, clock).map(([day, time]) => `${day} ${time}.000000`),
  ],
  [
    'time',
    of(FieldType.time),
    fc
      .tuple(
        fc.boolean(),
        fc.integer({ min: 1, max: 838 }),
        fc.integer({ min: 0, max: 59 }),
        fc.integer({ min: 0, max: 59 }),
        micros,
      )
      .map(
        ([isNegative, h, m, s, rest]) =>
          `${isNegative ? '-' : ''}${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}:${String(s).padStart(2, '0')}${rest}`,
      ),
  ],
  [
    'bit(13)',
    of(FieldType.bit, { length: 13, collation: 63 }),
    fc.stringMatching(/^[01]{13}$/).map((digits) => `b'${digits}'`),
  ],
  ['varchar', of(FieldType.varString), fc.string({ unit: 'grapheme' })],
  ['json', of(FieldType.json), fc.json()],
  [
    'text in utf16',
    of(FieldType.blob, { collation: 54 }),
    fc.string({ unit: 'grapheme' }).filter((text) => text.isWellFormed()),
  ],
  [
    'text in utf32',
    of(FieldType.blob, { collation: 60 }),
    fc.string({ unit: 'grapheme' }).filter((text) => text.isWellFormed()),
  ],
  ['text in latin1', of(FieldType.string, { collation: 8 }), fc.stringMatching(/^[ -~äöüß€Š]*$/)],
  [
    'geometry',
    of(FieldType.geometry, { collation: 63 }),
    fc.uint8Array().map((bytes) => `0x${Buffer.from(bytes).toString('hex').toUpperCase()}`),
  ],
]

/** The value in what was encoded, without its length. */
function inside(encoded: Buffer, type: number, isBinary: boolean): Buffer {
  const reader = new Reader(encoded, 0, encoded.length)
  const size = isBinary ? binarySize(type) : -1
  const value =
    size >= 0 ? reader.raw(size) : size === -2 ? reader.raw(reader.u8()) : reader.lenencBytes()
  expect(reader.left).toBe(0)
  return value
}

describe.each(VALUES)('%s', (_, type, texts) => {
  it.each([
    ['text', false],
    ['binary', true],
  ])('comes back from %s protocol as it was', (_name, isBinary) => {
    fc.assert(
      fc.property(texts, (text) => {
        const encoded = encodeValue(text, type, isBinary)
        expect(encoded).not.toBeNull()
        const read = decodeValue(inside(encoded!, type.type, isBinary), type, isBinary)
        if (type.type === FieldType.double) expect(Number(read)).toBe(Number(text))
        else expect(read).toBe(text)
      }),
    )
  })

  it('stands alone among others in a row', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(texts, { nil: null }), { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        (row, isBinary) => {
          const nulls = Buffer.alloc((row.length + 9) >> 3)
          const parts = row.map((text, i) => {
            if (text !== null) return encodeValue(text, type, isBinary)!
            nulls[(i + 2) >> 3]! |= 1 << ((i + 2) & 7)
            return isBinary ? Buffer.alloc(0) : Buffer.from([0xfb])
          })
          const bytes = Buffer.concat([...(isBinary ? [Buffer.alloc(1), nulls] : []), ...parts])
          const places = new RowPlaces(
            row.map(() => type.type),
            isBinary,
          )
          places.read(bytes, 0, bytes.length)
          for (const [i, text] of row.entries()) {
            if (text === null) expect(places.starts[i]).toBe(-1)
            else
              expect(bytes.subarray(places.starts[i], places.ends[i])).toEqual(
                inside(parts[i]!, type.type, isBinary),
              )
          }
          // Cut anywhere, it is no row any more.
          for (let end = 0; end < Math.min(bytes.length, 40); end++)
            expect(() => places.read(bytes, 0, end)).toThrow(FormError)
        },
      ),
      { numRuns: 30 },
    )
  })
})

describe('numbers of lengths', () => {
  it.each([0, 250, 251, 65535, 65536, 16777215, 16777216, 2 ** 40])('%d', (number) => {
    const bytes = lenenc(number)
    expect(new Reader(bytes, 0, bytes.length).lenenc()).toBe(number)
    for (let end = 0; end < bytes.length; end++)
      expect(() => new Reader(bytes, 0, end).lenenc()).toThrow(FormError)
  })

  it('are refused beyond what a packet can be', () => {
    const bytes = Buffer.from(`fe${'ff'.repeat(8)}`, 'hex')
    expect(() => new Reader(bytes, 0, bytes.length).lenenc()).toThrow(FormError)
    const row = new RowPlaces([FieldType.varString], false)
    expect(() => row.read(bytes, 0, bytes.length)).toThrow(FormError)
  })
})

describe('what a type can’t hold', () => {
  it.each<[string, number, Partial<ValueType>]>([
    ['128', FieldType.tiny, {}],
    ['-1', FieldType.tiny, UNSIGNED],
    ['[masked]', FieldType.long, {}],
    ['1900', FieldType.year, {}],
    ['2024-02-30', FieldType.date, {}],
    ['2024-13-01', FieldType.date, {}],
    ['2024-01-01 25:00:00', FieldType.datetime, {}],
    ['2024-01-01 12:00:00', FieldType.date, {}],
    ['839:00:00', FieldType.time, {}],
    ['1e400', FieldType.double, {}],
    ['1e39', FieldType.float, {}],
    ['abc', FieldType.newdecimal, {}],
    ['[masked]', FieldType.geometry, {}],
    ['[masked]', FieldType.bit, {}],
    ['ж', FieldType.varString, { collation: 8 }],
    ['x', FieldType.varString, { collation: 1023 }],
  ])('%s is refused', (text, type, more) => {
    for (const isBinary of [false, true])
      expect(encodeValue(text, of(type, more), isBinary)).toBeNull()
  })
})

describe('character sets', () => {
  it.each([
    ['latin1', '€'],
    ['cp1251', 'Ж'],
    ['koi8r', 'Ж'],
    ['greek', 'Ω'],
    ['latin2', 'ł'],
  ])('%s with one byte a character, both ways', (charset, text) => {
    const bytes = encodeText(text, charset)!
    expect(bytes).toHaveLength(1)
    expect(decodeText(bytes, charset)).toBe(text)
  })

  it.each([
    ['gbk', 'bfce', '课'],
    ['sjis', '835c', 'ソ'],
    ['big5', 'a440', '一'],
    ['euckr', 'b0a1', '가'],
    ['ujis', 'a4a2', 'あ'],
    ['gb18030', '81308130', '\u0080'],
  ])('%s with more than one', (charset, bytes, text) => {
    expect(decodeText(Buffer.from(bytes, 'hex'), charset)).toBe(text)
  })

  it('are known by their collations', () => {
    expect([8, 33, 45, 255, 323, 63, 54, 2304, 248].map(charsetOf)).toEqual([
      ...['latin1', 'utf8mb3', 'utf8mb4', 'utf8mb4', 'utf8mb4', 'binary', 'utf16', 'utf8mb4'],
      'gb18030',
    ])
    expect(charsetOf(5000)).toBeNull()
  })

  it('that are not known show hex', () => {
    expect(decodeValue(Buffer.from([0xc0]), of(253, { collation: 3 }), false)).toBe('0xC0')
    expect(decodeValue(Buffer.from('plain'), of(253, { collation: 3 }), false)).toBe('plain')
    expect(decodeValue(Buffer.from([0, 1]), of(253, { collation: 63 }), false)).toBe('0x0001')
  })
})

describe('columns', () => {
  const column = {
    ...{ schema: 'shop', table: 'c', orgTable: 'customers', name: 'mail', orgName: 'email' },
    ...{ collation: 45, length: 80, type: 253, flags: 1, decimals: 0, extendedType: null },
  }

  it('are read as they were written, and refused when cut', () => {
    const bytes = columnDefinition(column)
    expect(readColumn(bytes, 0, bytes.length)).toEqual(column)
    for (let end = 0; end < bytes.length - 2; end++)
      expect(() => readColumn(bytes, 0, end)).toThrow(FormError)
  })

  it('with MariaDB’s metadata, whether it was said that there is any or not', () => {
    const plain = columnDefinition(column)
    const json = Buffer.concat([Buffer.from([1]), lenencString('json')])
    const bytes = Buffer.concat([plain.subarray(0, -13), lenencString(json), plain.subarray(-13)])
    for (const isExtended of [true, null])
      expect(readColumn(bytes, 0, bytes.length, 'utf8mb4', isExtended).extendedType).toBe('json')
    expect(readColumn(plain, 0, plain.length, 'utf8mb4', null).extendedType).toBeNull()
  })

  it('have names put in the place of others', () => {
    const bytes = columnDefinition(column)
    const other = withNames(bytes, 0, bytes.length, (name) =>
      name.toString() === 'mail' ? Buffer.from('[masked]') : null,
    )!
    expect(readColumn(other, 0, other.length)).toEqual({ ...column, name: '[masked]' })
    expect(withNames(bytes, 0, bytes.length, () => null)).toBeNull()
  })

  it.each([
    'int unsigned',
    'varchar',
    'varbinary',
    'json',
    'datetime',
    'decimal',
    'text',
    'type:77',
  ])('%s is a name that comes back', (name) => expect(typeName(typeNamed(name)!)).toBe(name))
})

describe('what ends an answer', () => {
  it('says what happened, with what changed in the session', () => {
    const ok = {
      ...{ header: 0, affectedRows: 2n ** 60n, insertId: 300n, status: 0x4002, warnings: 3 },
      info: Buffer.from('Rows matched: 1'),
      changes: [settingsChange([[Buffer.from('autocommit'), Buffer.from('OFF')]])],
    }
    const bytes = okPacket(ok, true)
    for (const tracks of [true, null]) expect(readOk(bytes, 0, bytes.length, tracks)).toEqual(ok)
    const untracked = { ...ok, changes: [] }
    const plain = okPacket(untracked, false)
    for (const tracks of [false, null])
      expect(readOk(plain, 0, plain.length, tracks)).toEqual(untracked)
  })

  it('or what went wrong', () => {
    const err = { code: 1062, state: '23000', message: Buffer.from('Duplicate entry') }
    const bytes = errPacket(err)
    expect(readErr(bytes, 0, bytes.length)).toEqual({ ...err, progress: null })
    expect(isEof(Buffer.from('fe00000200', 'hex'), 0, 5)).toBe(true)
  })

  it('or how far it is', () => {
    const bytes = Buffer.from([0xff, 0xff, 0xff, 1, 2, 3, 0x10, 0x27, 0, 4, ...Buffer.from('copy')])
    expect(readErr(bytes, 0, bytes.length).progress).toEqual({
      ...{ stage: 2, stages: 3, thousandths: 10_000, info: Buffer.from('copy') },
    })
  })
})

describe('parameters', () => {
  const settings = {
    ...{ parameters: 2, types: null, attributes: false, collation: 45 },
    long: new Map<number, Buffer>(),
  }
  const head = Buffer.from('01000000' + '00' + '01000000', 'hex')

  it('are read with their types, and again without', () => {
    const bytes = Buffer.concat([
      head,
      Buffer.from('00' + '01' + '0380' + 'fd00' + 'ffffffff', 'hex'),
      lenencString('ä'),
    ])
    const { parameters, types } = readExecute(bytes, settings)
    expect(parameters.map(({ text }) => text)).toEqual(['4294967295', 'ä'])
    const again = Buffer.concat([head, Buffer.from('01' + '00', 'hex'), lenencString('b')])
    expect(readExecute(again, { ...settings, types }).parameters.map(({ text }) => text)).toEqual([
      null,
      'b',
    ])
    expect(() => readExecute(again, settings)).toThrow(FormError)
  })

  it('that were sent in pieces stand where they belong', () => {
    const bytes = Buffer.concat([head, Buffer.from('00' + '01' + 'fc00' + '0100' + '07', 'hex')])
    const { parameters } = readExecute(bytes, {
      ...settings,
      long: new Map([[0, Buffer.from('long')]]),
    })
    expect(parameters.map(({ text, isLong }) => [text, isLong])).toEqual([
      ['long', true],
      ['7', false],
    ])
  })

  it('may be followed by attributes', () => {
    const bytes = Buffer.concat([
      Buffer.from('01000000' + '08' + '01000000' + '01' + '00' + '01', 'hex'),
      Buffer.from('fd00', 'hex'),
      lenencString('trace'),
      lenencString('t-1'),
    ])
    const { parameters } = readExecute(bytes, { ...settings, parameters: 0, attributes: true })
    expect(parameters.map(({ name, text }) => [name.toString(), text])).toEqual([['trace', 't-1']])
  })

  it('stand before a query’s text', () => {
    const bytes = Buffer.concat([
      Buffer.from('0101' + '00' + '01' + 'fd00', 'hex'),
      ...[lenencString('trace'), lenencString('t-1'), Buffer.from('select 1')],
    ])
    const { attributes, textAt } = readQuery(bytes, true, 45)
    expect(attributes.map(({ text }) => text)).toEqual(['t-1'])
    expect(bytes.toString('utf8', textAt)).toBe('select 1')
    expect(readQuery(Buffer.from('\0\x01select 1'), true, 45).textAt).toBe(2)
  })

  it('come in many rows', () => {
    const bytes = Buffer.concat([
      Buffer.from('01000000' + '8000' + '0300' + 'fd00', 'hex'),
      ...[Buffer.from('0005000000' + '00', 'hex'), lenencString('a')],
      Buffer.from('01' + '02', 'hex'),
    ])
    const { rows } = readBulkExecute(bytes, settings, 10)
    expect(rows.map((row) => row.map(({ text }) => text))).toEqual([
      ['5', 'a'],
      [null, null],
    ])
    expect(() => readBulkExecute(bytes, settings, 1)).toThrow(FormError)
  })

  it('fail in one way only, whatever the bytes are', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 0, max: 5 }),
        fc.boolean(),
        (raw, parameters, attributes) => {
          const bytes = Buffer.from(raw)
          for (const read of [
            () => readExecute(bytes, { ...settings, parameters, attributes }),
            () => readBulkExecute(bytes, { ...settings, parameters }, 5),
            () => readQuery(bytes, true, 45),
            () => readColumn(bytes, 0, bytes.length, 'utf8mb4', null),
            () => readOk(bytes, 0, bytes.length, null),
            () => readErr(bytes, 0, bytes.length),
          ])
            try {
              read()
            } catch (error) {
              expect(error).toBeInstanceOf(FormError)
            }
        },
      ),
      { numRuns: 1000 },
    )
  })
})
