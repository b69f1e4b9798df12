/** What a Bind carries, read as the target reads it; whatever the bytes are, nothing but a clear error comes of bad ones. */
import fc from 'fast-check'
import { readParameters, resultFormats, withFormats } from './parameters'
import { WireError } from './wire'

const INT4 = 23
const TEXT = 25

function int16(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 2)
  for (const [i, number] of numbers.entries()) bytes.writeInt16BE(number, i * 2)
  return bytes
}

/** Bind's body from the formats of its parameters on. */
function bound(formats: number[], values: (Buffer | null)[], results: number[]): Buffer {
  const parts = [int16(formats.length, ...formats), int16(values.length)]
  for (const value of values) {
    const length = Buffer.alloc(4)
    length.writeInt32BE(value === null ? -1 : value.length)
    parts.push(length)
    if (value !== null) parts.push(value)
  }
  return Buffer.concat([...parts, int16(results.length, ...results)])
}

function read(values: Buffer, oids: number[] = [], encoding = 'UTF8', bytesMax = 1 << 20) {
  return readParameters(values, oids, encoding, bytesMax)?.map(({ type, value, bytes, cut }) => ({
    type,
    value: value == null ? null : value.toString(),
    bytes,
    cut,
  }))
}

test('texts without a format, binary values by the one format for all, and each in its own', () => {
  const two = Buffer.from([0, 0, 0, 2])
  expect(read(bound([], [Buffer.from('one'), null], []), [TEXT])).toEqual([
    { type: 'text', value: 'one', bytes: 3, cut: false },
    { type: '', value: null, bytes: undefined, cut: undefined },
  ])
  expect(read(bound([1], [two, two], []), [INT4, INT4])?.map(({ value }) => value)).toEqual([
    '2',
    '2',
  ])
  expect(
    read(bound([0, 1], [Buffer.from('two'), two], []), [TEXT, INT4])?.map(({ value }) => value),
  ).toEqual(['two', '2'])
  expect(read(bound([], [], []))).toBeUndefined()
})

test('a text is kept in the encoding of its client', () => {
  expect(read(bound([], [Buffer.from([0xe9])], []), [TEXT], 'LATIN1')?.[0]?.value).toBe('é')
})

test('of all values together no more is kept than asked for, and what is cut says how long it was', () => {
  const kept = read(bound([], [Buffer.from('abcd'), Buffer.from('efgh')], []), [], 'UTF8', 6)
  expect(kept).toEqual([
    { type: '', value: 'abcd', bytes: 4, cut: false },
    { type: '', value: 'ef', bytes: 4, cut: true },
  ])
})

test('formats of the rows stand behind whatever values there are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0, 1), { maxLength: 4 }),
      fc.array(fc.option(fc.uint8Array({ maxLength: 8 })), { maxLength: 4 }),
      fc.array(fc.constantFrom(0, 1), { maxLength: 4 }),
      (formats, values, results) => {
        const bytes = bound(
          formats,
          values.map((value) => value && Buffer.from(value)),
          results,
        )
        const before = Buffer.from('portal\0statement\0')
        const whole = Buffer.concat([before, bytes])
        expect(resultFormats(whole, before.length, whole.length)).toEqual(results)
      },
    ),
  )
})

test('parameters cut off anywhere are refused as that', () => {
  const whole = bound([1], [Buffer.from([0, 0, 0, 2]), Buffer.from([0, 0, 0, 3])], [])
  // The formats of rows at its end are not parameters.
  const length = whole.length - 2
  for (let end = 0; end < length; end++)
    expect(() => read(whole.subarray(0, end), [INT4, INT4])).toThrow(WireError)
  expect(read(whole.subarray(0, length), [INT4, INT4])).toHaveLength(2)
})

test('rows come in no format, one for all, or one each', () => {
  const field = { name: 'a', relation: 0, number: 0, typeOid: TEXT, format: 0 }
  const formatsOf = (formats: number[]) =>
    withFormats([field, field], formats).map(({ format }) => format)
  expect(formatsOf([])).toEqual([0, 0])
  expect(formatsOf([1])).toEqual([1, 1])
  expect(formatsOf([0, 1])).toEqual([0, 1])
})
