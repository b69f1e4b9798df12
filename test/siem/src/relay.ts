/**
 * The network between the exporter and a receiver, which can be cut, stalled, or made to answer in the receiver's place.
 * Bytes are passed on as they are; TLS goes through.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'

export interface Relay {
  readonly port: number
  /** Where it leads; a receiver may come back on another port. */
  target: number
  /** Ends all connections at once (RST) and takes no more until `mend`. */
  cut(): void
  mend(): void
  /** Answers every request by itself, so many times. */
  storm(status: 429 | 503, times: number): void
  /** Of the next answers only the first bytes arrive, and the connection ends. */
  halfAnswers(times: number): void
  readonly stormed: number
  readonly halved: number
  stop(): Promise<void>
}

const HALF_BYTES = 40

export async function startRelay(target: number): Promise<Relay> {
  const open = new Set<Socket>()
  let isCut = false
  let storms = 0
  let status = 503
  let halves = 0
  const counts = { stormed: 0, halved: 0 }

  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    client.on('error', () => {})
    if (isCut) return void client.resetAndDestroy()
    const upstream = connect({ port: relay.target, host: '127.0.0.1', allowHalfOpen: true })
    open.add(client)
    open.add(upstream)
    upstream.on('error', () => client.resetAndDestroy())
    client.on('error', () => upstream.resetAndDestroy())
    client.on('data', (bytes) => {
      if (storms > 0) {
        storms--
        counts.stormed++
        client.end(
          `HTTP/1.1 ${status} Storm\r\ncontent-length: 0\r\nretry-after: 0\r\nconnection: close\r\n\r\n`,
        )
        upstream.destroy()
        return
      }
      if (!upstream.write(bytes)) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
    })
    upstream.on('data', (bytes) => {
      if (halves > 0) {
        halves--
        counts.halved++
        client.write(bytes.subarray(0, HALF_BYTES), () => client.resetAndDestroy())
        upstream.destroy()
        return
      }
      if (!client.write(bytes)) {
        upstream.pause()
        client.once('drain', () => upstream.resume())
      }
    })
    client.on('end', () => upstream.end())
    upstream.on('end', () => client.end())
    for (const one of [client, upstream]) one.on('close', () => open.delete(one))
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroySoon())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const relay: Relay = {
    port: (server.address() as { port: number }).port,
    target,
    cut() {
      isCut = true
      for (const socket of open) socket.resetAndDestroy()
    },
    mend() {
      isCut = false
    },
    storm(code, times) {
      status = code
      storms = times
    },
    halfAnswers(times) {
      halves = times
    },
    get stormed() {
      return counts.stormed
    },
    get halved() {
      return counts.halved
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
  return relay
}
