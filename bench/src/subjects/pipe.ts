/**
 * The floor: a TCP proxy that passes bytes and keeps nothing. `pipe.js <target port>`; tells its own port on the first line.
 */
import { connect, createServer } from 'node:net'

const target = Number(process.argv[2])

const server = createServer({ noDelay: true }, (client) => {
  const behind = connect({ port: target, host: '127.0.0.1', noDelay: true })
  client.pipe(behind)
  behind.pipe(client)
  client.on('error', () => behind.destroy())
  behind.on('error', () => client.destroy())
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as { port: number }).port}\n`)
})
