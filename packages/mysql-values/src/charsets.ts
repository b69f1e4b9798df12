/**
 * Character sets by the numbers of their collations (MariaDB 10.11: information_schema.collations; MySQL 8 and 9: the same, and
 * 76, 248 to 250, 255 to 323), and text in them.
 * Refuses to guess: text in a character set that is not known here is given as hex, and says so by that.
 */

/** Character set and its collations: numbers and ranges. What MariaDB adds for PAD SPACE stands from 1024 on. */
const COLLATIONS: readonly [charset: string, collations: string][] = [
  ['big5', '1 84 1025 1108'],
  ['dec8', '3 69 1027 1093'],
  ['cp850', '4 80 1028 1104'],
  ['hp8', '6 72 1030 1096'],
  ['koi8r', '7 74 1031 1098'],
  ['latin1', '5 8 15 31 47-49 94 1032 1071'],
  ['latin2', '2 9 21 27 77 1033 1101'],
  ['swe7', '10 82 1034 1106'],
  ['ascii', '11 65 1035 1089'],
  ['ujis', '12 91 1036 1115'],
  ['sjis', '13 88 1037 1112'],
  ['hebrew', '16 71 1040 1095'],
  ['tis620', '18 89 1042 1113'],
  ['euckr', '19 85 1043 1109'],
  ['koi8u', '22 75 1046 1099'],
  ['gb2312', '24 86 1048 1110'],
  ['greek', '25 70 1049 1094'],
  ['cp1250', '26 34 44 66 99 1050 1090'],
  ['gbk', '28 87 1052 1111'],
  ['latin5', '30 78 1054 1102'],
  ['armscii8', '32 64 1056 1088'],
  ['utf8mb3', '33 76 83 192-223 576-578 1057 1107 1216 1238 2048-2303'],
  ['ucs2', '35 90 128-159 640-642 1059 1114 1152 1174 2560-2815'],
  ['cp866', '36 68 1060 1092'],
  ['keybcs2', '37 73 1061 1097'],
  ['macce', '38 43 1062 1067'],
  ['macroman', '39 53 1063 1077'],
  ['cp852', '40 81 1064 1105'],
  ['latin7', '20 41-42 79 1065 1103'],
  ['utf8mb4', '45-46 224-247 255-323 608-610 1069-1070 1248 1270 2304-2559'],
  ['cp1251', '14 23 50-52 1074-1075'],
  ['utf16', '54-55 101-124 672-674 1078-1079 1125 1147 2816-3071'],
  ['utf16le', '56 62 1080 1086'],
  ['cp1256', '57 67 1081 1091'],
  ['cp1257', '29 58-59 1082-1083'],
  ['utf32', '60-61 160-183 736-738 1084-1085 1184 1206 3072-3327'],
  ['binary', '63'],
  ['geostd8', '92-93 1116-1117'],
  ['cp932', '95-96 1119-1120'],
  ['eucjpms', '97-98 1121-1122'],
  ['gb18030', '248-250'],
]

const BY_COLLATION = new Map<number, string>()
for (const [charset, collations] of COLLATIONS)
  for (const range of collations.split(' ')) {
    const [first = 0, last = first] = range.split('-').map(Number)
    for (let id = first; id <= last; id++) BY_COLLATION.set(id, charset)
  }

/** Of numbers, dates and binary strings. */
export const BINARY_COLLATION = 63
export const UTF8MB4_COLLATION = 45

/** Labels of the WHATWG encoding standard. */
const LABELS: Readonly<Record<string, string>> = {
  big5: 'big5',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  latin2: 'iso-8859-2',
  latin5: 'windows-1254',
  latin7: 'iso-8859-13',
  ujis: 'euc-jp',
  eucjpms: 'euc-jp',
  sjis: 'shift_jis',
  cp932: 'shift_jis',
  hebrew: 'iso-8859-8',
  greek: 'iso-8859-7',
  tis620: 'windows-874',
  euckr: 'euc-kr',
  gb2312: 'gbk',
  gbk: 'gbk',
  gb18030: 'gb18030',
  cp1250: 'windows-1250',
  cp1251: 'windows-1251',
  cp1256: 'windows-1256',
  cp1257: 'windows-1257',
  cp866: 'ibm866',
  macroman: 'macintosh',
}

/** MySQL's latin1 is cp1252; some versions of Node read that as ISO 8859-1. From 0x80 on, a space for what is not in it. */
const CP1252 = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ'

/** More than one byte may make a character, and the second may be one that stands for itself elsewhere. */
const MULTI_BYTE = new Set([
  ...['big5', 'ujis', 'eucjpms', 'sjis', 'cp932', 'euckr', 'gb2312', 'gbk', 'gb18030'],
])
const WIDE = new Set(['ucs2', 'utf16', 'utf16le', 'utf32'])
const UTF8 = new Set(['utf8mb4', 'utf8mb3', 'utf8'])

/** The character set of a collation, by its number; null where it is not known. */
export function charsetOf(collation: number): string | null {
  return BY_COLLATION.get(collation) ?? null
}

/** Also by the older names that servers give. */
export function isUtf8Charset(charset: string | null): boolean {
  return charset !== null && UTF8.has(charset)
}

/** Whether all bytes below 128 are what they are in ASCII, wherever they stand. */
export function isAsciiCharset(charset: string): boolean {
  return !WIDE.has(charset) && charset !== 'swe7' && !MULTI_BYTE.has(charset)
}

const decoders = new Map<string, InstanceType<typeof TextDecoder> | null>()

function decoderOf(charset: string): InstanceType<typeof TextDecoder> | null {
  let decoder = decoders.get(charset)
  if (decoder === undefined) {
    const label = LABELS[charset]
    try {
      decoder = label === undefined ? null : new TextDecoder(label, { ignoreBOM: true })
    } catch {
      decoder = null // not in every build of Node
    }
    decoders.set(charset, decoder)
  }
  return decoder
}

/** Text in a character set by its name; null where it can't be read. */
export function decodeText(bytes: Buffer, charset: string | null): string | null {
  if (charset === null) return null
  if (UTF8.has(charset)) return bytes.toString('utf8')
  switch (charset) {
    case 'ascii':
      return isAscii(bytes) ? bytes.toString('latin1') : null
    case 'utf16le':
      return bytes.length % 2 === 0 ? bytes.toString('utf16le') : null
    case 'ucs2':
    case 'utf16':
      return bytes.length % 2 === 0 ? Buffer.from(bytes).swap16().toString('utf16le') : null
    case 'utf32':
      return utf32(bytes)
    case 'latin1':
      return cp1252(bytes)
    case 'binary':
      return null
  }
  if (isAscii(bytes) && isAsciiCharset(charset)) return bytes.toString('latin1')
  return decoderOf(charset)?.decode(bytes) ?? null
}

function isAscii(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return false
  return true
}

const C1 = /[\x80-\x9f]/g

function cp1252(bytes: Buffer): string {
  return bytes.toString('latin1').replace(C1, (byte) => {
    const character = CP1252[byte.charCodeAt(0) - 0x80]!
    return character === ' ' ? byte : character
  })
}

function utf32(bytes: Buffer): string | null {
  if (bytes.length % 4 !== 0) return null
  const parts: string[] = []
  for (let at = 0; at < bytes.length; at += 4) {
    const code = bytes.readUInt32BE(at)
    if (code > 0x10ffff) return null
    parts.push(String.fromCodePoint(code))
  }
  return parts.join('')
}

/** Bytes above 127 by what they stand for, of character sets with one byte a character. */
const reverses = new Map<string, Map<string, number> | null>()

function reverseOf(charset: string): Map<string, number> | null {
  let reverse = reverses.get(charset)
  if (reverse === undefined) {
    reverse = null
    if (charset === 'latin1' || (!MULTI_BYTE.has(charset) && decoderOf(charset) !== null)) {
      reverse = new Map()
      for (let byte = 0x80; byte < 0x100; byte++) {
        const character = decodeText(Buffer.from([byte]), charset)
        if (character !== null && character !== '\ufffd') reverse.set(character, byte)
      }
    }
    reverses.set(charset, reverse)
  }
  return reverse
}

const NOT_ASCII = /[^\0-\x7f]/

/** Text as bytes of a character set; null where that can't be done without loss. */
export function encodeText(text: string, charset: string | null): Buffer | null {
  if (charset === null) return null
  if (UTF8.has(charset)) return Buffer.from(text)
  switch (charset) {
    case 'utf16le':
      return Buffer.from(text, 'utf16le')
    case 'ucs2':
    case 'utf16':
      return Buffer.from(text, 'utf16le').swap16()
    case 'utf32': {
      const codes = Array.from(text, (character) => character.codePointAt(0)!)
      const bytes = Buffer.alloc(codes.length * 4)
      for (const [i, code] of codes.entries()) bytes.writeUInt32BE(code, i * 4)
      return bytes
    }
  }
  if (!NOT_ASCII.test(text)) return Buffer.from(text, 'latin1')
  if (charset === 'binary') return Buffer.from(text)
  const reverse = reverseOf(charset)
  if (reverse === null) return null
  const bytes: number[] = []
  for (const character of text) {
    const code = character.codePointAt(0)!
    const byte = code < 0x80 ? code : reverse.get(character)
    if (byte === undefined) return null
    bytes.push(byte)
  }
  return Buffer.from(bytes)
}
