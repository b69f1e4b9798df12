/** Values put together that PostgreSQL's protocol takes apart. Understands messages no further. */

/** The same bytes as a client would put them together: cells of all rows, and data of COPY and of function calls. */
export function joined(stream: Buffer): Buffer[] {
  const cells: Buffer[] = []
  const data: Buffer[] = []
  // An answer to a question about TLS is one byte that is no message.
  let at = stream[0] === 0x4e ? 1 : 0
  while (at + 5 <= stream.length) {
    const end = at + 1 + stream.readUInt32BE(at + 1)
    if (end <= at + 4 || end > stream.length) break
    const type = stream[at]
    const body = stream.subarray(at + 5, end)
    if (type === 0x44 && body.length >= 2) takeCells(body, cells)
    else if (type === 0x64) data.push(body)
    else if (type === 0x56 && body.length >= 4) data.push(body.subarray(4))
    at = end
  }
  return [cells, data].filter((parts) => parts.length > 1).map((parts) => Buffer.concat(parts))
}

function takeCells(body: Buffer, cells: Buffer[]): void {
  let at = 2
  for (let left = body.readUInt16BE(0); left > 0 && at + 4 <= body.length; left--) {
    const length = body.readInt32BE(at)
    at += 4
    if (length > 0) {
      cells.push(body.subarray(at, at + length))
      at += length
    }
  }
}
