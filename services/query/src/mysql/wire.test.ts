import {
  columnDefinition,
  encodeValue,
  errPacket,
  FieldType,
  lenencString,
  okPacket,
  Status,
  typeNamed,
} from '@custody/mysql-values'
import { decodeMysql, decodeMysqlInput } from './wire'

function packets(...payloads: (Buffer | string)[]): Buffer {
  return Buffer.concat(
    payloads.map((payload, i) => {
      const body = typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload
      const head = Buffer.alloc(4)
      head.writeUIntLE(body.length, 0, 3)
      head[3] = i + 1
      return Buffer.concat([head, body])
    }),
  )
}

const id = columnDefinition({ name: 'id', type: FieldType.long, collation: 63 })
const name = columnDefinition({ name: 'name', type: FieldType.varString })
const text = (...values: (string | null)[]) =>
  Buffer.concat(values.map((value) => (value === null ? Buffer.from([0xfb]) : lenencString(value))))
const ok = (header: number, more: { status?: number; affectedRows?: bigint; info?: string } = {}) =>
  okPacket(
    {
      ...{ header, insertId: 0n, warnings: 0, changes: [], status: 2, affectedRows: 0n },
      ...more,
      info: Buffer.from(more.info ?? ''),
    },
    false,
  )
const EOF = 'fe00000200'
const LIMITS = { rowsMax: 100, copyBytesMax: 1000 }
const columns = [
  { name: 'id', type: 'int' },
  { name: 'name', type: 'varchar' },
]

test.each([
  ['with an eof behind the columns', [EOF], EOF],
  ['without', [], ok(0xfe)],
])('rows as text, %s', (_, head, end) => {
  const bytes = packets('02', id, name, ...head, text('1', 'Ann'), text('2', null), end)
  expect(decodeMysql(bytes, LIMITS)).toEqual({
    shown: [
      {
        kind: 'rows',
        columns,
        rows: [
          ['1', 'Ann'],
          ['2', null],
        ],
        rowsOmitted: 0,
      },
      { kind: 'tag', tag: '2 rows in set' },
    ],
    tornBytes: 0,
  })
})

test('none at all', () => {
  expect(decodeMysql(packets('02', id, name, EOF, EOF), LIMITS).shown.at(-1)).toEqual({
    ...{ kind: 'tag', tag: '0 rows in set' },
  })
})

const binary = (number: string, word: string) =>
  Buffer.concat([
    Buffer.from('0000', 'hex'),
    encodeValue(number, typeNamed('int')!, true)!,
    encodeValue(word, typeNamed('varchar')!, true)!,
  ])

test('rows of an execution, and of a cursor whose columns were described before', () => {
  const rows = { kind: 'rows', columns, rows: [['-7', 'Ann']], rowsOmitted: 0 }
  const executed = packets('02', id, name, EOF, binary('-7', 'Ann'), EOF)
  expect(decodeMysql(executed, { ...LIMITS, interface: 'execute' }).shown[0]).toEqual(rows)
  const fetched = packets(binary('-7', 'Ann'), 'fe00004200')
  expect(decodeMysql(fetched, { ...LIMITS, interface: 'fetch', columns }).shown).toEqual([
    { ...rows, assumedFormats: true },
    { kind: 'tag', tag: '1 row in set' },
    { kind: 'suspended' },
  ])
})

test('columns that the client has from before', () => {
  const bytes = packets('0200', EOF, binary('3', 'Bob'), EOF)
  expect(decodeMysql(bytes, { ...LIMITS, interface: 'execute', columns }).shown[0]).toMatchObject({
    rows: [['3', 'Bob']],
    assumedFormats: true,
  })
})

test('one answer after the other, up to an error', () => {
  const bytes = packets(
    ok(0, { status: 2 | Status.moreResults, affectedRows: 1n, info: 'Rows matched: 1' }),
    '01',
    ...[id, EOF, text('5'), 'fe00000a00'],
    errPacket({ code: 1062, state: '23000', message: Buffer.from('Duplicate entry') }),
  )
  expect(decodeMysql(bytes, LIMITS).shown).toEqual([
    { kind: 'tag', tag: 'Query OK, 1 row affected (Rows matched: 1)' },
    { kind: 'rows', columns: columns.slice(0, 1), rows: [['5']], rowsOmitted: 0 },
    { kind: 'tag', tag: '1 row in set' },
    {
      ...{ kind: 'error', severity: 'ERROR 1062', number: 1062, code: '23000' },
      message: 'Duplicate entry',
    },
  ])
})

test('a row longer than one packet', () => {
  const long = 'x'.repeat(0xffffff + 100)
  const row = text(long)
  const bytes = packets('01', name, EOF, row.subarray(0, 0xffffff), row.subarray(0xffffff), EOF)
  const [rows] = decodeMysql(bytes, LIMITS).shown
  expect(rows?.kind === 'rows' && rows.rows[0]![0] === long).toBe(true)
})

test('what was cut anywhere is said, and never more', () => {
  const bytes = packets('02', id, name, EOF, text('1', 'Ann'), text('2', 'Bob'), EOF)
  for (let end = 0; end < bytes.length; end++) {
    const { shown, tornBytes } = decodeMysql(bytes.subarray(0, end), LIMITS)
    expect(tornBytes).toBeGreaterThanOrEqual(0)
    expect(shown.filter(({ kind }) => kind === 'tag')).toEqual([])
  }
  for (let i = 0; i < bytes.length; i++) {
    const damaged = Buffer.from(bytes)
    damaged[i]! ^= 0xff
    expect(() => decodeMysql(damaged, LIMITS)).not.toThrow()
  }
})

test('rows beyond the limit are counted', () => {
  const rows = Array.from({ length: 5 }, (_, i) => text(String(i)))
  expect(
    decodeMysql(packets('01', id, EOF, ...rows, EOF), { ...LIMITS, rowsMax: 2 }).shown,
  ).toMatchObject([{ rows: [['0'], ['1']], rowsOmitted: 3 }, { tag: '5 rows in set' }])
})

test('a prepared statement, progress, and a file that was asked for', () => {
  const prepared = packets('00010000000200010000' + '0000', id, id, EOF, name, name, EOF)
  expect(decodeMysql(prepared, { ...LIMITS, interface: 'prepare' })).toEqual({
    shown: [{ kind: 'tag', tag: 'prepared, 1 parameters, 2 columns' }],
    tornBytes: 0,
  })
  const progress = Buffer.from([
    0xff,
    0xff,
    0xff,
    1,
    1,
    2,
    0x10,
    0x27,
    0,
    4,
    ...Buffer.from('copy'),
  ])
  expect(decodeMysql(packets(progress, ok(0)), LIMITS).shown).toEqual([
    { kind: 'notice', severity: 'PROGRESS', code: '', message: 'copy: stage 1 of 2, 10.0 %' },
    { kind: 'tag', tag: 'Query OK, 0 rows affected' },
  ])
  expect(decodeMysql(packets(Buffer.from('\xfb/tmp/a.csv', 'latin1')), LIMITS).shown).toEqual([
    { kind: 'tag', tag: 'the server asks for the file /tmp/a.csv' },
  ])
  const sent = Buffer.from('1,Ann\n2,Bob\n')
  expect(decodeMysqlInput(sent, 6).copy).toEqual({
    ...{
      kind: 'copy',
      direction: 'in',
      text: '1,Ann\n',
      bytes: 12,
      bytesOmitted: 6,
      binary: false,
    },
  })
})
