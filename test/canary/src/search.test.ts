/** Each way to write each kind of value is found, wherever it is cut; and nothing is found where nothing is. */
import { randomBytes } from 'node:crypto'
import { createScanner } from '@custody/masking'
import { Searcher } from './search'
import { columnCanaries, DETECTED, ROWS, toldCanary } from './values'

const [row] = ROWS
const searcher = new Searcher([...columnCanaries(), ...Object.values(DETECTED)])
const names = (bytes: Buffer | string, parts = false) =>
  new Set(searcher.find(Buffer.from(bytes as string), { parts }).map(({ canary }) => canary.name))

const forms: [form: string, of: (value: string) => string | Buffer][] = [
  ['as it is', (v) => v],
  ['upper case', (v) => v.toUpperCase()],
  ['lower case', (v) => v.toLowerCase()],
  ['reversed', (v) => [...v].reverse().join('')],
  ['hexadecimal', (v) => Buffer.from(v).toString('hex')],
  ['hexadecimal, capitals', (v) => Buffer.from(v).toString('hex').toUpperCase()],
  ['hexadecimal of UTF-16', (v) => Buffer.from(v, 'utf16le').toString('hex')],
  ['UTF-16', (v) => Buffer.from(v, 'utf16le')],
  ['UTF-16, big end first', (v) => Buffer.from(v, 'utf16le').swap16()],
  ['base64', (v) => Buffer.from(v).toString('base64')],
  ['base64, one byte on', (v) => Buffer.from(`x${v}y`).toString('base64')],
  ['base64, two bytes on', (v) => Buffer.from(`xx${v}yy`).toString('base64')],
  ['base64url', (v) => Buffer.from(`xx${v}yy`).toString('base64url')],
  ['base64 of UTF-16', (v) => Buffer.from(v, 'utf16le').toString('base64')],
  ['URL', encodeURIComponent],
  ['JSON', (v) => JSON.stringify({ v })],
  ['JSON in JSON', (v) => JSON.stringify(JSON.stringify(v).slice(1, -1)).slice(1, -1)],
  ['split by spaces', (v) => [...v].join(' ')],
  ['split by commas', (v) => [...v].join(',')],
  ['codes', (v) => [...v].map((c) => c.codePointAt(0)).join(',')],
]

describe.each(forms)('%s', (form, of) => {
  test.each([
    ['name', row.name],
    ['email', row.email],
    ['secret', row.secret],
    ['card_number', row.card],
    ['token', row.token],
    ['a card', DETECTED.card],
    ['an IBAN', DETECTED.iban],
    ['a JWT', DETECTED.jwt],
    ['a private key', DETECTED.key],
  ])('%s', (_, canary) => {
    if (form === 'JSON in JSON' && canary === row.secret) return
    const bytes = Buffer.concat([Buffer.from('before '), Buffer.from(of(canary.value) as string)])
    expect(names(bytes)).toContain(canary.name)
  })
})

test('numbers, days and identifiers as programs hold them', () => {
  const eight = Buffer.alloc(8)
  eight.writeBigInt64BE(BigInt(row.account.value))
  expect(names(eight)).toContain(row.account.name)
  expect(names(BigInt(row.account.value).toString(16))).toContain(row.account.name)
  expect(names(Number(row.account.value).toLocaleString('en'))).toContain(row.account.name)
  eight.writeDoubleBE(Number(row.salary.value))
  expect(names(eight)).toContain(row.salary.name)
  expect(names(row.salary.value.split('.')[0]!)).toContain(row.salary.name)
  const [year, month, day] = row.born.value.split('-')
  expect(names(`${day}.${month}.${year}`)).toContain(row.born.name)
  eight.writeInt32BE(4, 0)
  eight.writeInt32BE(Date.parse(row.born.value) / 86_400_000 - 10_957, 4)
  expect(names(eight)).toContain(row.born.name)
  expect(names(Buffer.from(row.token.value.replaceAll('-', ''), 'hex'))).toContain(row.token.name)
})

test('cards, with marks between', () => {
  const { name, value } = DETECTED.card
  for (const mark of [' ', '-', '.'])
    expect(names(value.replaceAll(/(.{4})(?=.)/g, `$1${mark}`))).toContain(name)
})

test('cut anywhere, and where it began', () => {
  const whole = Buffer.from(`some bytes before ${row.name.value} and behind`)
  for (let cut = 1; cut < whole.length; cut++) {
    const search = searcher.begin()
    search.take(whole.subarray(0, cut))
    search.take(whole.subarray(cut))
    expect(search.hits()).toMatchObject([{ canary: { name: row.name.name }, at: 18 }])
  }
  const byByte = searcher.begin()
  for (const byte of whole) byByte.take(Buffer.from([byte]))
  expect(byByte.hits()).toMatchObject([{ canary: { name: row.name.name }, at: 18 }])
})

test('parts only where they are asked for', () => {
  const part = row.name.value.slice(4, 12)
  expect(names(part).size).toBe(0)
  expect(names(part, true)).toEqual(new Set([row.name.name]))
})

test('nothing in what has nothing', () => {
  expect(searcher.find(randomBytes(8 * 1024 * 1024), {})).toEqual([])
  expect(names('', true).size).toBe(0)
  expect(names('[REDACTED] **** **** **** 1234 ada@example.com').size).toBe(0)
})

test('detectors know the ones they should, and no others', () => {
  const scan = (text: string) =>
    createScanner().scan(Buffer.from(text), 0, Buffer.byteLength(text), [])
  for (const { name, value } of Object.values(DETECTED))
    expect([name, scan(`it is ${value} .`)]).toEqual([name, 1])
  for (const { name, value } of [...columnCanaries(), toldCanary('anything')])
    expect([name, scan(`it is ${value} .`)]).toEqual([name, 0])
})
