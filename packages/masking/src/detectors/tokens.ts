/**
 * Tokens and keys of services by how they begin, and secrets by the word before them. One pass over what follows a
 * beginning, and no further than a token of its kind can be long.
 * Refuses a beginning that is not followed by what its issuer writes: right characters, right length, and an end.
 */
import { isAsciiWord } from '../bytes'
import type { Span } from './words'

/** Kinds of characters that tokens are made of. */
const DIGITS = 1
const UPPERS = 2
const LOWERS = 4
const HEXES = 8
const UNDERSCORE = 16
const DASH = 32
const DOT = 64
const BASE64 = 128
/** A to Z and 2 to 7. */
const BASE32 = 256
const COLON = 512
const SLASH = 1024

const KINDS = new Uint16Array(256)
for (let c = 0x30; c <= 0x39; c++) KINDS[c] = DIGITS | HEXES | (c >= 0x32 && c <= 0x37 ? BASE32 : 0)
for (let c = 0x41; c <= 0x5a; c++) KINDS[c] = UPPERS | BASE32 | (c <= 0x46 ? HEXES : 0)
for (let c = 0x61; c <= 0x7a; c++) KINDS[c] = LOWERS | (c <= 0x66 ? HEXES : 0)
KINDS[0x5f] = UNDERSCORE
KINDS[0x2d] = DASH
KINDS[0x2e] = DOT
KINDS[0x2b] = BASE64
KINDS[0x2f] = BASE64 | SLASH
KINDS[0x3d] = BASE64
KINDS[0x3a] = COLON

const ALNUM = DIGITS | UPPERS | LOWERS
const URLSAFE = ALNUM | UNDERSCORE | DASH

interface TokenShape {
  prefix: string
  kinds: number
  min: number
  max: number
  /** Where further marks have to stand. */
  body?: RegExp
}

const shapes = (
  prefixes: string,
  kinds: number,
  min: number,
  max = min,
  body?: RegExp,
): TokenShape[] =>
  prefixes.split(' ').map((prefix) => ({ prefix, kinds, min, max, ...(body && { body }) }))

/** As issuers document them, and as secretlint's and gitleaks' rules have them. */
const TOKENS: readonly TokenShape[] = [
  // AWS: identifiers of keys, roles and users.
  ...shapes('AKIA ASIA ABIA ACCA AGPA AIDA AROA AIPA ANPA ANVA', BASE32, 16),
  ...shapes('ghp_ gho_ ghu_ ghs_ ghr_', ALNUM | UNDERSCORE, 36, 255),
  ...shapes('github_pat_', ALNUM | UNDERSCORE, 82, 82, /^[A-Za-z0-9]{22}_[A-Za-z0-9]{59}$/),
  ...shapes(
    'glpat- gldt- glrt- glptt- glcbt- glsoat- glffct- glimt- glagent-',
    URLSAFE | DOT,
    20,
    128,
  ),
  ...shapes(
    'xoxb- xoxp- xoxa- xoxo- xoxr- xoxs- xapp- xoxe- xoxe.xoxp- xoxc- xoxd-',
    ALNUM | DASH,
    20,
    250,
  ),
  ...shapes('sk_live_ rk_live_ sk_test_ rk_test_', ALNUM, 16, 247),
  ...shapes('whsec_', ALNUM | BASE64, 24, 100),
  ...shapes('AIza', URLSAFE, 35),
  ...shapes('GOCSPX-', URLSAFE, 28),
  ...shapes('ya29.', URLSAFE, 20, 2048),
  ...shapes('npm_', ALNUM, 36),
  ...shapes('pypi-AgEIcHlwaS5vcmc pypi-AgENdGVzdC5weXBpLm9yZw', URLSAFE, 50, 2048),
  ...shapes('dop_v1_ doo_v1_ dor_v1_', HEXES, 64),
  ...shapes('shpat_ shpca_ shppa_ shpss_', ALNUM, 32, 64),
  ...shapes('sk-ant-', URLSAFE, 20, 200),
  ...shapes('sk-proj- sk-svcacct- sk-admin- sk-None-', URLSAFE, 20, 250),
  ...shapes('sk-or-v1-', HEXES, 64),
  ...shapes('sk-', ALNUM, 48),
  ...shapes('gsk_', ALNUM, 52),
  ...shapes('xai-', ALNUM, 80),
  ...shapes('pplx-', ALNUM, 48),
  ...shapes('r8_', ALNUM, 37),
  ...shapes('hf_ api_org_', ALNUM, 34, 40),
  ...shapes('hvs. hvb. hvr.', URLSAFE, 24, 300),
  ...shapes('SG.', URLSAFE | DOT, 33, 97, /^[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}$/),
  // Twilio: accounts, keys.
  ...shapes('AC SK', HEXES, 32, 32, /^[0-9a-f]{32}$/),
  // Mailgun, Mailchimp.
  ...shapes('key-', HEXES, 32),
  // Discord: who, when, and proof; the first part is a number in base64.
  ...shapes('M N O', URLSAFE | DOT, 57, 80, /^[\w-]{22,25}\.[\w-]{6}\.[\w-]{27,45}$/),
  ...shapes('figd_', URLSAFE, 40, 200),
  ...shapes('dckr_pat_', URLSAFE, 27),
  ...shapes('dapi', HEXES, 32),
  ...shapes('glsa_', ALNUM | UNDERSCORE, 41, 41, /^[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}$/),
  ...shapes('glc_', ALNUM | BASE64, 32, 400),
  ...shapes('lin_api_', ALNUM, 40),
  ...shapes('ntn_', ALNUM, 40, 60),
  ...shapes('secret_', ALNUM, 43),
  ...shapes('vcp_ vci_ vca_ vcr_ vck_', ALNUM, 20, 60),
  ...shapes('tskey-', ALNUM | DASH, 20, 100, /^[a-z]+-[A-Za-z0-9]+(?:-[A-Za-z0-9]+)?$/),
  ...shapes('ops_', ALNUM | BASE64, 100, 1290, /^ey/),
  ...shapes('PMAK-', HEXES | DASH, 59, 59, /^[0-9a-f]{24}-[0-9a-f]{34}$/),
  ...shapes('rubygems_', HEXES, 48),
  ...shapes('sntrys_ sntryu_', ALNUM | BASE64 | UNDERSCORE, 60, 400),
  ...shapes('sq0atp- sq0csp-', URLSAFE, 22, 43),
  ...shapes('EAAA', URLSAFE, 56, 60),
  ...shapes('nfp_', ALNUM, 36, 40),
  ...shapes('CFPAT-', URLSAFE, 43),
  ...shapes('AGE-SECRET-KEY-1', DIGITS | UPPERS, 58),
]

interface Compiled extends TokenShape {
  bytes: Uint8Array
}

const BY_FIRST: (readonly Compiled[] | undefined)[] = Array(256).fill(undefined)
for (const shape of TOKENS) {
  const bytes = Uint8Array.from(Buffer.from(shape.prefix))
  BY_FIRST[bytes[0]!] = [...(BY_FIRST[bytes[0]!] ?? []), { ...shape, bytes }]
}

/** Where the token that begins here ends, or -1. */
export function tokenEnd(bytes: Buffer, at: number, end: number): number {
  const first = bytes[at]!
  // Telegram: a number, a colon and 35 characters.
  if (first >= 0x30 && first <= 0x39) return telegramEnd(bytes, at, end)
  if (first === 0x68) {
    const to = webhookEnd(bytes, at, end)
    if (to > 0) return to
  }
  const some = BY_FIRST[first]
  if (some === undefined) return -1
  for (const shape of some) {
    const { prefix } = shape
    if (end - at < prefix.length + shape.min || !begins(bytes, at, shape.bytes)) continue
    const to = bodyEnd(bytes, at + prefix.length, end, shape)
    if (to > 0) return to
  }
  return -1
}

function begins(bytes: Buffer, at: number, prefix: Uint8Array): boolean {
  for (let i = 1; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false
  return true
}

function bodyEnd(
  bytes: Buffer,
  at: number,
  end: number,
  { kinds, min, max, body }: TokenShape,
): number {
  let stop = at
  const most = Math.min(end, at + max)
  while (stop < most && (KINDS[bytes[stop]!]! & kinds) !== 0) stop++
  if (stop < end && isAsciiWord(bytes[stop])) return -1
  // A full stop or a dash may follow a token, and ends none.
  while (stop > at && (bytes[stop - 1] === 0x2e || bytes[stop - 1] === 0x2f)) stop--
  if (stop - at < min) return -1
  return body === undefined || body.test(bytes.toString('latin1', at, stop)) ? stop : -1
}

function telegramEnd(bytes: Buffer, at: number, end: number): number {
  let colon = at
  while (colon < end && colon - at <= 10 && (KINDS[bytes[colon]!]! & DIGITS) !== 0) colon++
  if (colon - at < 8 || bytes[colon] !== 0x3a || bytes[colon + 1] !== 0x41) return -1
  let stop = colon + 1
  while (stop < end && stop - colon <= 36 && (KINDS[bytes[stop]!]! & URLSAFE) !== 0) stop++
  return stop - colon - 1 === 35 ? stop : -1
}

/** Addresses that are keys themselves: whoever has one may write. */
const WEBHOOKS: readonly [address: string, kinds: number, min: number][] = [
  ['https://hooks.slack.com/services/', ALNUM | SLASH, 30],
  ['https://hooks.slack.com/workflows/', ALNUM | SLASH, 30],
  ['https://hooks.slack.com/triggers/', ALNUM | SLASH, 30],
  ['https://discord.com/api/webhooks/', URLSAFE | SLASH, 60],
  ['https://discordapp.com/api/webhooks/', URLSAFE | SLASH, 60],
]
const WEBHOOK_CHARACTERS_MAX = 200

function webhookEnd(bytes: Buffer, at: number, end: number): number {
  if (bytes[at + 4] !== 0x73 || bytes[at + 5] !== 0x3a) return -1
  for (const [address, kinds, min] of WEBHOOKS) {
    if (end - at < address.length + min) continue
    if (bytes.toString('latin1', at, at + address.length) !== address) continue
    let stop = at + address.length
    const most = Math.min(end, stop + WEBHOOK_CHARACTERS_MAX)
    while (stop < most && (KINDS[bytes[stop]!]! & kinds) !== 0) stop++
    return stop - at - address.length >= min ? stop : -1
  }
  return -1
}

export interface TokenHints {
  /** The column is named for keys: a word that is as long as one counts without more. */
  isSecretColumn: boolean
}

/** Words that say what follows: secret keys of AWS have 40 characters, of Azure's storage 88. */
const SECRET_WORDS: readonly [word: string, characters: number][] = [
  ['aws_secret_access_key', 40],
  ['aws_secret_key', 40],
  ['secret_access_key', 40],
  ['secretaccesskey', 40],
  ['secret_key', 40],
  ['secretkey', 40],
  ['awssecretkey', 40],
  ['awssecretaccesskey', 40],
  ['accountkey', 88],
  ['account_key', 88],
  ['azure_storage_key', 88],
  ['sharedaccesskey', 44],
]
const SECRET_WORD_CHARACTERS_MAX = 24
/** What may stand between the word and the secret. */
const BETWEEN_CHARACTERS_MAX = 8

/** The secret behind the word that begins here, or the word itself in a column named for secrets; null: none. */
export function secretEnd(
  bytes: Buffer,
  at: number,
  start: number,
  end: number,
  { isSecretColumn }: TokenHints,
): Span | null {
  if (isSecretColumn && !isBase64At(bytes, at - 1, start)) {
    const to = base64End(bytes, at, end)
    if ((to - at === 40 || to - at === 88 || to - at === 44) && isMixed(bytes, at, to))
      return { start: at, end: to }
  }
  const first = bytes[at]! | 0x20
  if (first !== 0x61 && first !== 0x73) return null
  let stop = at
  while (stop < end && stop - at <= SECRET_WORD_CHARACTERS_MAX && isAsciiWord(bytes[stop])) stop++
  if (stop - at < 9 || stop - at > SECRET_WORD_CHARACTERS_MAX) return null
  const word = bytes.toString('latin1', at, stop).toLowerCase()
  for (const [own, characters] of SECRET_WORDS) {
    if (own !== word) continue
    let from = stop
    while (from < end && from - stop < BETWEEN_CHARACTERS_MAX && isBetween(bytes[from]!)) from++
    if (from === stop) return null
    const to = base64End(bytes, from, end)
    if (to - from === characters) return { start: from, end: to }
  }
  return null
}

/** `="`, `": "`, ` => '`. */
function isBetween(byte: number): boolean {
  return (
    byte === 0x20 ||
    byte === 0x3d ||
    byte === 0x3a ||
    byte === 0x22 ||
    byte === 0x27 ||
    byte === 0x3e ||
    byte === 0x5c
  )
}

function isBase64At(bytes: Buffer, at: number, start: number): boolean {
  return at >= start && (KINDS[bytes[at]!]! & (ALNUM | BASE64)) !== 0 && bytes[at] !== 0x3d
}

const SECRET_CHARACTERS_MAX = 100

function base64End(bytes: Buffer, at: number, end: number): number {
  let stop = at
  const most = Math.min(end, at + SECRET_CHARACTERS_MAX)
  while (stop < most && (KINDS[bytes[stop]!]! & (ALNUM | BASE64)) !== 0) stop++
  return stop
}

/** Letters of both cases and digits: no word, and no digest in hexadecimal. */
function isMixed(bytes: Buffer, at: number, end: number): boolean {
  let kinds = 0
  for (let i = at; i < end; i++) kinds |= KINDS[bytes[i]!]!
  return (kinds & ALNUM) === ALNUM
}

const AUTHORITY_CHARACTERS_MAX = 512

/**
 * The password of an authority that begins here (RFC 3986, 3.2.1), or null; of none, and only its end, where a place to be
 * filled in stands for it.
 */
export function passwordIn(bytes: Buffer, at: number, end: number): Span | null {
  let colon = -1
  let last = -1
  const most = Math.min(end, at + AUTHORITY_CHARACTERS_MAX)
  for (let i = at; i < most; i++) {
    const byte = bytes[i]!
    if (byte <= 0x20 || byte === 0x2f || byte === 0x22 || byte === 0x27 || byte === 0x3c) break
    if (byte === 0x3a && colon < 0) colon = i
    else if (byte === 0x40) last = i
  }
  if (colon < 0 || last <= colon + 1) return null
  const first = bytes[colon + 1]
  const isPlace = first === 0x24 || first === 0x7b || first === 0x2a
  return { start: isPlace ? last : colon + 1, end: last }
}
