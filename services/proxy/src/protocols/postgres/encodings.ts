/** What a client's encoding, by PostgreSQL's name for it, means for whoever reads bytes in it. */

/** Encodings whose characters may have a byte of ASCII in them, which is then no delimiter and no quotation mark. */
export const SECOND_HALVES: ReadonlySet<string> = new Set([
  'SJIS',
  'SHIFT_JIS_2004',
  'BIG5',
  'GBK',
  'UHC',
  'GB18030',
  'JOHAB',
])

const LABELS: Record<string, string> = {
  LATIN1: 'iso-8859-1',
  LATIN2: 'iso-8859-2',
  LATIN9: 'iso-8859-15',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  SJIS: 'shift_jis',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gbk',
  GBK: 'gbk',
  GB18030: 'gb18030',
  BIG5: 'big5',
  UHC: 'euc-kr',
}

/** Its texts are read as UTF-8; SQL_ASCII says nothing of what they are. */
export function isUtf8(encoding: string): boolean {
  return encoding === 'UTF8' || encoding === 'SQL_ASCII'
}

export function canDecode(encoding: string): boolean {
  return Object.hasOwn(LABELS, encoding)
}

/** Byte for byte where the encoding can't be decoded. */
export function decodeText(bytes: Buffer, encoding: string): string {
  const label = LABELS[encoding]
  return label === undefined ? bytes.toString('latin1') : new TextDecoder(label).decode(bytes)
}

/** Text as UTF-8 bytes, or as a string where it is in another encoding. */
export function textIn(bytes: Buffer, encoding: string): Buffer | string {
  return isUtf8(encoding) ? bytes : decodeText(bytes, encoding)
}

export function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! >= 0x80) return false
  return true
}
