/**
 * Numbers that are somebody's: payment cards, telephone numbers, national identifiers. Each is proven by what its issuer
 * built in (ranges, check digits, grouping), since most long numbers are nobody's.
 * Refuses digits within a word, a UUID or a longer number.
 */
import { isAsciiWord, isDigit, isHex, isUuid, latin1 } from '../bytes'

/** Groups of digits as they stand in the text. */
export interface Digits {
  start: number
  end: number
  /** Without separators. */
  text: string
  /** Lengths of its groups. */
  groups: number[]
  /** The one separator of all groups; empty: none; null: several kinds. */
  separator: string | null
}

/** No identifier has more of either. */
const DIGITS_MAX = 19
const GROUPS_MAX = 7
/** None has fewer, but those that a mark begins. */
const DIGITS_MIN = 9

/**
 * The numbers that groups of digits with one mark between any two may be: from each group on, first the most of them.
 * One object for all texts; only what may be somebody's is made into a text.
 */
export class Windows {
  readonly window: Digits = { start: 0, end: 0, text: '', groups: [], separator: '' }
  private bytes: Buffer = Buffer.alloc(0)
  private end = 0
  /** Where to read on. */
  private at = 0
  private begins = 0
  /** Groups known and not yet passed: where they start and end. */
  private readonly starts = new Int32Array(GROUPS_MAX + 1)
  private readonly stops = new Int32Array(GROUPS_MAX + 1)
  private known = 0
  /** Whether the run of groups goes on behind the known ones. */
  private goesOn = false
  /** Groups and digits of the window that comes next, and how many groups to pass after it. */
  private to = 0
  private total = 0
  private passed = 0

  /** `isHinted`: the column's name says of a number what its grouping does not. */
  constructor(private readonly isHinted: boolean) {}

  begin(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.begins = start
    this.at = start
    this.end = end
    this.known = 0
    this.passed = 0
    this.goesOn = false
  }

  /** On to the next group from which a number may begin. */
  nextFrom(): boolean {
    for (;;) {
      this.drop(this.passed)
      this.passed = 1
      this.fill()
      if (this.known === 0 && !this.nextRun()) return false
      let digits = 0
      let to = 0
      while (to < this.known && to < GROUPS_MAX) {
        const length = this.stops[to]! - this.starts[to]!
        if (digits + length > DIGITS_MAX) break
        digits += length
        to++
      }
      if (to === 0) continue
      if (digits < DIGITS_MIN) {
        const before = this.starts[0]! > this.begins ? this.bytes[this.starts[0]! - 1] : 0
        if (before !== 0x2b && before !== 0x28) continue
      }
      this.to = to
      this.total = digits
      return true
    }
  }

  /** The next window from the same group, or false. */
  next(): boolean {
    const { bytes, starts, stops } = this
    const before = starts[0]! > this.begins ? bytes[starts[0]! - 1] : 0
    const isMarked = before === 0x2b || before === 0x28
    while (this.to > 0) {
      const to = this.to--
      const total = this.total
      this.total -= stops[to - 1]! - starts[to - 1]!
      if (!(total >= DIGITS_MIN && this.mayBe(to, total)) && !(to === 1 && isMarked)) continue
      const { window } = this
      window.start = starts[0]!
      window.end = stops[to - 1]!
      window.text = ''
      window.groups = []
      window.separator = ''
      for (let i = 0; i < to; i++) {
        window.text += latin1(bytes, starts[i]!, stops[i]!)
        window.groups.push(stops[i]! - starts[i]!)
        if (i === 0) continue
        const mark = String.fromCharCode(bytes[starts[i]! - 1]!)
        window.separator = window.separator === '' || window.separator === mark ? mark : null
      }
      this.passed = to
      return true
    }
    this.passed = 1
    return false
  }

  /** The window was somebody's: what follows it comes next. */
  taken(): void {
    this.to = 0
  }

  /** Whether as many groups can be anything by their lengths and first digit, before anything is made of them. */
  private mayBe(count: number, total: number): boolean {
    const { bytes, starts, stops } = this
    const first = stops[0]! - starts[0]!
    const digit = bytes[starts[0]!]! - 0x30
    if (this.isHinted && (total === 9 || total === 11 || total === 12 || total === 14)) return true
    switch (total) {
      case 9:
        return count === 3 && first === 3
      case 10:
        return count === 3 && first === 3 && digit > 1
      case 11:
        return count === 4 && first === 3
      case 12:
        return count === 3 && first === 4 && digit > 1
      case 14:
        return (count === 5 && first === 2) || (digit === 3 && (count === 1 || first === 4))
      case 15:
        return digit === 1 || digit === 2 || (digit === 3 && (count === 1 || first === 4))
      default:
        return digit > 1 && digit < 7 && (count === 1 || first === 4) && this.isChecked(count)
    }
  }

  /** Luhn's sum over the groups as they stand. */
  private isChecked(count: number): boolean {
    const { bytes, starts, stops } = this
    let sum = 0
    let twice = false
    for (let group = count - 1; group >= 0; group--)
      for (let i = stops[group]! - 1; i >= starts[group]!; i--) {
        const digit = bytes[i]! - 0x30
        sum += twice ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit
        twice = !twice
      }
    return sum % 10 === 0
  }

  private drop(count: number): void {
    if (count >= this.known) {
      this.known = 0
      return
    }
    this.starts.copyWithin(0, count, this.known)
    this.stops.copyWithin(0, count, this.known)
    this.known -= count
  }

  /** Groups of the same run until as many are known as a window has. */
  private fill(): void {
    const { bytes, end } = this
    while (this.goesOn && this.known < GROUPS_MAX) {
      let stop = this.at
      while (stop < end && isDigit(bytes[stop])) stop++
      const start = this.at
      this.at = stop
      const mark = stop + 1 < end && isDigit(bytes[stop + 1]) ? bytes[stop]! : 0
      this.goesOn = mark === 0x20 || mark === 0x2d || mark === 0x2e || mark === 0x2f
      if (this.goesOn) this.at++
      // Digits that go on as a word are part of that.
      else if (stop < end && isAsciiWord(bytes[stop])) return
      this.starts[this.known] = start
      this.stops[this.known++] = stop
    }
  }

  /** On to the next digits that begin a run. */
  private nextRun(): boolean {
    const { bytes, end, begins } = this
    let at = this.at
    while (at < end) {
      const byte = bytes[at]!
      if (!isAsciiWord(byte)) {
        at++
        continue
      }
      const isBegin = at === begins || !isAsciiWord(bytes[at - 1])
      if (isBegin && isHex(byte) && isUuid(bytes, at, end)) {
        at += 36
        continue
      }
      if (isBegin && isDigit(byte)) {
        this.at = at
        this.goesOn = true
        this.fill()
        if (this.known > 0) return true
        at = this.at
        continue
      }
      while (at < end && isAsciiWord(bytes[at])) at++
    }
    this.at = end
    return false
  }
}

/** The last digit proves the others (ISO/IEC 7812-1, annex B). */
export function luhn(digits: string): boolean {
  let sum = 0
  for (let i = digits.length - 1, twice = false; i >= 0; i--, twice = !twice) {
    let digit = digits.charCodeAt(i) - 0x30
    if (twice) digit = digit > 4 ? digit * 2 - 9 : digit * 2
    sum += digit
  }
  return sum % 10 === 0
}

/** Issuer ranges by their first six digits, with the lengths in use there. */
const ISSUERS: readonly [from: number, to: number, ...lengths: number[]][] = [
  [400000, 499999, 13, 16, 19],
  [510000, 559999, 16],
  [222100, 272099, 16],
  [340000, 349999, 15],
  [370000, 379999, 15],
  [601100, 601199, 16, 19],
  [644000, 659999, 16, 19],
  [352800, 358999, 16, 17, 18, 19],
  [300000, 305999, 14, 16],
  [360000, 369999, 14, 16],
  [380000, 399999, 14, 16],
  [620000, 629999, 16, 17, 18, 19],
  [220000, 220499, 16, 17, 18, 19],
  [500000, 509999, 16],
  [560000, 589999, 16],
  [630400, 630499, 16],
  [675900, 675999, 16],
  [676100, 676399, 16],
]

export function isCard({ text, groups, separator }: Digits): boolean {
  const { length } = text
  if (length < 13 || length > 19) return false
  if (separator !== '') {
    if (separator !== ' ' && separator !== '-') return false
    if (groups[0] !== 4) return false
    const rest = groups.slice(1).join(',')
    if (!/^(4,4,[1-7]|4,4,4,[1-3]|6,5|6,4)$/.test(rest)) return false
  }
  const first = Number(text.slice(0, 6))
  return (
    ISSUERS.some(
      ([from, to, ...lengths]) => first >= from && first <= to && lengths.includes(length),
    ) &&
    luhn(text) &&
    // The few cards of 13 digits are long gone, and a tenth of German articles would be one.
    !(length === 13 && isEan(text)) &&
    // 0000… and 4444… pass the check and are nobody's.
    !/^(\d)\1+$/.test(text)
  )
}

/** Numbers of articles (GS1 General Specifications, 7.9): 13 digits, the last of them the check. */
function isEan(text: string): boolean {
  return weighted(text, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 === 0
}

/** AAA-GG-SSSS; areas and serials that were never given out are nobody's (SSA, POMS RM 10201.035). */
export function isUsSsn({ text, groups, separator }: Digits, hinted: boolean): boolean {
  if (text.length !== 9) return false
  const isGrouped = (separator === '-' || separator === ' ') && groups.join() === '3,2,4'
  if (!isGrouped && !(hinted && separator === '')) return false
  const area = Number(text.slice(0, 3))
  return (
    area > 0 && area !== 666 && area < 900 && text.slice(3, 5) !== '00' && text.slice(5) !== '0000'
  )
}

/** Sex, year, month, department, commune, order, and 97 minus the rest (INSEE). */
export function isFrNir({ text, separator }: Digits): boolean {
  if (text.length !== 15 || separator === null || separator === '/') return false
  if (!/^[12]\d\d(0[1-9]|1[0-2]|[2-3]\d|4[0-2]|[5-9]\d)\d{10}$/.test(text)) return false
  return 97 - Number(BigInt(text.slice(0, 13)) % 97n) === Number(text.slice(13))
}

function weighted(text: string, weights: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < weights.length; i++) sum += (text.charCodeAt(i) - 0x30) * weights[i]!
  return sum
}

const CPF_1 = [10, 9, 8, 7, 6, 5, 4, 3, 2]
const CPF_2 = [11, ...CPF_1]
const CNPJ_1 = [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]
const CNPJ_2 = [6, ...CNPJ_1]
const modulo11 = (sum: number) => (sum % 11 < 2 ? 0 : 11 - (sum % 11))

/** 000.000.000-00 with two check digits (Receita Federal). */
export function isBrCpf(text: string): boolean {
  return (
    text.length === 11 &&
    !/^(\d)\1+$/.test(text) &&
    modulo11(weighted(text, CPF_1)) === Number(text[9]) &&
    modulo11(weighted(text, CPF_2)) === Number(text[10])
  )
}

/** 00.000.000/0000-00 with two check digits. */
export function isBrCnpj(text: string): boolean {
  return (
    text.length === 14 &&
    !/^(\d)\1+$/.test(text) &&
    modulo11(weighted(text, CNPJ_1)) === Number(text[12]) &&
    modulo11(weighted(text, CNPJ_2)) === Number(text[13])
  )
}

/** Eleven digits: ISO 7064, MOD 11,10; exactly one digit of the first ten comes twice or thrice (BZSt). */
export function isDeTaxId(text: string): boolean {
  if (!/^[1-9]\d{10}$/.test(text)) return false
  const counts = new Map<string, number>()
  for (const digit of text.slice(0, 10)) counts.set(digit, (counts.get(digit) ?? 0) + 1)
  const repeated = [...counts.values()].filter((count) => count > 1)
  if (repeated.length !== 1 || repeated[0]! > 3) return false
  let product = 10
  for (const digit of text.slice(0, 10)) {
    const sum = (Number(digit) + product) % 10 || 10
    product = (sum * 2) % 11
  }
  return (11 - product) % 10 === Number(text[10])
}

/** Nine digits, weights 9 to 2 and -1, divisible by 11 (Burgerservicenummer). */
export function isNlBsn(text: string): boolean {
  if (!/^\d{9}$/.test(text) || text === '000000000') return false
  return (weighted(text, [9, 8, 7, 6, 5, 4, 3, 2]) - Number(text[8])) % 11 === 0
}

/** Eleven digits with a date in them (PESEL). */
export function isPlPesel(text: string): boolean {
  if (!/^\d{2}([02468][1-9]|[13579][0-2])([0-2]\d|3[01])\d{5}$/.test(text)) return false
  return (10 - (weighted(text, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)) % 10 === Number(text[10])
}

const VERHOEFF_D = [
  '0123456789',
  '1234067895',
  '2340178956',
  '3401289567',
  '4012395678',
  '5987604321',
  '6598710432',
  '7659821043',
  '8765932104',
  '9876543210',
]
const VERHOEFF_P = [
  '0123456789',
  '1576283094',
  '5803796142',
  '8916043527',
  '9453126870',
  '4286573901',
  '2793806415',
  '7046913258',
]

/** Twelve digits, the first 2 to 9, by Verhoeff's scheme (Aadhaar). */
export function isInAadhaar(text: string): boolean {
  if (!/^[2-9]\d{11}$/.test(text)) return false
  let check = 0
  for (let i = 0; i < 12; i++)
    check = Number(VERHOEFF_D[check]![Number(VERHOEFF_P[i % 8]![Number(text[11 - i])])])
  return check === 0
}

/** Calling codes in use (ITU-T E.164, list of assigned codes), shortest first. */
const CALLING_CODES = new Set(
  (
    '1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 ' +
    '211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 ' +
    '350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 420 421 423 ' +
    '500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 ' +
    '850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998'
  ).split(' '),
)

/** Behind `+`: a calling code and 8 to 15 digits in all. */
export function isInternational(digits: string): boolean {
  if (digits.length < 8 || digits.length > 15) return false
  return [1, 2, 3].some((length) => CALLING_CODES.has(digits.slice(0, length)))
}

/** NXX-NXX-XXXX (North American Numbering Plan). */
export function isNorthAmerican({ text, groups, separator }: Digits): boolean {
  return (
    separator !== null &&
    separator !== '' &&
    separator !== '/' &&
    groups.join() === '3,3,4' &&
    /^[2-9]\d\d[2-9]\d{6}$/.test(text) &&
    text.slice(1, 3) !== '11' &&
    text.slice(4, 6) !== '11'
  )
}
