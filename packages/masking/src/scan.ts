/**
 * Finds what looks sensitive in the bytes of a text, in one pass and in time linear in its length: the pass says which kinds
 * of bytes there are, and only the detectors that these could mean look closer.
 * Refuses to decide what becomes of a find; it says where, and by which detector.
 */
import {
  AT,
  CLASS,
  COLON,
  DASH,
  DIGIT,
  ESCAPE,
  isAsciiWord,
  isDigit,
  isHex,
  isWord,
  LOWER,
  latin1,
  OTHER_WORD,
  UPPER,
} from './bytes'
import {
  type Digits,
  isBrCnpj,
  isBrCpf,
  isCard,
  isDeTaxId,
  isFrNir,
  isInAadhaar,
  isInternational,
  isNlBsn,
  isNorthAmerican,
  isPlPesel,
  isUsSsn,
  Windows,
} from './detectors/numbers'
import { passwordIn, secretEnd, type TokenHints, tokenEnd } from './detectors/tokens'
import {
  emailAt,
  ibanLength,
  isEsDni,
  isIban,
  isItCodiceFiscale,
  isRandom,
  isUkNino,
  jwtEnd,
  privateKeyEnd,
} from './detectors/words'

/** What can be found, with words for people. */
export const DETECTORS = {
  card: 'payment cards: issuer ranges, grouping and check digit',
  iban: 'bank accounts: length by country and check digits',
  email: 'e-mail addresses',
  phone: 'telephone numbers: + and a calling code in use, or North American grouping',
  'us-ssn':
    'social security numbers of the United States: AAA-GG-SSSS, those that can be given out',
  'es-dni': 'DNI and NIE of Spain: check letter',
  'fr-nir': 'social security numbers of France: month and check digits',
  'br-cpf': 'CPF of Brazil: 000.000.000-00 and check digits',
  'br-cnpj': 'CNPJ of Brazil: 00.000.000/0000-00 and check digits',
  'uk-nino': 'national insurance numbers of the United Kingdom: prefixes in use',
  'it-cf': 'codice fiscale of Italy: shape and check letter',
  'in-aadhaar': 'Aadhaar numbers of India: 0000 0000 0000 and check digit',
  'de-tax-id': 'tax identifiers of Germany: check digit; in columns named so only',
  'nl-bsn': 'BSN of the Netherlands: check digit; in columns named so only',
  'pl-pesel': 'PESEL of Poland: date and check digit; in columns named so only',
  jwt: 'JSON web tokens whose header decodes',
  'private-key': 'private keys in PEM',
  token: 'access tokens and keys of cloud and software services, by their beginnings',
  'url-password': 'the password in an address such as postgres://user:password@host',
  'birth-date': 'dates in columns named so only; their year stays',
  ip: 'IP addresses of version 4 and 6',
  random: 'long words of mixed characters that nobody would type',
} as const

export type DetectorName = keyof typeof DETECTORS

/** On where nothing is said: those that are seldom wrong. Addresses of machines are what engineers look for. */
export const DEFAULT_DETECTORS: readonly DetectorName[] = (
  Object.keys(DETECTORS) as DetectorName[]
).filter((name) => name !== 'ip' && name !== 'random')

/** Columns in whose values the shorter forms of an identifier count as well. */
const HINTS: readonly [DetectorName, RegExp][] = [
  ['us-ssn', /ssn|social_?sec/i],
  ['br-cpf', /cpf/i],
  ['br-cnpj', /cnpj/i],
  ['de-tax-id', /steuer|tax_?id|\bidnr\b/i],
  ['nl-bsn', /bsn|burger/i],
  ['pl-pesel', /pesel/i],
  ['in-aadhaar', /aadhaar|aadhar/i],
  ['token', /secret|aws|private_?key|access_?key|account_?key/i],
]

/** Any of them. */
export const HINTED_DETECTORS = new RegExp(HINTS.map(([, hint]) => hint.source).join('|'), 'i')

const BIRTH =
  /birth|(^|[^a-z])dob([^a-z]|$)|geburt|nacimiento|naissance|nascita|nascimento|geboorte/i

/** Whether dates in a column of this name are somebody's birthday. */
export function isBirthColumn(column: string): boolean {
  return BIRTH.test(column)
}

export interface Find {
  start: number
  end: number
  /** The detector's name, or that of a pattern of one's own. */
  detector: string
}

export interface Scanner {
  /** Appends what it finds between `start` and `end` of the bytes, in order, without overlaps; answers how many. */
  scan(bytes: Buffer, start: number, end: number, finds: Find[]): number
}

/** `column`: the name of where the values stand, if it is known. */
export function createScanner(
  names: readonly DetectorName[] = DEFAULT_DETECTORS,
  column = '',
): PassScanner {
  return new PassScanner(new Set(names), column)
}

const LONG_WORD = 14

export class PassScanner implements Scanner {
  /** What the last pass saw: kinds of bytes, how many digits, and the longest word, dashes counted in. */
  kinds = 0
  digits = 0
  longest = 0

  readonly findsNumbers: boolean
  private readonly hinted: ReadonlySet<DetectorName>
  private readonly words: boolean
  private readonly random: boolean
  private readonly email: boolean
  private readonly password: boolean
  private readonly secrets: boolean
  private readonly ip: boolean
  private readonly windows: Windows
  private readonly tokenHints: TokenHints
  /** Where the `@` stands that ends a password. */
  private readonly passwordEnds: number[] = []

  constructor(
    private readonly on: ReadonlySet<DetectorName>,
    column: string,
  ) {
    this.hinted = new Set(HINTS.filter(([, hint]) => hint.test(column)).map(([name]) => name))
    this.windows = new Windows(this.hinted.size > 0)
    const any = (...names: DetectorName[]) => names.some((name) => on.has(name))
    this.findsNumbers = any(
      'card',
      'phone',
      'us-ssn',
      'fr-nir',
      'br-cpf',
      'br-cnpj',
      'in-aadhaar',
      'de-tax-id',
      'nl-bsn',
      'pl-pesel',
    )
    this.words = any('iban', 'es-dni', 'uk-nino', 'it-cf', 'random')
    this.random = on.has('random')
    this.email = on.has('email')
    this.password = on.has('url-password')
    this.secrets = any('token', 'jwt', 'private-key')
    this.ip = on.has('ip')
    this.tokenHints = { isSecretColumn: on.has('token') && this.hinted.has('token') }
  }

  /** Whether nothing can be found in it, or hidden in a notation that we read. */
  isPlain(bytes: Buffer, start: number, end: number): boolean {
    this.pass(bytes, start, end)
    return (
      (this.kinds & (AT | ESCAPE)) === 0 &&
      this.digits < 6 &&
      this.longest < LONG_WORD &&
      !this.tokenHints.isSecretColumn &&
      !(this.ip && (this.digits >= 4 || (this.kinds & COLON) !== 0))
    )
  }

  /** One look at every byte; nothing here allocates, and ordinary texts end here. */
  private pass(bytes: Buffer, start: number, end: number): void {
    let kinds = 0
    let digits = 0
    let longest = 0
    let last = start - 1
    for (let i = start; i < end; i++) {
      const kind = CLASS[bytes[i]!]!
      kinds |= kind
      if ((kind & (DIGIT | UPPER | LOWER | OTHER_WORD | DASH)) !== 0) digits += kind & DIGIT
      else {
        if (i - last > longest) longest = i - last
        last = i
      }
    }
    if (end - last > longest) longest = end - last
    this.kinds = kinds
    this.digits = digits
    this.longest = longest - 1
  }

  scan(bytes: Buffer, start: number, end: number, finds: Find[]): number {
    const before = finds.length
    this.pass(bytes, start, end)
    const { kinds, digits, longest } = this
    if (this.passwordEnds.length > 0) this.passwordEnds.length = 0
    if ((kinds & AT) !== 0 && (kinds & COLON) !== 0 && this.password)
      this.findPasswords(bytes, start, end, finds)
    if ((kinds & AT) !== 0 && this.email) this.findEmails(bytes, start, end, finds)
    if (digits >= 8 && this.findsNumbers) this.findNumbers(bytes, start, end, finds)
    if ((digits >= 6 && (kinds & UPPER) !== 0 && this.words) || (longest >= 20 && this.random))
      this.findWords(bytes, start, end, finds)
    if ((longest >= LONG_WORD || this.tokenHints.isSecretColumn) && this.secrets)
      this.findSecrets(bytes, start, end, finds)
    if (this.ip && (digits >= 4 || (kinds & COLON) !== 0))
      this.findAddresses(bytes, start, end, finds)
    return finds.length - before === 0 ? 0 : settle(finds, before)
  }

  private findPasswords(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    for (let at = start; at + 2 < end; at++) {
      if (bytes[at] !== 0x3a || bytes[at + 1] !== 0x2f || bytes[at + 2] !== 0x2f) continue
      const span = passwordIn(bytes, at + 3, end)
      if (span === null) continue
      if (span.end > span.start) finds.push({ ...span, detector: 'url-password' })
      this.passwordEnds.push(span.end)
      at = span.end
    }
  }

  private findEmails(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    let password = 0
    for (let at = start; at < end; at++) {
      if (bytes[at] !== 0x40) continue
      // What stands before is a password, and no name.
      while (this.passwordEnds[password]! < at) password++
      if (this.passwordEnds[password] === at) continue
      const span = emailAt(bytes, at, start, end)
      if (span) finds.push({ ...span, detector: 'email' })
    }
  }

  private findNumbers(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    const { windows } = this
    windows.begin(bytes, start, end)
    while (windows.nextFrom()) {
      while (windows.next()) {
        const one = windows.window
        const before = one.start > start ? bytes[one.start - 1] : undefined
        const detector = this.numberOf(one, before)
        if (detector !== null) finds.push({ start: one.start, end: one.end, detector })
        else if (!this.on.has('phone') || !this.phone(bytes, one, start, end, finds)) continue
        windows.taken()
        break
      }
    }
  }

  private numberOf(one: Digits, before: number | undefined): DetectorName | null {
    const { text, groups, separator } = one
    const grouped = (shape: string, mark: string) => separator === mark && groups.join() === shape
    const bare = (name: DetectorName) => separator === '' && this.hinted.has(name)
    const on = (name: DetectorName) => this.on.has(name)
    // Part of a fraction, or of something longer in the same notation.
    if (before === 0x2e) return null
    if (on('card') && isCard(one)) return 'card'
    if (on('us-ssn') && isUsSsn(one, this.hinted.has('us-ssn'))) return 'us-ssn'
    if (on('fr-nir') && isFrNir(one)) return 'fr-nir'
    if (text.length === 11) {
      const isCpfShape = text.length === 11 && groups.join() === '3,3,3,2' && separator === null
      if (on('br-cpf') && (isCpfShape || bare('br-cpf')) && isBrCpf(text)) return 'br-cpf'
      if (on('de-tax-id') && this.hinted.has('de-tax-id') && isDeTaxId(text)) return 'de-tax-id'
      if (on('pl-pesel') && bare('pl-pesel') && isPlPesel(text)) return 'pl-pesel'
    }
    if (text.length === 14 && on('br-cnpj')) {
      const isShape = groups.join() === '2,3,3,4,2' && separator === null
      if ((isShape || bare('br-cnpj')) && isBrCnpj(text)) return 'br-cnpj'
    }
    if (text.length === 12 && on('in-aadhaar')) {
      const isShape = grouped('4,4,4', ' ') || grouped('4,4,4', '-')
      if ((isShape || bare('in-aadhaar')) && isInAadhaar(text)) return 'in-aadhaar'
    }
    if (on('nl-bsn') && this.hinted.has('nl-bsn') && isNlBsn(text)) return 'nl-bsn'
    return null
  }

  /** From a plus sign, or an area code in parentheses, over what people put between digits. */
  private phone(bytes: Buffer, one: Digits, start: number, end: number, finds: Find[]): boolean {
    const plus = bytes[one.start - 1] === 0x2b && one.start > start
    const open = bytes[one.start - 1] === 0x28 && one.start > start
    if (plus) {
      if (one.start - 2 >= start && isWord(bytes[one.start - 2])) return false
      let digits = ''
      let last = one.start
      /** The farthest end at which it is a whole number; what follows may be of something else. */
      let to = 0
      for (let i = one.start; i < end && digits.length <= 15; i++) {
        const byte = bytes[i]!
        if (isDigit(byte)) {
          digits += String.fromCharCode(byte)
          last = i + 1
          if (isInternational(digits) && !(last < end && isWord(bytes[last]))) to = last
        } else if (
          // One mark between digits, two around parentheses.
          !(byte === 0x20 || byte === 0x2d || byte === 0x2e || byte === 0x28 || byte === 0x29) ||
          i - last >= 2
        )
          break
      }
      if (to === 0) return false
      finds.push({ start: one.start - 1, end: to, detector: 'phone' })
      return true
    }
    if (open && one.text.length === 3) {
      // (555) 123-4567
      const rest = /^\) ?[2-9]\d\d[-. ]\d{4}(?!\w)/.exec(
        latin1(bytes, one.end, Math.min(end, one.end + 12)),
      )
      if (!rest || !/^[2-9]\d\d$/.test(one.text)) return false
      finds.push({ start: one.start - 1, end: one.end + rest[0].length, detector: 'phone' })
      return true
    }
    if (!isNorthAmerican(one)) return false
    finds.push({ start: one.start, end: one.end, detector: 'phone' })
    return true
  }

  /** Words in capitals and digits: accounts and identifiers with letters. */
  private findWords(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    for (let at = start; at < end; ) {
      if (!isAsciiWord(bytes[at])) {
        at++
        continue
      }
      let to = at
      while (to < end && isAsciiWord(bytes[to])) to++
      const length = to - at
      if (length === 9 || length === 16) {
        const word = latin1(bytes, at, to)
        const detector =
          length === 16
            ? this.on.has('it-cf') && isItCodiceFiscale(word) && 'it-cf'
            : this.on.has('es-dni') && isEsDni(word)
              ? 'es-dni'
              : this.on.has('uk-nino') && isUkNino(word) && 'uk-nino'
        if (detector) finds.push({ start: at, end: to, detector })
      }
      if (length >= 4 && isDigit(bytes[at + 2]) && isDigit(bytes[at + 3]) && this.on.has('iban')) {
        const span = ibanAt(bytes, at, end)
        if (span > 0) finds.push({ start: at, end: span, detector: 'iban' })
      }
      if (length >= 20 && this.on.has('random') && isRandom(latin1(bytes, at, to)))
        finds.push({ start: at, end: to, detector: 'random' })
      at = to
    }
  }

  private findSecrets(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    if ((this.kinds & DASH) !== 0 && this.on.has('private-key')) {
      const own = bytes.subarray(start, end)
      for (let at = own.indexOf('-----BEGIN'); at >= 0; at = own.indexOf('-----BEGIN', at + 10)) {
        const to = privateKeyEnd(own, at)
        if (to > 0) {
          finds.push({ start: start + at, end: start + to, detector: 'private-key' })
          at = to - 10
        }
      }
    }
    const [jwt, token] = [this.on.has('jwt'), this.on.has('token')]
    if (!jwt && !token) return
    let isAfterWord = false
    for (let at = start; at < end - LONG_WORD; at++) {
      const first = bytes[at]!
      const isPart = isAsciiWord(first)
      if (isAfterWord || !isPart) {
        isAfterWord = isPart
        continue
      }
      isAfterWord = true
      if (jwt && first === 0x65 && bytes[at + 1] === 0x79 && bytes[at + 2] === 0x4a) {
        const to = jwtEnd(bytes, at, start, end)
        if (to > 0) {
          finds.push({ start: at, end: to, detector: 'jwt' })
          at = to - 1
          continue
        }
      }
      if (!token) continue
      const to = tokenEnd(bytes, at, end)
      if (to > 0) {
        finds.push({ start: at, end: to, detector: 'token' })
        at = to - 1
        continue
      }
      const span = secretEnd(bytes, at, start, end, this.tokenHints)
      if (span === null) continue
      finds.push({ ...span, detector: 'token' })
      at = span.end - 1
    }
  }

  private findAddresses(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    for (let at = start; at < end; ) {
      const byte = bytes[at]!
      if (!isHex(byte) && byte !== 0x3a) {
        at++
        continue
      }
      let to = at
      while (
        to < end &&
        to - at < 64 &&
        (isHex(bytes[to]!) || bytes[to] === 0x3a || bytes[to] === 0x2e)
      )
        to++
      while (
        to > at &&
        (bytes[to - 1] === 0x2e || (bytes[to - 1] === 0x3a && bytes[to - 2] !== 0x3a))
      )
        to--
      const isWhole =
        !(at > start && (isWord(bytes[at - 1]) || bytes[at - 1] === 0x2e)) && !isWord(bytes[to])
      if (isWhole && isAddress(latin1(bytes, at, to)))
        finds.push({ start: at, end: to, detector: 'ip' })
      at = Math.max(to, at + 1)
    }
  }
}

/** Where the account that begins here ends, spaces between groups of four included, or 0. */
function ibanAt(bytes: Buffer, at: number, end: number): number {
  const wanted = ibanLength(latin1(bytes, at, at + 2))
  if (wanted === 0 || !isDigit(bytes[at + 2]) || !isDigit(bytes[at + 3])) return 0
  let text = ''
  let to = at
  while (to < end && text.length < wanted) {
    const byte = bytes[to]!
    if (byte === 0x20 && text.length % 4 === 0 && text.length > 0) to++
    else if (isDigit(byte) || (byte >= 0x41 && byte <= 0x5a)) {
      text += String.fromCharCode(byte)
      to++
    } else break
  }
  return text.length === wanted && !isAsciiWord(bytes[to]) && isIban(text) ? to : 0
}

function isAddress(text: string): boolean {
  if (/^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(text)) return true
  if (!text.includes(':') || (text.match(/:/g) ?? []).length < 2) return false
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const short = halves.length === 2
  return (
    groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) &&
    (short ? groups.length < 8 && groups.length > 0 : groups.length === 8)
  )
}

/** In order, and of finds that overlap the longest, which is the one that covers what the others found. */
function settle(finds: Find[], from: number): number {
  if (finds.length - from === 1) return 1
  const own = finds.splice(from).sort((a, b) => a.start - b.start || b.end - a.end)
  for (const one of own) {
    const last = finds[finds.length - 1]
    if (finds.length > from && one.start < last!.end) {
      if (one.end > last!.end) last!.end = one.end
    } else finds.push(one)
  }
  return finds.length - from
}
