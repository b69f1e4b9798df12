/**
 * Syslog (RFC 5424) over TLS (RFC 5425), TCP with octet counting (RFC 6587, 3.4.1) or UDP (RFC 5426).
 *
 * Records are whole messages already; this is how they are carried.
 *
 * Syslog has no acknowledgement, and what a connection has taken may lie unread in a system's buffer when the receiver dies. So
 * each batch has a connection of its own: it is closed behind the last byte, and the receiver closes its side when it has read
 * all of it. A receiver that was killed looks the same where it had read everything and written nothing; therefore the
 * batch counts only when the next connection stands, which a receiver that is gone does not accept. What a receiver keeps in
 * memory afterwards is its own affair. With `confirm: false` one connection is kept and what the system takes counts.
 * Of UDP nothing is known at all.
 */
import { createSocket, type Socket as Datagram } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { SiemDestinationSettings } from '@custody/kit'
import { type Batch, type Destination, type Outgoing, Undelivered } from '../delivery/destination'
import { frameSyslog } from '../formats'
import type { DestinationContext } from './context'
import { joined } from './joined'
import { checkHost, guardedAddress, guardedLookup } from './outbound'

type Settings = Extract<SiemDestinationSettings, { type: 'syslog' }>

/** What a datagram can hold over IPv4. */
const DATAGRAM_BYTES_MAX = 65_507
const CLOSE_MS_MAX = 2000
/** A connection that waited longer may be closed by its receiver while a batch is on its way to it. */
const IDLE_MS_MAX = 1000

export function createSyslog({ name, settings }: DestinationContext<Settings>): Destination {
  const { transport, requestMsMax } = settings
  const at = settings.address.lastIndexOf(':')
  const host = settings.address.slice(0, at).replace(/^\[|\]$/g, '')
  const port = Number(settings.address.slice(at + 1))
  let wire: Promise<Wire> | null = null
  let udp: { socket: Datagram; family: number } | null = null

  async function open(): Promise<Wire> {
    checkHost(name, host, settings.allowMetadataAddresses)
    const lookup = guardedLookup(settings.allowMetadataAddresses)
    const { tls } = settings
    // An address is no server name (RFC 6066, 3).
    const serverName = tls?.serverName ?? (isIP(host) ? undefined : host)
    let socket: Socket
    try {
      socket =
        transport === 'tls'
          ? connectTls({
              host,
              port,
              lookup,
              rejectUnauthorized: true,
              minVersion: 'TLSv1.2',
              ...(serverName && { servername: serverName }),
              ...(tls?.ca && { ca: readFileSync(tls.ca) }),
              ...(tls?.certificate && { cert: readFileSync(tls.certificate) }),
              ...(tls?.key && { key: readFileSync(tls.key) }),
            })
          : connect({ host, port, lookup, noDelay: true })
    } catch (cause) {
      throw new Undelivered(`${name}: ${(cause as Error).message}`, 'setting', undefined, cause)
    }
    const opened = new Wire(socket)
    await opened.connected(transport === 'tls' ? 'secureConnect' : 'connect', requestMsMax)
    return opened
  }

  async function deliverStream(batch: Batch): Promise<void> {
    let current: Wire
    try {
      // One that waited may have been closed meanwhile, or be about to.
      const waiting = await wire
      if (waiting?.isBroken || (settings.confirm && waiting?.isIdle)) {
        waiting.destroy()
        wire = null
      }
      wire ??= open()
      current = await wire
    } catch (error) {
      wire = null
      throw undelivered(name, error)
    }
    try {
      const bytes = framesOf(batch.records)
      if (settings.confirm) {
        await current.writeAll(bytes, requestMsMax)
        wire = open()
        await wire
      } else await current.write(bytes, requestMsMax)
    } catch (error) {
      wire = null
      current.destroy()
      throw undelivered(name, error)
    }
  }

  async function deliverDatagrams(batch: Batch): Promise<void> {
    try {
      // Asked for each batch: names change, and a socket speaks one family of addresses.
      const { address, family } = await guardedAddress(host, settings.allowMetadataAddresses)
      if (udp?.family !== family) {
        udp?.socket.close()
        const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
        // What goes wrong is told to who sends.
        socket.on('error', () => {})
        udp = { socket, family }
      }
      const { socket } = udp
      for (const { text } of batch.records)
        await new Promise<void>((resolve, reject) =>
          socket.send(frameSyslog(text, 'datagram'), port, address, (error) =>
            error ? reject(error) : resolve(),
          ),
        )
    } catch (error) {
      throw undelivered(name, error)
    }
  }

  return {
    name,
    acknowledges: transport === 'udp' ? 'none' : 'sent',
    ...(transport === 'udp' && { limits: { recordBytesMax: DATAGRAM_BYTES_MAX } }),
    async deliver(batch) {
      if (transport === 'udp') await deliverDatagrams(batch)
      else await deliverStream(batch)
      return {}
    },
    async close() {
      udp?.socket.close()
      await (await wire?.catch(() => null))?.end()
    },
  }
}

/** One connection. */
class Wire {
  private error: Error | null = null
  /** The other side has closed in order. */
  private isOver = false
  private readonly waiting = new Set<(error: Error) => void>()
  private readonly since = performance.now()

  constructor(private readonly socket: Socket) {
    socket.on('error', (error) => this.broken(error))
    socket.on('end', () => {
      this.isOver = true
    })
    socket.on('close', () => this.broken(reset()))
    // Whatever a receiver says means nothing in syslog, but must be read so that its end is seen.
    socket.resume()
  }

  get isBroken(): boolean {
    return this.error !== null || this.isOver
  }

  get isIdle(): boolean {
    return performance.now() - this.since > IDLE_MS_MAX
  }

  connected(event: string, msMax: number): Promise<void> {
    return this.bounded(msMax, (done) => this.socket.once(event, () => done(null)))
  }

  /** Resolves when our own system has taken every byte. */
  write(bytes: Buffer, msMax: number): Promise<void> {
    return this.bounded(msMax, (done) =>
      this.socket.write(bytes, (error) => {
        if (!error) done(null)
      }),
    )
  }

  /** Resolves when the receiver has read every byte, and closed. */
  writeAll(bytes: Buffer, msMax: number): Promise<void> {
    return this.bounded(msMax, (done) => {
      let isEnded = false
      // A receiver that closes before it has seen our end may have read nothing.
      this.socket.once('end', () => done(isEnded ? null : reset()))
      this.socket.write(bytes, (error) => {
        if (error) return
        // Behind the last byte; over TLS as close_notify. What the receiver sent before is seen in the turn in between.
        setImmediate(() =>
          setImmediate(() => {
            isEnded = true
            this.socket.end()
          }),
        )
      })
    })
  }

  /** In order: a receiver that is cut off may forget what it has not worked through. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.socket.destroy(), CLOSE_MS_MAX)
      const over = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.socket.destroyed) over()
      else this.socket.once('close', over).end()
    })
  }

  destroy(): void {
    this.socket.destroy()
  }

  private bounded(
    msMax: number,
    work: (done: (error: Error | null) => void) => void,
  ): Promise<void> {
    if (this.error) return Promise.reject(this.error)
    return new Promise((resolve, reject) => {
      const over = (error: Error | null) => {
        clearTimeout(timer)
        this.waiting.delete(over)
        if (error) reject(error)
        else resolve()
      }
      const timer = setTimeout(() => over(Object.assign(new Error(), { code: 'ETIMEDOUT' })), msMax)
      this.waiting.add(over)
      work(over)
    })
  }

  private broken(error: Error): void {
    this.error ??= error
    for (const over of this.waiting) over(this.error)
  }
}

function reset(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
}

function undelivered(name: string, error: unknown): Undelivered {
  if (error instanceof Undelivered) return error
  const { code } = error as { code?: string }
  const isCertificate =
    code !== undefined && /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO|EDENIED/.test(code)
  const why = code && /^[A-Z0-9_]{1,60}$/.test(code) ? code : 'the connection failed'
  return new Undelivered(
    `${name} can't be reached: ${why}`,
    isCertificate ? 'setting' : 'retry',
    undefined,
    error,
  )
}

export function framesOf(records: readonly Outgoing[]): Buffer {
  return joined(records, ({ bytes }) => `${bytes} `, '')
}
