/** Names for the numbers of RFC 4252 to 4254 that are used here, and the bytes of their messages. */

export const Message = {
  disconnect: 1,
  extInfo: 7,
  userauthBanner: 53,
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelOpenFailure: 92,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
  channelSuccess: 99,
  channelFailure: 100,
} as const

/** Of SSH_MSG_DISCONNECT. */
export const Disconnect = {
  protocolError: 2,
  serviceNotAvailable: 7,
  hostKeyNotVerifiable: 9,
  byApplication: 11,
  tooManyConnections: 12,
  noMoreAuthMethods: 14,
} as const

/** Of SSH_MSG_CHANNEL_OPEN_FAILURE. */
export const OpenFailure = {
  prohibited: 1,
  connectFailed: 2,
  unknownType: 3,
  shortage: 4,
} as const

/** The only type of extended data that there is: stderr. */
export const STDERR = 1

/** A message that doesn't say what its type must say. */
export class SshWireError extends Error {}

/** Reads SSH's data types from one message; refuses to read beyond its end. */
export class WireReader {
  constructor(
    readonly bytes: Buffer,
    public at = 0,
  ) {}

  get left(): number {
    return this.bytes.length - this.at
  }

  byte(): number {
    this.need(1)
    return this.bytes[this.at++]!
  }

  boolean(): boolean {
    return this.byte() !== 0
  }

  uint32(): number {
    this.need(4)
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  /** A view, not a copy. */
  string(): Buffer {
    const length = this.uint32()
    this.need(length)
    const found = this.bytes.subarray(this.at, this.at + length)
    this.at += length
    return found
  }

  text(): string {
    return this.string().toString('utf8')
  }

  /** What stands behind the last field nobody has judged. */
  end(): void {
    if (this.left > 0) throw new SshWireError(`a message with ${this.left} bytes too many`)
  }

  rest(): Buffer {
    const found = this.bytes.subarray(this.at)
    this.at = this.bytes.length
    return found
  }

  private need(bytes: number): void {
    if (this.bytes.length - this.at < bytes)
      throw new SshWireError(`a message that ends ${bytes - this.left} bytes early`)
  }
}

type Part = number | boolean | string | Buffer | { byte: number } | { raw: Buffer }

/** Message bytes: numbers as uint32, booleans as one byte, texts and buffers as strings, `{ byte }` and `{ raw }` as they are. */
export function wire(...parts: Part[]): Buffer {
  const buffers: Buffer[] = []
  for (const part of parts) {
    if (typeof part === 'number') {
      const four = Buffer.allocUnsafe(4)
      four.writeUInt32BE(part >>> 0)
      buffers.push(four)
    } else if (typeof part === 'boolean') buffers.push(Buffer.from([part ? 1 : 0]))
    else if (typeof part === 'object' && 'byte' in part) buffers.push(Buffer.from([part.byte]))
    else if (typeof part === 'object' && 'raw' in part) buffers.push(part.raw)
    else {
      const bytes = typeof part === 'string' ? Buffer.from(part) : part
      const four = Buffer.allocUnsafe(4)
      four.writeUInt32BE(bytes.length)
      buffers.push(four, bytes)
    }
  }
  return Buffer.concat(buffers)
}
