/**
 * What ends an answer (documentation: "OK_Packet", "ERR_Packet", "EOF_Packet"), read, and written again with other words.
 *   ok  = 0x00 or 0xfe affected:lenenc insertId:lenenc status:u16 warnings:u16 [info:lenenc [changes:lenenc]]   with session tracking
 *                                                                              [info:rest]                      without
 *   err = 0xff code:u16 ['#' state:5] message:rest
 *   eof = 0xfe warnings:u16 status:u16
 *   changes = (kind:u8 data:lenenc)*
 * MariaDB tells progress in an err of code 0xffff: stage:u8 stages:u8 thousandths:u24 info:lenenc; it ends nothing.
 */
import { lenenc, lenencString, Reader } from './bytes'

export const Status = {
  inTransaction: 0x0001,
  autocommit: 0x0002,
  moreResults: 0x0008,
  cursorExists: 0x0040,
  lastRowSent: 0x0080,
  sessionStateChanged: 0x4000,
} as const

export const PROGRESS_CODE = 0xffff
const EOF_BYTES = 5

export interface SessionChange {
  kind: number
  /** Of settings: name and value, one or more; otherwise the data as it is. */
  settings: readonly (readonly [name: Buffer, value: Buffer])[]
  data: Buffer
}

export const ChangeKind = {
  settings: 0,
  schema: 1,
  state: 2,
  gtids: 3,
  transactionCharacteristics: 4,
  transactionState: 5,
} as const

export interface OkPacket {
  header: number
  affectedRows: bigint
  insertId: bigint
  status: number
  warnings: number
  info: Buffer
  changes: SessionChange[]
}

export interface ErrPacket {
  code: number
  state: string
  message: Buffer
  progress: { stage: number; stages: number; thousandths: number; info: Buffer } | null
}

export function isEof(bytes: Buffer, at: number, end: number): boolean {
  return bytes[at] === 0xfe && end - at === EOF_BYTES
}

export function readEof(
  bytes: Buffer,
  at: number,
  end: number,
): { warnings: number; status: number } {
  const reader = new Reader(bytes, at + 1, end)
  const warnings = reader.u16()
  return { warnings, status: reader.u16() }
}

/** `tracks`: session tracking was agreed on; null where nobody said, and then the bytes decide. */
export function readOk(bytes: Buffer, at: number, end: number, tracks: boolean | null): OkPacket {
  const reader = new Reader(bytes, at, end)
  const ok: OkPacket = {
    header: reader.u8(),
    affectedRows: reader.lenencBig(),
    insertId: reader.lenencBig(),
    status: reader.u16(),
    warnings: reader.u16(),
    info: Buffer.alloc(0),
    changes: [],
  }
  if (reader.left === 0) return ok
  if (!(tracks ?? looksTracked(bytes, reader.at, end, ok.status))) {
    ok.info = reader.rest()
    return ok
  }
  ok.info = reader.lenencBytes()
  if (ok.status & Status.sessionStateChanged && reader.left > 0)
    ok.changes = readChanges(reader.lenencBytes())
  return ok
}

function looksTracked(bytes: Buffer, at: number, end: number, status: number): boolean {
  try {
    const reader = new Reader(bytes, at, end)
    reader.lenencBytes()
    if (status & Status.sessionStateChanged && reader.left > 0) reader.lenencBytes()
    return reader.left === 0
  } catch {
    return false
  }
}

function readChanges(bytes: Buffer): SessionChange[] {
  const reader = new Reader(bytes, 0, bytes.length)
  const changes: SessionChange[] = []
  while (reader.left > 0) {
    const kind = reader.u8()
    const data = reader.lenencBytes()
    const settings: [Buffer, Buffer][] = []
    if (kind === ChangeKind.settings) {
      const inner = new Reader(data, 0, data.length)
      while (inner.left > 0) settings.push([inner.lenencBytes(), inner.lenencBytes()])
    }
    changes.push({ kind, settings, data })
  }
  return changes
}

/** What a change of kind `schema`, `state` or `transaction…` says. */
export function changeText({ data }: SessionChange): Buffer {
  return new Reader(data, 0, data.length).lenencBytes()
}

export function settingsChange(settings: readonly (readonly [Buffer, Buffer])[]): SessionChange {
  const data = Buffer.concat(
    settings.flatMap(([name, value]) => [lenencString(name), lenencString(value)]),
  )
  return { kind: ChangeKind.settings, settings, data }
}

export function okPacket(ok: OkPacket, tracks: boolean): Buffer {
  const fixed = Buffer.alloc(4)
  fixed.writeUInt16LE(ok.status)
  fixed.writeUInt16LE(ok.warnings, 2)
  const parts = [Buffer.from([ok.header]), lenenc(ok.affectedRows), lenenc(ok.insertId), fixed]
  if (!tracks) parts.push(ok.info)
  else if (ok.info.length > 0 || ok.changes.length > 0) {
    parts.push(lenencString(ok.info))
    if (ok.changes.length > 0)
      parts.push(
        lenencString(
          Buffer.concat(
            ok.changes.flatMap(({ kind, data }) => [Buffer.from([kind]), lenencString(data)]),
          ),
        ),
      )
  }
  return Buffer.concat(parts)
}

export function readErr(bytes: Buffer, at: number, end: number): ErrPacket {
  const reader = new Reader(bytes, at + 1, end)
  const code = reader.u16()
  if (code === PROGRESS_CODE) {
    // One string, says the number in front.
    reader.u8()
    const [stage, stages, thousandths] = [reader.u8(), reader.u8(), reader.u24()]
    const info = reader.lenencBytes()
    return { code, state: '', message: info, progress: { stage, stages, thousandths, info } }
  }
  let state = ''
  if (reader.left >= 6 && bytes[reader.at] === 0x23) {
    reader.skip(1)
    state = reader.raw(5).toString('latin1')
  }
  return { code, state, message: reader.rest(), progress: null }
}

export function errPacket({ code, state, message }: Omit<ErrPacket, 'progress'>): Buffer {
  const head = Buffer.alloc(3)
  head[0] = 0xff
  head.writeUInt16LE(code, 1)
  return Buffer.concat([head, Buffer.from(state === '' ? '' : `#${state}`, 'latin1'), message])
}
