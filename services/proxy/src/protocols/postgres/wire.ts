/**
 * PostgreSQL's frontend/backend protocol 3.x as bytes (documentation chapter "Frontend/Backend Protocol").
 * Pure: builds and takes apart messages, owns no socket, keeps no state of a session.
 *
 *   startup phase:  length:i32 code:i32 …
 *   afterwards:     type:u8 length:i32 body        length counts itself and the body, not the type
 */

export const SSL_REQUEST = 80877103
export const GSSENC_REQUEST = 80877104
export const CANCEL_REQUEST = 80877102
export const PROTOCOL_3_0 = 196608

/** Message types that the proxy looks at, by direction. */
export const Frontend = {
  bind: 0x42, // B
  close: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  describe: 0x44, // D
  execute: 0x45, // E
  flush: 0x48, // H
  functionCall: 0x46, // F
  parse: 0x50, // P
  password: 0x70, // p
  query: 0x51, // Q
  sync: 0x53, // S
  terminate: 0x58, // X
} as const

export const Backend = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  dataRow: 0x44, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  functionCallResponse: 0x56, // V
  negotiateProtocolVersion: 0x76, // v
  noData: 0x6e, // n
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterDescription: 0x74, // t
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  portalSuspended: 0x73, // s
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const

export class WireError extends Error {}

/** Where the zero byte after `at` stands; throws if there is none before `end`. */
export function cstringEnd(bytes: Buffer, at: number, end: number): number {
  const zero = bytes.indexOf(0, at)
  if (zero < 0 || zero >= end) throw new WireError('a string is not terminated')
  return zero
}

export function message(type: number, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(5 + body.length)
  bytes[0] = type
  bytes.writeInt32BE(4 + body.length, 1)
  body.copy(bytes, 5)
  return bytes
}

export function cstring(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

export interface ErrorFields {
  severity: 'ERROR' | 'FATAL' | 'NOTICE'
  sqlstate: string
  message: string
  detail?: string
  hint?: string
}

/** ErrorResponse, or NoticeResponse for the severity NOTICE: (field:u8 string)* zero */
export function errorResponse(fields: ErrorFields): Buffer {
  const parts = [
    `S${fields.severity}`,
    `V${fields.severity}`,
    `C${fields.sqlstate}`,
    `M${fields.message}`,
  ]
  if (fields.detail) parts.push(`D${fields.detail}`)
  if (fields.hint) parts.push(`H${fields.hint}`)
  return message(
    fields.severity === 'NOTICE' ? Backend.noticeResponse : Backend.errorResponse,
    Buffer.from(`${parts.map((part) => part.replaceAll('\0', ' ')).join('\0')}\0\0`),
  )
}

/** Fields of an ErrorResponse or NoticeResponse body with their one-letter codes, as they came. */
export function errorFieldsIn(
  bytes: Buffer,
  at: number,
  end: number,
): [code: string, value: Buffer][] {
  const fields: [code: string, value: Buffer][] = []
  while (at < end && bytes[at] !== 0) {
    const zero = cstringEnd(bytes, at + 1, end)
    fields.push([String.fromCharCode(bytes[at]!), bytes.subarray(at + 1, zero)])
    at = zero + 1
  }
  return fields
}

/** The same as texts, by code. */
export function readErrorFields(bytes: Buffer, at: number, end: number): Map<string, string> {
  return new Map(
    errorFieldsIn(bytes, at, end).map(([code, value]) => [code, value.toString('utf8')]),
  )
}

export function readyForQuery(status: number): Buffer {
  return Buffer.from([Backend.readyForQuery, 0, 0, 0, 5, status])
}

/** StartupMessage: length code (name value)* zero */
export function startupMessage(parameters: ReadonlyMap<string, string>): Buffer {
  const strings = [...parameters].map(([name, value]) => `${name}\0${value}\0`).join('')
  const body = Buffer.from(`${strings}\0`)
  const bytes = Buffer.alloc(8 + body.length)
  bytes.writeInt32BE(bytes.length, 0)
  bytes.writeInt32BE(PROTOCOL_3_0, 4)
  body.copy(bytes, 8)
  return bytes
}

export function readStartupParameters(bytes: Buffer, at: number, end: number): Map<string, string> {
  const parameters = new Map<string, string>()
  while (at < end && bytes[at] !== 0) {
    const nameEnd = cstringEnd(bytes, at, end)
    const valueEnd = cstringEnd(bytes, nameEnd + 1, end)
    parameters.set(
      bytes.toString('utf8', at, nameEnd),
      bytes.toString('utf8', nameEnd + 1, valueEnd),
    )
    at = valueEnd + 1
  }
  return parameters
}

/** CancelRequest: length:i32 code:i32 pid:i32 secret */
export function cancelRequest(pid: number, secret: Buffer): Buffer {
  const bytes = Buffer.alloc(12 + secret.length)
  bytes.writeInt32BE(bytes.length, 0)
  bytes.writeInt32BE(CANCEL_REQUEST, 4)
  bytes.writeInt32BE(pid, 8)
  secret.copy(bytes, 12)
  return bytes
}

export interface WireColumn {
  name: string
  /** Number of the relation and of its column that the values come from unchanged; 0: from none. */
  relation: number
  number: number
  typeOid: number
  format: number
}

/** RowDescription body: count:i16 (name table:i32 column:i16 type:i32 size:i16 modifier:i32 format:i16)* */
export function readRowDescription(bytes: Buffer, at: number, end: number): WireColumn[] {
  const count = bytes.readInt16BE(at)
  const columns: WireColumn[] = []
  at += 2
  for (let i = 0; i < count; i++) {
    const zero = cstringEnd(bytes, at, end)
    columns.push({
      name: bytes.toString('utf8', at, zero),
      relation: bytes.readUInt32BE(zero + 1),
      number: bytes.readInt16BE(zero + 5),
      typeOid: bytes.readUInt32BE(zero + 7),
      format: bytes.readInt16BE(zero + 17),
    })
    at = zero + 19
  }
  return columns
}

/** Rows that a command tag speaks of ("INSERT 0 5", "SELECT 3"), or null. */
export function rowsOfTag(tag: string): number | null {
  const match = / (\d+)$/.exec(tag)
  return match ? Number(match[1]) : null
}
