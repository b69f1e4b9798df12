/**
 * A network between two parts that can be broken: a TCP relay that one part is told to reach the other through.
 * Cut: bytes go nowhere and nobody is told, as with a pulled cable. Half open: one direction still works. Refuse: what is
 * open is reset, and new connections are. Delay: everything arrives, late. Bytes are never changed, dropped in the middle
 * of a connection that goes on, or given in another order.
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net'

export type Trouble =
  | { how: 'cut' }
  /** Requests arrive and answers don't, or the other way round. */
  | { how: 'half-open'; lets: 'requests' | 'answers' }
  | { how: 'refuse' }
  | { how: 'delay'; ms: number }

export interface Link {
  readonly name: string
  readonly port: number
  /** Where it leads; may change while the other side moves. */
  to: { host: string; port: number }
  trouble(trouble: Trouble): void
  /** What was held back goes on its way, or the connections it was held in are reset. */
  heal(how: 'go-on' | 'reset'): void
  connections(): number
  close(): Promise<void>
}

/** Bytes held back per direction before the sender is made to wait, as a real socket's buffer would. */
const HELD_BYTES_MAX = 256 * 1024

/** One direction of a connection. */
class Way {
  private held: { bytes: Buffer; dueAt: number }[] = []
  private heldBytes = 0
  private ended = false
  private timer: NodeJS.Timeout | null = null
  constructor(
    private readonly from: Socket,
    private readonly into: Socket,
    private readonly isOpen: () => boolean,
    private readonly delayMs: () => number,
  ) {
    from.on('data', (bytes: Buffer) => {
      this.held.push({ bytes, dueAt: Date.now() + this.delayMs() })
      this.heldBytes += bytes.length
      if (this.heldBytes >= HELD_BYTES_MAX) from.pause()
      this.move()
    })
    from.on('end', () => {
      this.ended = true
      this.move()
    })
    into.on('drain', () => this.move())
  }

  move(): void {
    if (this.timer) {
      clearTimeout(this.timer)
      this.timer = null
    }
    if (!this.isOpen() || this.into.destroyed) return
    while (this.held.length > 0 && !this.into.writableNeedDrain) {
      const { bytes, dueAt } = this.held[0]!
      const earlyMs = dueAt - Date.now()
      if (earlyMs > 0) {
        this.timer = setTimeout(() => this.move(), earlyMs)
        return
      }
      this.held.shift()
      this.heldBytes -= bytes.length
      this.into.write(bytes)
    }
    if (this.heldBytes < HELD_BYTES_MAX && !this.from.destroyed) this.from.resume()
    if (this.ended && this.held.length === 0) this.into.end()
  }

  stop(): void {
    if (this.timer) clearTimeout(this.timer)
    this.held = []
  }
}

interface Pair {
  client: Socket
  target: Socket
  ways: [Way, Way]
}

export async function openLink(
  name: string,
  to: { host: string; port: number },
  port = 0,
): Promise<Link> {
  let current: Trouble | null = null
  const pairs = new Set<Pair>()
  const letsRequests = () =>
    current === null ||
    current.how === 'delay' ||
    (current.how === 'half-open' && current.lets === 'requests')
  const letsAnswers = () =>
    current === null ||
    current.how === 'delay' ||
    (current.how === 'half-open' && current.lets === 'answers')
  const delayMs = () => (current?.how === 'delay' ? current.ms : 0)
  /** Accepted while the link was cut: a connection that leads nowhere until it is healed. */
  const waiting = new Set<Socket>()

  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.on('error', () => {})
    if (current?.how === 'refuse') {
      client.resetAndDestroy()
      return
    }
    if (current?.how === 'cut') {
      client.pause()
      waiting.add(client)
      client.once('close', () => waiting.delete(client))
      return
    }
    join(client)
  })

  function join(client: Socket): void {
    const target = createConnection({ ...link.to, allowHalfOpen: true, noDelay: true })
    const pair: Pair = {
      client,
      target,
      ways: [
        new Way(client, target, letsRequests, delayMs),
        new Way(target, client, letsAnswers, delayMs),
      ],
    }
    pairs.add(pair)
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      let reset = false
      one.on('error', () => {
        reset = true
      })
      one.once('close', () => {
        for (const way of pair.ways) if (reset) way.stop()
        // Behind a cut, the other side learns nothing of it.
        if (current?.how === 'cut' || current?.how === 'half-open') return
        if (reset) other.resetAndDestroy()
        else if (one.destroyed) settle(pair)
      })
    }
    client.resume()
  }

  /** Both have ended, or one is gone and there is nothing more for the other. */
  function settle(pair: Pair): void {
    for (const way of pair.ways) way.move()
    if (pair.client.destroyed && pair.target.destroyed) {
      pairs.delete(pair)
      return
    }
    const left = pair.client.destroyed ? pair.target : pair.client
    left.end()
  }

  const resetAll = () => {
    for (const pair of pairs) {
      for (const way of pair.ways) way.stop()
      pair.client.resetAndDestroy()
      pair.target.resetAndDestroy()
    }
    pairs.clear()
    for (const client of waiting) client.resetAndDestroy()
    waiting.clear()
  }

  const link: Link = {
    name,
    port: 0,
    to,
    trouble(trouble) {
      current = trouble
      if (trouble.how === 'refuse') resetAll()
    },
    heal(how) {
      current = null
      if (how === 'reset') {
        resetAll()
        return
      }
      for (const pair of pairs) {
        for (const way of pair.ways) way.move()
        if (pair.client.destroyed || pair.target.destroyed) {
          // One side left while nobody could be told.
          pair.client.resetAndDestroy()
          pair.target.resetAndDestroy()
          pairs.delete(pair)
        }
      }
      for (const client of waiting) join(client)
      waiting.clear()
    },
    connections: () => pairs.size,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      resetAll()
      await closed
    },
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: '127.0.0.1' }, resolve)
  })
  Object.assign(link, { port: (server.address() as { port: number }).port })
  return link
}
