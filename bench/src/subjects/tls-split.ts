/**
 * The floor over TLS: ends PostgreSQL's TLS, follows message boundaries both ways with one write for what belongs together,
 * and keeps nothing. `tls-split.js <target port> <certificate> <key>`; tells its own port on the first line.
 */
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'

const [, , targetPort, certificate, key] = process.argv
const secureContext = createSecureContext({
  cert: readFileSync(certificate!),
  key: readFileSync(key!),
  minVersion: 'TLSv1.3',
})

/** Passes on whole messages; what is begun waits for its end. */
function split(from: NodeJS.ReadableStream, to: NodeJS.WritableStream, startup: boolean): void {
  let held: Buffer = Buffer.alloc(0)
  let first = startup
  from.on('data', (chunk: Buffer) => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    let at = 0
    for (;;) {
      const head = first ? 4 : 5
      if (bytes.length - at < head) break
      const end = at + (first ? bytes.readInt32BE(at) : 1 + bytes.readInt32BE(at + 1))
      if (end > bytes.length) break
      first = false
      at = end
    }
    if (at > 0) to.write(at === bytes.length ? bytes : bytes.subarray(0, at))
    held = at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at)
  })
  from.on('end', () => to.end())
}

const server = createServer({ noDelay: true }, (socket: Socket) => {
  socket.on('error', () => {})
  socket.once('data', () => {
    // SSLRequest, the only thing that the bench's clients begin with.
    socket.write('S')
    const client = new TLSSocket(socket, { isServer: true, secureContext })
    const behind = connect({ port: Number(targetPort), host: '127.0.0.1', noDelay: true })
    client.on('error', () => behind.destroy())
    behind.on('error', () => client.destroy())
    split(client, behind, true)
    split(behind, client, false)
  })
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as { port: number }).port}\n`)
})
