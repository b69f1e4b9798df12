/**
 * Made-up values for proving detectors: valid ones of each kind, and ordinary ones that must be left alone. Built from the
 * rules of their issuers, by other code than the detectors'. Tests only; nothing of it is anybody's.
 */
export interface Random {
  /** At least 0 and less than `below`. */
  int(below: number): number
}

const digits = (r: Random, length: number) => Array.from({ length }, () => r.int(10)).join('')
const pick = <T>(r: Random, of: readonly T[]): T => of[r.int(of.length)]!
const letters = (r: Random, length: number, from = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') =>
  Array.from({ length }, () => from[r.int(from.length)]).join('')
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const HEX = '0123456789abcdef'

/** The digit that makes the sum right is found by trying all ten. */
function completed(body: string, isRight: (whole: string) => boolean): string {
  for (let digit = 0; digit < 10; digit++) if (isRight(body + digit)) return body + digit
  return ''
}

function luhnSum(text: string): number {
  return [...text].reverse().reduce((sum, c, i) => {
    const twice = Number(c) * (i % 2 === 1 ? 2 : 1)
    return sum + Math.floor(twice / 10) + (twice % 10)
  }, 0)
}

function grouped(text: string, lengths: readonly number[], mark: string): string {
  let at = 0
  return lengths
    .map((length) => {
      at += length
      return text.slice(at - length, at)
    })
    .join(mark)
}

const CARDS: readonly [prefix: string, length: number][] = [
  ['4', 16],
  ['51', 16],
  ['55', 16],
  ['2221', 16],
  ['2720', 16],
  ['34', 15],
  ['37', 15],
  ['6011', 16],
  ['65', 16],
  ['3528', 16],
  ['36', 14],
  ['62', 16],
]

const VALID: Record<string, (r: Random) => string> = {
  card(r) {
    const [prefix, length] = pick(r, CARDS)
    const whole = completed(
      prefix + digits(r, length - prefix.length - 1),
      (text) => luhnSum(text) % 10 === 0,
    )
    const shape = length === 15 ? [4, 6, 5] : length === 14 ? [4, 6, 4] : [4, 4, 4, 4]
    return pick(r, [whole, grouped(whole, shape, ' '), grouped(whole, shape, '-')])
  },
  iban(r) {
    const [country, shape] = pick(r, [
      ['DE', 18],
      ['ES', 20],
      ['FR', 23],
      ['NL', 14],
      ['GB', 18],
      ['BE', 12],
    ] as const)
    const account =
      country === 'NL' || country === 'GB' ? letters(r, 4) + digits(r, shape - 4) : digits(r, shape)
    const number = [...`${account}${country}00`]
      .map((c) => (c >= 'A' ? String(c.charCodeAt(0) - 55) : c))
      .join('')
    const check = String(98n - (BigInt(number) % 97n)).padStart(2, '0')
    const whole = country + check + account
    return pick(r, [whole, whole.replace(/(.{4})(?=.)/g, '$1 ')])
  },
  email: (r) =>
    `${letters(r, 1 + r.int(8), 'abcdefghijklmnop')}${pick(r, ['', '.x', '+tag', '_1', '-b'])}@${letters(r, 2 + r.int(8), 'abcdefgh')}${pick(r, ['.com', '.co.uk', '.example.org', '.io', '.museum'])}`,
  phone: (r) =>
    pick(r, [
      `+34 6${digits(r, 2)} ${digits(r, 3)} ${digits(r, 3)}`,
      `+49 (0)30 ${digits(r, 4)} ${digits(r, 3)}`,
      `+1 ${2 + r.int(8)}12-${2 + r.int(8)}55-${digits(r, 4)}`,
      `+44 20 ${digits(r, 4)} ${digits(r, 4)}`,
      `(${2 + r.int(8)}02) ${2 + r.int(8)}55-${digits(r, 4)}`,
      `${2 + r.int(8)}02-${2 + r.int(8)}55-${digits(r, 4)}`,
      `+3361${digits(r, 7)}`,
    ]),
  'us-ssn': (r) =>
    `${String(1 + r.int(665)).padStart(3, '0')}-${String(1 + r.int(99)).padStart(2, '0')}-${String(1 + r.int(9999)).padStart(4, '0')}`,
  'es-dni'(r) {
    const number = digits(r, 8)
    const nie = r.int(2) === 1
    const of = nie ? r.int(3) + number.slice(1) : number
    const letter = 'TRWAGMYFPDXBNJZSQVHLCKE'[Number(of) % 23]
    return nie ? `${'XYZ'[Number(of[0])]}${of.slice(1)}${letter}` : `${number}${letter}`
  },
  'fr-nir'(r) {
    const body = `${1 + r.int(2)}${digits(r, 2)}${String(1 + r.int(12)).padStart(2, '0')}${digits(r, 8)}`
    const whole = body + String(97 - Number(BigInt(body) % 97n)).padStart(2, '0')
    return pick(r, [whole, grouped(whole, [1, 2, 2, 2, 3, 3, 2], ' ')])
  },
  'br-cpf'(r) {
    const check = (text: string) => {
      const sum = [...text].reduce((all, c, i) => all + Number(c) * (text.length + 1 - i), 0)
      return String(((sum * 10) % 11) % 10)
    }
    const nine = `${1 + r.int(9)}${digits(r, 8)}`
    const ten = nine + check(nine)
    const whole = ten + check(ten)
    return `${whole.slice(0, 3)}.${whole.slice(3, 6)}.${whole.slice(6, 9)}-${whole.slice(9)}`
  },
  'br-cnpj'(r) {
    const check = (text: string) => {
      const sum = [...text].reverse().reduce((all, c, i) => all + Number(c) * (2 + (i % 8)), 0)
      return String(sum % 11 < 2 ? 0 : 11 - (sum % 11))
    }
    const twelve = `${1 + r.int(9)}${digits(r, 11)}`
    const whole = twelve + check(twelve) + check(twelve + check(twelve))
    return `${whole.slice(0, 2)}.${whole.slice(2, 5)}.${whole.slice(5, 8)}/${whole.slice(8, 12)}-${whole.slice(12)}`
  },
  'uk-nino': (r) =>
    `${letters(r, 1, 'ACEHJLMPRSW')}${letters(r, 1, 'ABCEHJLMPRSW')}${digits(r, 6)}${letters(r, 1, 'ABCD')}`,
  jwt: (r) =>
    [
      Buffer.from(JSON.stringify({ alg: pick(r, ['HS256', 'RS256', 'EdDSA']), typ: 'JWT' })),
      Buffer.from(JSON.stringify({ sub: letters(r, 6), exp: r.int(2 ** 31) })),
      Buffer.from(letters(r, 32, BASE62)),
    ]
      .map((part) => part.toString('base64url'))
      .join('.'),
  'private-key': (r) => {
    const kind = pick(r, ['', 'RSA ', 'EC ', 'OPENSSH ', 'ENCRYPTED '])
    return `-----BEGIN ${kind}PRIVATE KEY-----\n${letters(r, 64, BASE62)}\n${letters(r, 40, BASE62)}==\n-----END ${kind}PRIVATE KEY-----`
  },
  token: (r) =>
    pick(r, [
      () => `AKIA${letters(r, 16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}`,
      () => `ghp_${letters(r, 36, BASE62)}`,
      () => `glpat-${letters(r, 20, BASE62)}`,
      () => `xoxb-${digits(r, 12)}-${digits(r, 12)}-${letters(r, 24, BASE62)}`,
      () => `sk_live_${letters(r, 24, BASE62)}`,
      () => `AIza${letters(r, 35, `${BASE62}_-`).replace(/-$/, 'x')}`,
      () => `npm_${letters(r, 36, BASE62)}`,
      () => `hvs.${letters(r, 24, BASE62)}`,
    ])(),
}

export const validOf = (detector: string, r: Random): string => VALID[detector]!(r)
export const VALID_KINDS: readonly string[] = Object.keys(VALID)

const WORDS =
  'the order was shipped to a customer who asked for tea and paper on monday before noon because it rained in the city where nobody waits for long trains or bread'.split(
    ' ',
  )
const STREETS = ['Calle Mayor', 'Rue de Rivoli', 'Baker Street', 'Unter den Linden', 'Main St']

const ORDINARY: Record<string, (r: Random) => string> = {
  address: (r) =>
    `${pick(r, STREETS)} ${1 + r.int(300)}, ${digits(r, 5)} ${pick(r, ['Madrid', 'Paris', 'London NW1 6XE', 'Springfield IL'])}`,
  order: (r) =>
    pick(r, [
      () => `ORD-${2020 + r.int(7)}-${digits(r, 6)}`,
      () => `#${digits(r, 8)}`,
      () => `INV/${2020 + r.int(7)}/${digits(r, 5)}`,
      () => digits(r, 10),
      () => `PO${digits(r, 9)}`,
      () => `1${digits(r, 15)}`,
    ])(),
  hash: (r) => letters(r, pick(r, [32, 40, 64]), HEX),
  uuid: (r) =>
    `${letters(r, 8, HEX)}-${letters(r, 4, HEX)}-4${letters(r, 3, HEX)}-a${letters(r, 3, HEX)}-${letters(r, 12, HEX)}`,
  timestamp: (r) =>
    pick(r, [
      () => new Date(r.int(2 ** 31) * 1000).toISOString(),
      () => new Date(r.int(2 ** 31) * 1000).toISOString().replace('T', ' ').replace('Z', '+00'),
      () => String(1_700_000_000_000 + r.int(2 ** 31)),
      () => String(1_700_000_000 + r.int(10 ** 8)),
    ])(),
  amount: (r) =>
    pick(r, [() => `${digits(r, 4)}.${digits(r, 2)}`, () => `-${digits(r, 3)}.${digits(r, 6)}`])(),
  prose: (r) => Array.from({ length: 8 + r.int(30) }, () => pick(r, WORDS)).join(' '),
  json: (r) =>
    JSON.stringify({
      id: r.int(10 ** 9),
      sku: `T-${digits(r, 4)}`,
      tags: [pick(r, WORDS), pick(r, WORDS)],
      at: new Date(r.int(2 ** 31) * 1000),
    }),
  path: (r) => `/var/lib/app/${letters(r, 8, HEX)}/${pick(r, WORDS)}_${digits(r, 3)}.log`,
  version: (r) => `v${r.int(9)}.${r.int(40)}.${r.int(90)}-rc.${r.int(9)}`,
  base64: (r) => Buffer.from(letters(r, 24 + r.int(40), BASE62)).toString('base64'),
  url: (r) => `https://shop.example.com/p/${r.int(10 ** 6)}?ref=${letters(r, 6, BASE62)}`,
}

export const ordinaryOf = (kind: string, r: Random): string => ORDINARY[kind]!(r)
export const ORDINARY_KINDS: readonly string[] = Object.keys(ORDINARY)
