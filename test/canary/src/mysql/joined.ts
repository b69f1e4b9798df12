/** Values put together that MySQL's protocol takes apart: cells of all rows, and packets. Understands packets no further. */

/** The same bytes as a client would put them together. */
export function joined(stream: Buffer): Buffer[] {
  const packets: Buffer[] = []
  const cells: Buffer[] = []
  for (let at = 0; at + 4 <= stream.length; ) {
    const end = at + 4 + stream.readUIntLE(at, 3)
    if (end > stream.length) break
    const body = stream.subarray(at + 4, end)
    packets.push(body)
    takeCells(body, cells)
    at = end
  }
  const whole = [packets, cells]
    .filter((parts) => parts.length > 1)
    .map((parts) => Buffer.concat(parts))
  // Without the zeros of wide characters.
  return [...whole, Buffer.from(stream.filter((byte) => byte !== 0))]
}

/** Of a row in text; of other packets what looks like one. */
function takeCells(body: Buffer, cells: Buffer[]): void {
  const found: Buffer[] = []
  let at = 0
  while (at < body.length) {
    const first = body[at++]!
    if (first === 0xfb) continue
    const width = first === 0xfc ? 2 : first === 0xfd ? 3 : 0
    if (first > 0xfd || at + width > body.length) return
    const length = width === 0 ? first : body.readUIntLE(at, width)
    at += width
    if (at + length > body.length) return
    found.push(body.subarray(at, at + length))
    at += length
  }
  cells.push(...found)
}
