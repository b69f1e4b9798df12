/**
 * Clients of MySQL that ask for one row by its key, again and again, and do as little as can be else: `mysql-load.js` with one
 * argument of JSON, tells what it did as JSON. Refuses an answer that is no row.
 */
import type { Socket } from 'node:net'
import { RAW_CAPABILITIES, RAW_DEPRECATE_EOF, RawMysql } from '@custody/test-support'

const { port, user, password, database, mode, clients, seconds, rows } = JSON.parse(
  process.argv[2]!,
) as {
  port: number
  user: string
  password: string
  database: string
  mode: 'text' | 'prepared'
  clients: number
  seconds: number
  rows: number
}

/** Column count, column, row, end. */
const PACKETS = 4

interface Client {
  socket: Socket
  /** The command for a key. */
  ask(key: number): Buffer
}

async function open(): Promise<Client> {
  const raw = await RawMysql.connect({
    ...{ port, user, password, database },
    capabilities: RAW_CAPABILITIES | RAW_DEPRECATE_EOF,
  })
  const framed = (payload: Buffer) => {
    const header = Buffer.alloc(4)
    header.writeUIntLE(payload.length, 0, 3)
    return Buffer.concat([header, payload])
  }
  const sql = 'select abalance from accounts where aid = '
  if (mode === 'text')
    return { socket: raw.detach(), ask: (key) => framed(Buffer.from(`\x03${sql}${key}`, 'latin1')) }
  const prepared = await raw.ask(Buffer.from(`\x16${sql}?`, 'latin1'), 'prepare')
  if (prepared.error !== null) throw new Error(prepared.message)
  const execute = Buffer.from('170000000000010000000001030000000000', 'hex')
  execute.writeUInt32LE(prepared.packets[0]!.readUInt32LE(5), 1)
  const whole = framed(execute)
  return {
    socket: raw.detach(),
    ask(key) {
      const bytes = Buffer.from(whole)
      bytes.writeInt32LE(key, bytes.length - 4)
      return bytes
    },
  }
}

async function run(): Promise<void> {
  const all = await Promise.all(Array.from({ length: clients }, open))
  const begun = performance.now()
  const until = begun + seconds * 1000
  let transactions = 0
  await Promise.all(
    all.map(
      ({ socket, ask }) =>
        new Promise<void>((resolve, reject) => {
          let held: Buffer = Buffer.alloc(0)
          let packets = 0
          const next = () => {
            packets = 0
            socket.write(ask(1 + Math.floor(Math.random() * rows)))
          }
          socket.on('error', reject)
          socket.on('close', () => reject(new Error('the connection was closed')))
          socket.on('data', (chunk: Buffer) => {
            held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
            while (held.length >= 4) {
              const end = 4 + held.readUIntLE(0, 3)
              if (held.length < end) return
              if (held[4] === 0xff) reject(new Error(held.toString('utf8', 7, end)))
              held = held.subarray(end)
              packets++
            }
            if (packets < PACKETS) return
            transactions++
            if (performance.now() < until) next()
            else {
              socket.removeAllListeners('close')
              socket.end(Buffer.from([1, 0, 0, 0, 1]))
              resolve()
            }
          })
          next()
        }),
    ),
  )
  process.stdout.write(`${JSON.stringify({ transactions, ms: performance.now() - begun })}\n`)
}

void run().catch((error: Error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
