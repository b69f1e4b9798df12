/**
 * Segments: how a recorder's messages lie on disk. Pure bytes and names; opens no file.
 *
 *   directory  = log/<recorder>/ ; one file per segment, 00000000000000000001.log upwards
 *   segment    = frame* zero*             ; zeros are room made in advance
 *   frame      = header payload           ; one group commit
 *   header     = magic:u32 type:u32 payloadBytes:u32 count:u32 firstSequence:u64 crc:u32 zero:u32   (little endian)
 *   payload    = message{count} length:u32{count}          ; type 1, events
 *              | JSON                                      ; type 2, preamble: sessions open when the segment began
 *   crc        = CRC-32 (ISO-HDLC) of the header's first 24 bytes, then of the payload
 *
 * A frame whose CRC does not hold is not there: either it is still being written, or a crash tore it.
 */
import { crc32 } from 'node:zlib'

export const FRAME_HEADER_BYTES = 32
export const FRAME_MAGIC = 0x31545343 // "CST1"
export const EVENTS_FRAME = 1
export const PREAMBLE_FRAME = 2
/** No frame is larger: a longer length is damage, not data. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024

export interface FrameHeader {
  type: number
  payloadBytes: number
  count: number
  firstSequence: number
  crc: number
}

/** The header at `at`, or null where none begins (zeros, damage, or too few bytes). */
export function readFrameHeader(bytes: Buffer, at = 0): FrameHeader | null {
  if (bytes.length - at < FRAME_HEADER_BYTES || bytes.readUInt32LE(at) !== FRAME_MAGIC) return null
  const payloadBytes = bytes.readUInt32LE(at + 8)
  if (payloadBytes > FRAME_BYTES_MAX) return null
  return {
    type: bytes.readUInt32LE(at + 4),
    payloadBytes,
    count: bytes.readUInt32LE(at + 12),
    firstSequence: Number(bytes.readBigUInt64LE(at + 16)),
    crc: bytes.readUInt32LE(at + 24),
  }
}

/** Fills in the header of a frame that begins at 0 and ends at `end`. */
export function sealFrame(
  frame: Buffer,
  end: number,
  type: number,
  count: number,
  firstSequence: number,
): void {
  frame.writeUInt32LE(FRAME_MAGIC, 0)
  frame.writeUInt32LE(type, 4)
  frame.writeUInt32LE(end - FRAME_HEADER_BYTES, 8)
  frame.writeUInt32LE(count, 12)
  frame.writeUInt32LE(firstSequence >>> 0, 16)
  frame.writeUInt32LE(Math.floor(firstSequence / 0x100000000), 20)
  frame.writeUInt32LE(frameCrc(frame, 0, end), 24)
  frame.writeUInt32LE(0, 28)
}

export function frameCrc(bytes: Buffer, at: number, end: number): number {
  return crc32(bytes.subarray(at + FRAME_HEADER_BYTES, end), crc32(bytes.subarray(at, at + 24)))
}

/** The messages of an events frame's payload, as views of it. */
export function messagesOf(payload: Buffer, count: number): Buffer[] {
  const messages: Buffer[] = new Array(count)
  const table = payload.length - count * 4
  if (table < 0) throw new RangeError('frame shorter than its table of lengths')
  let at = 0
  for (let i = 0; i < count; i++) {
    const length = payload.readUInt32LE(table + i * 4)
    if (at + length > table) throw new RangeError('frame shorter than its messages')
    messages[i] = payload.subarray(at, at + length)
    at += length
  }
  if (at !== table) throw new RangeError('frame longer than its messages')
  return messages
}

export function segmentName(segment: number): string {
  return `${String(segment).padStart(20, '0')}.log`
}

/** The number in a segment's file name, or null for another file. */
export function segmentNumber(name: string): number | null {
  const match = /^(\d{20})\.log$/.exec(name)
  return match ? Number(match[1]) : null
}
