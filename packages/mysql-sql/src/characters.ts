/**
 * Character sets of a client and SQL modes, as far as they change where tokens begin and end.
 * Refuses to guess: of a character set that is not known here no text is understood, since any of its bytes may hide a quote.
 */
import { TextDecoder } from 'node:util'

export type SqlMode = ReadonlySet<string>

/** Modes that stand for others; servers list them all, clients set the one. */
const COMBINED: Record<string, string> = {
  ANSI: 'REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE',
  DB2: 'PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE',
  MAXDB: 'PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE',
  MSSQL: 'PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE',
  ORACLE: 'PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE',
  POSTGRESQL: 'PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE',
}

/** The modes of a list as `@@sql_mode` has it, and those that they stand for. */
export function sqlModeOf(list: string): SqlMode {
  const known = KNOWN_MODES.get(list)
  if (known !== undefined) return known
  const modes = new Set<string>()
  for (const word of list.toUpperCase().split(',')) {
    const mode = word.trim()
    if (mode === '') continue
    modes.add(mode)
    for (const one of COMBINED[mode]?.split(',') ?? []) modes.add(one)
  }
  if (KNOWN_MODES.size >= KNOWN_MODES_MAX) KNOWN_MODES.clear()
  if (list.length <= KNOWN_LIST_CHARACTERS_MAX) KNOWN_MODES.set(list, modes)
  return modes
}

/** Sessions have few different ones, and every text is read by one. */
const KNOWN_MODES = new Map<string, SqlMode>()
const KNOWN_MODES_MAX = 64
const KNOWN_LIST_CHARACTERS_MAX = 1000

export interface Characters {
  /** How names are decoded. */
  readonly encoding: string
  /**
   * Bytes of the character that begins with a byte of 0x80 or more; 1 where it is none of more bytes. Null: every character is
   * one byte.
   */
  readonly length: ((text: string, at: number, end: number) => number) | null
  /** Whether a byte of 0x80 or more, of one byte alone, is part of a name. Others of such bytes are nothing that is known. */
  readonly names: (code: number) => boolean
}

const at = (text: string, i: number, end: number) => (i < end ? text.charCodeAt(i) : 0)
const between = (code: number, from: number, to: number) => code >= from && code <= to
const follows = (code: number) => between(code, 0x80, 0xbf)

/** As the servers' utf8 has it: shortest forms, no surrogates. Characters decoded already stand for themselves. */
function utf8Length(text: string, i: number, end: number): number {
  const [a, b] = [text.charCodeAt(i), at(text, i + 1, end)]
  if (a < 0xc2 || a > 0xf4) return 1
  if (a < 0xe0) return follows(b) ? 2 : 1
  if (!follows(at(text, i + 2, end))) return 1
  if (a < 0xf0) return follows(b) && !(a === 0xe0 && b < 0xa0) && !(a === 0xed && b > 0x9f) ? 3 : 1
  if (!follows(at(text, i + 3, end))) return 1
  return follows(b) && !(a === 0xf0 && b < 0x90) && !(a === 0xf4 && b > 0x8f) ? 4 : 1
}

const two =
  (lead: (code: number) => boolean, trail: (code: number) => boolean) =>
  (text: string, i: number, end: number) =>
    lead(text.charCodeAt(i)) && trail(at(text, i + 1, end)) ? 2 : 1

function gb18030Length(text: string, i: number, end: number): number {
  if (!between(text.charCodeAt(i), 0x81, 0xfe)) return 1
  const b = at(text, i + 1, end)
  if (between(b, 0x40, 0x7e) || between(b, 0x80, 0xfe)) return 2
  return between(b, 0x30, 0x39) &&
    between(at(text, i + 2, end), 0x81, 0xfe) &&
    between(at(text, i + 3, end), 0x30, 0x39)
    ? 4
    : 1
}

function ujisLength(text: string, i: number, end: number): number {
  const [a, b] = [text.charCodeAt(i), at(text, i + 1, end)]
  if (between(a, 0xa1, 0xfe)) return between(b, 0xa1, 0xfe) ? 2 : 1
  if (a === 0x8e) return between(b, 0xa1, 0xdf) ? 2 : 1
  if (a === 0x8f) return between(b, 0xa1, 0xfe) && between(at(text, i + 2, end), 0xa1, 0xfe) ? 3 : 1
  return 1
}

const none = () => false
const sjis: Characters = {
  encoding: 'shift_jis',
  length: two(
    (a) => between(a, 0x81, 0x9f) || between(a, 0xe0, 0xfc),
    (b) => between(b, 0x40, 0x7e) || between(b, 0x80, 0xfc),
  ),
  names: none,
}
const ujis: Characters = { encoding: 'euc-jp', length: ujisLength, names: none }
const utf8: Characters = { encoding: 'utf-8', length: utf8Length, names: none }
/** Of one byte, with ASCII below 0x80; above it what is a letter and what white space differs. */
const single: Characters = { encoding: 'latin1', length: null, names: none }

const KNOWN: Record<string, Characters> = {
  utf8,
  utf8mb3: utf8,
  utf8mb4: utf8,
  ascii: single,
  binary: single,
  // Letters with marks. 0xa0 is white space there, and a few below it letters: neither is taken for anything.
  latin1: {
    encoding: 'latin1',
    length: null,
    names: (code) => code >= 0xc0 && code !== 0xd7 && code !== 0xf7,
  },
  gbk: {
    encoding: 'gbk',
    length: two(
      (a) => between(a, 0x81, 0xfe),
      (b) => between(b, 0x40, 0x7e) || between(b, 0x80, 0xfe),
    ),
    names: none,
  },
  gb2312: {
    encoding: 'gb2312',
    length: two(
      (a) => between(a, 0xa1, 0xf7),
      (b) => between(b, 0xa1, 0xfe),
    ),
    names: none,
  },
  gb18030: { encoding: 'gb18030', length: gb18030Length, names: none },
  big5: {
    encoding: 'big5',
    length: two(
      (a) => between(a, 0xa1, 0xf9),
      (b) => between(b, 0x40, 0x7e) || between(b, 0xa1, 0xfe),
    ),
    names: none,
  },
  sjis,
  cp932: sjis,
  ujis,
  eucjpms: ujis,
  euckr: {
    encoding: 'euc-kr',
    length: two(
      (a) => between(a, 0x81, 0xfe),
      (b) => between(b, 0x41, 0x5a) || between(b, 0x61, 0x7a) || between(b, 0x81, 0xfe),
    ),
    names: none,
  },
}
for (const name of `armscii8 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 dec8 geostd8 greek hebrew hp8 keybcs2 koi8r koi8u
latin2 latin5 latin7 macce macroman tis620`.split(/\s+/))
  KNOWN[name] = single

/** Names that may stand before a string as `_name`. */
export const CHARACTER_SETS: ReadonlySet<string> = new Set([
  ...Object.keys(KNOWN),
  ...['swe7', 'ucs2', 'utf16', 'utf16le', 'utf32'],
])

/** By the name of a character set or of one of its collations; null where texts in it can't be read safely. */
export function charactersOf(name: string): Characters | null {
  const lower = name.toLowerCase().split('_')[0]!
  return Object.hasOwn(KNOWN, lower) ? KNOWN[lower]! : null
}

const decoders = new Map<string, TextDecoder>()

/** What a name, of bytes as characters, is called. */
export function decoded(name: string, characters: Characters): string {
  let bytes = false
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    // Decoded already.
    if (code > 0xff) return name
    bytes ||= code >= 0x80
  }
  if (!bytes || characters.encoding === 'latin1') return name
  let decoder = decoders.get(characters.encoding)
  if (decoder === undefined) {
    decoder = new TextDecoder(characters.encoding)
    decoders.set(characters.encoding, decoder)
  }
  return decoder.decode(Buffer.from(name, 'latin1'))
}
