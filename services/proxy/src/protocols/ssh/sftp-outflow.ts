/**
 * Collects what one turn sends in one direction, so that what came in one chunk leaves in one, and hands it on with the
 * strongest durability of its parts. Keeps order; refuses to copy what lies side by side already.
 */
import { type Durability, stronger } from '@custody/event-log'

/** More pieces than one are joined up to this size. */
const JOIN_BYTES_MAX = 64 * 1024

export class Outflow {
  private pieces: Buffer[] = []
  private bytes = 0
  private durability: Durability | null = null

  constructor(
    private readonly send: (bytes: Buffer, durability: Durability | null, isWhole: boolean) => void,
  ) {}

  add(bytes: Buffer, durability: Durability | null = null): void {
    if (durability !== null) this.durability = stronger(this.durability, durability)
    if (bytes.length === 0) return
    const last = this.pieces.at(-1)
    if (last?.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset)
      this.pieces[this.pieces.length - 1] = Buffer.from(
        last.buffer,
        last.byteOffset,
        last.length + bytes.length,
      )
    else this.pieces.push(bytes)
    this.bytes += bytes.length
  }

  flush(isWhole: boolean): void {
    if (this.bytes === 0) return
    const { pieces, bytes, durability } = this
    this.pieces = []
    this.bytes = 0
    this.durability = null
    const joined =
      pieces.length > 1 && bytes <= JOIN_BYTES_MAX ? [Buffer.concat(pieces, bytes)] : pieces
    joined.forEach((piece, i) => {
      this.send(piece, durability, isWhole && i === joined.length - 1)
    })
  }
}
