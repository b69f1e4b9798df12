/** COPY data, cut anywhere: what is masked is, and everything else is byte for byte what it was. */
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { MaskCounts, Rewritten } from '../../masks'
import { type FieldPlan, ResultPlan } from './answers'
import { type CopyFormat, CopyMasker, TEXT_FORMAT } from './copy'

const key = randomBytes(32)
const field = (masked: boolean): FieldPlan => ({
  mask: masked ? { rule: 'r', column: 's.t.c', spec: { action: 'redact' }, revealed: false } : null,
  detector: null,
  label: null,
  type: { kind: 'text', isArray: false },
  oid: 25,
  isBinary: false,
  rewrite: null,
})
const CSV: CopyFormat = { ...TEXT_FORMAT, format: 'csv', delimiter: ',', null: '' }

function through(format: CopyFormat, masked: boolean[], pieces: Buffer[]): string {
  const plan = new ResultPlan(masked.map(field), new MaskCounts(), key, 'redact', true)
  const masker = new CopyMasker(format, plan, 1 << 20)
  const out = new Rewritten(Buffer.alloc(0), 0)
  for (const piece of pieces) masker.push(piece, 0, piece.length, out)
  masker.end(out)
  return out.bytes.toString('utf8', 0, out.length)
}

const whole = (format: CopyFormat, masked: boolean[], text: string) =>
  through(format, masked, [Buffer.from(text)])

test('text: escapes, NULL, the end mark', () => {
  expect(whole(TEXT_FORMAT, [false, true], '1\tAda\n2\t\\N\n3\t\\\\N\n4\ta\\\nb\\tc\n\\.\n')).toBe(
    '1\t[masked]\n2\t\\N\n3\t[masked]\n4\t[masked]\n\\.\n',
  )
})

test('CSV: quotes, lines within them, NULL, other marks, a header', () => {
  expect(
    whole({ ...CSV, header: true }, [false, true], 'id,name\r\n1,"a ""b"",\nc"\r\n2,\r\n3,""\r\n'),
  ).toBe('id,name\r\n1,[masked]\r\n2,\r\n3,[masked]\r\n')
  expect(
    whole({ ...CSV, delimiter: ';', quote: "'", escape: '\\' }, [true, false], "'a\\';';b\n"),
  ).toBe('[masked];b\n')
  // What takes its place may need quotes itself.
  expect(whole({ ...CSV, delimiter: 'm' }, [false, true], '1mx\n')).toBe('1m"[masked]"\n')
  expect(whole({ ...CSV, null: '[masked]' }, [true], 'x\n')).toBe('"[masked]"\n')
})

test('a row that is longer than may be kept is refused, with a code of masking', () => {
  expect(() => whole(TEXT_FORMAT, [true], 'x'.repeat((1 << 20) + 1))).toThrow(
    expect.objectContaining({ code: 'CUSTODY-MASK-004' }),
  )
})

test('a row with other columns than foreseen has nothing left in it', () => {
  expect(whole(TEXT_FORMAT, [false, false], 'a\tb\tc\n')).toBe('\\N\t\\N\t\\N\n')
})

test('binary: header, rows, NULL, the end', () => {
  const row = (...values: (string | null)[]) => {
    const parts = [Buffer.from([0, values.length])]
    for (const value of values) {
      const size = Buffer.alloc(4)
      size.writeInt32BE(value === null ? -1 : value.length)
      parts.push(size, Buffer.from(value ?? ''))
    }
    return Buffer.concat(parts)
  }
  const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
  const end = Buffer.from([0xff, 0xff])
  const data = Buffer.concat([header, row('a', 'secret'), row(null, null), end])
  const wanted = Buffer.concat([header, row('a', '[masked]'), row(null, null), end])
  for (let at = 0; at <= data.length; at++)
    expect(
      through(
        { ...TEXT_FORMAT, format: 'binary' },
        [false, true],
        [data.subarray(0, at), data.subarray(at)],
      ),
    ).toBe(wanted.toString())
})

test('cut anywhere it comes to the same, and without masks it stays as it was', () => {
  const value = fc.string({
    unit: fc.constantFrom('a', '\n', '\r', '\t', '\\', '"', ',', 'é', 'N', '.'),
  })
  const csvRow = (values: string[]) =>
    values.map((one) => `"${one.replaceAll('"', '""')}"`).join(',')
  const textRow = (values: string[]) =>
    values
      .map((one) =>
        one.replace(
          /[\\\n\r\t]/g,
          (c) => ({ '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c]!,
        ),
      )
      .join('\t')
  fc.assert(
    fc.property(
      fc.array(fc.tuple(value, value, value), { maxLength: 5 }),
      fc.boolean(),
      fc.array(fc.nat(200), { maxLength: 6 }),
      (rows, isCsv, cuts) => {
        const format = isCsv ? CSV : TEXT_FORMAT
        const data = Buffer.from(rows.map((row) => `${(isCsv ? csvRow : textRow)(row)}\n`).join(''))
        const places = [
          0,
          ...cuts.map((cut) => Math.min(cut, data.length)).sort((a, b) => a - b),
          data.length,
        ]
        const pieces = places.slice(1).map((to, i) => data.subarray(places[i], to))
        expect(through(format, [false, false, false], pieces)).toBe(data.toString())
        const masked = through(format, [false, true, false], pieces)
        expect(masked).toBe(whole(format, [false, true, false], data.toString()))
        expect(masked.split('[masked]').length - 1).toBe(rows.length)
      },
    ),
    { numRuns: 500 },
  )
})
