/**
 * The values that must not be seen: made up, the same in every run, and like nothing else. Column canaries look like nothing
 * that a detector knows, so only the place they come from gives them away; detector canaries are valid ones of their kind.
 */
import { seeded } from '@custody/test-support'
import {
  type Spelling,
  spellingsOfDay,
  spellingsOfDecimal,
  spellingsOfDigits,
  spellingsOfInteger,
  spellingsOfText,
  spellingsOfUuid,
} from './spellings'

export interface Canary {
  /** Such as `email 2` or `card`. */
  name: string
  value: string
  /** What of it is unmistakable, and is asked for by statements. */
  core: string
  spellings: readonly Spelling[]
}

const random = seeded(20_260_101)
const int = (below: number) => Math.floor(random() * below)
const pick = (from: string, length: number) =>
  Array.from({ length }, () => from[int(from.length)]).join('')

const LETTERS = 'bcdfghjklmnpqrtvwxyz'
const DIGITS = '0123456789'

export const word = (length = 18): string => `q${pick(LETTERS, length - 1)}`

function text(name: string, value: string, core = value): Canary {
  return { name, value, core, spellings: spellingsOfText(value, core) }
}

function digits(name: string, value: string): Canary {
  return { name, value, core: value, spellings: spellingsOfDigits(value) }
}

/** Those of one row of the table whose columns are masked. */
export interface Row {
  name: Canary
  email: Canary
  card: Canary
  phone: Canary
  secret: Canary
  note: Canary
  deep: Canary
  tag: Canary
  tag2: Canary
  born: Canary
  salary: Canary
  account: Canary
  token: Canary
  blob: Canary
  street: Canary
  attr: Canary
  doc: Canary
}

function row(n: number): Row {
  const [email, left, right] = [word(), word(9), word(9)]
  const born = `3${pick('1234567', 1)}${pick(DIGITS, 1)}${n}-0${1 + int(8)}-1${int(9)}`
  const salary = `${1 + int(8)}${pick(DIGITS, 12)}.${1 + int(8)}7`
  const account = `5${pick(DIGITS, 15)}`
  const hex = pick('0123456789abcdef', 32)
  const uuid = hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5')
  return {
    name: text(`name ${n}`, word()),
    email: text(`email ${n}`, `${email}(at)nowhere`, email),
    card: digits(`card_number ${n}`, `9${pick(DIGITS, 16)}`),
    phone: digits(`phone ${n}`, `8${pick(DIGITS, 17)}`),
    // What each way of quoting writes otherwise.
    secret: text(`secret ${n}`, `${left}é"'\\&<,${right}`),
    note: text(`notes ${n}`, word()),
    deep: text(`notes ${n}, deeper`, word()),
    tag: text(`tags ${n}`, word()),
    tag2: text(`tags ${n}, second`, word()),
    born: { name: `born ${n}`, value: born, core: born, spellings: spellingsOfDay(born) },
    salary: {
      name: `salary ${n}`,
      value: salary,
      core: salary,
      spellings: spellingsOfDecimal(salary),
    },
    account: {
      name: `account ${n}`,
      value: account,
      core: account,
      spellings: spellingsOfInteger(BigInt(account)),
    },
    token: { name: `token ${n}`, value: uuid, core: uuid, spellings: spellingsOfUuid(uuid) },
    blob: text(`blob ${n}`, word()),
    street: text(`address ${n}`, word()),
    attr: text(`attrs ${n}`, word()),
    doc: text(`doc ${n}`, word()),
  }
}

export const ROWS: readonly [Row, Row, Row] = [row(1), row(2), row(3)]

/** In masked columns of other tables. */
export const OTHERS = {
  orderEmail: text('orders.email', word()),
  login: text('logins.who', word()),
  visit: text('visits_1.who', word()),
}

const luhn = (body: string): string => {
  for (const digit of DIGITS) {
    const sum = [...(body + digit)].reverse().reduce((total, c, i) => {
      const twice = Number(c) * (i % 2 === 1 ? 2 : 1)
      return total + Math.floor(twice / 10) + (twice % 10)
    }, 0)
    if (sum % 10 === 0) return body + digit
  }
  return body
}

function iban(): string {
  const account = pick(DIGITS, 18)
  const check = String(98n - (BigInt(`${account}131400`) % 97n)).padStart(2, '0')
  return `DE${check}${account}`
}

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const MIXED = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789'
const emailWord = word()
const keyBody = Buffer.from(Array.from({ length: 96 }, () => int(256))).toString('base64')

/** Valid ones of their kinds, for places that no rule names. */
export const DETECTED = {
  card: digits('a card', luhn(`4539${pick(DIGITS, 11)}`)),
  iban: digits('an IBAN', iban()),
  email: text('an e-mail address', `${emailWord}@${word(10)}.com`, emailWord),
  aws: text('an AWS key', `AKIA${pick('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`),
  github: text('a GitHub token', `ghp_${pick(MIXED, 36)}`),
  jwt: text(
    'a JWT',
    `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ sub: word() })}.${pick(MIXED, 43)}`,
  ),
  key: text(
    'a private key',
    `-----BEGIN PRIVATE KEY-----\n${keyBody.slice(0, 64)}\n${keyBody.slice(64)}\n-----END PRIVATE KEY-----`,
    keyBody.slice(4, 60),
  ),
  ssn: text(
    'a US social security number',
    `5${pick('12345678', 2)}-4${int(9) + 1}-7${pick('123456789', 3)}`,
  ),
  phone: text('a telephone number', `+4366${pick(DIGITS, 9)}`),
} as const

const told = new Map<string, Canary>()

/** A value that the client itself says, by the name of the way it does; only the record must not have it. */
export function toldCanary(name: string): Canary {
  const known = told.get(name)
  if (known) return known
  // By its name, so that it is the same whatever was asked for before.
  let seed = 17
  for (const c of name) seed = (Math.imul(seed, 31) + c.charCodeAt(0)) | 0
  const own = seeded(seed)
  const letters = Array.from({ length: 19 }, () => LETTERS[Math.floor(own() * LETTERS.length)])
  const made = text(`told: ${name}`, `q${letters.join('')}`)
  told.set(name, made)
  return made
}

/** Of all that was made so far; the ways that tell values are to be loaded before. */
export function allCanaries(): Canary[] {
  return [
    ...ROWS.flatMap((one) => Object.values(one) as Canary[]),
    ...Object.values(OTHERS),
    ...Object.values(DETECTED),
    ...told.values(),
  ]
}

/** Those that the client has to get for a way to be proven. */
export const columnCanaries = (): Canary[] => [
  ...ROWS.flatMap((one) => Object.values(one) as Canary[]),
  ...Object.values(OTHERS),
]
