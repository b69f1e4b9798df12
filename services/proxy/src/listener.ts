/**
 * Accepts connections for a protocol, within bounds. Knows nothing of what they say.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { listen } from '@custody/kit'
import type { Protocol } from './protocol'

export interface ListenerOptions {
  protocol: Protocol
  host: string
  port: number
  /** The setting that a person changes when the port is taken. */
  portSetting: string
  connectionsMax: number
  handshakesMax: number
}

export interface Listener {
  readonly port: number
  /** Takes nobody new from now on; who is still there when `drained` settles is cut off. */
  stop(drained: Promise<unknown>): Promise<void>
}

export async function startListener(options: ListenerOptions): Promise<Listener> {
  const open = new Set<Socket>()
  let handshakes = 0
  const server: Server = createServer(
    { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000, allowHalfOpen: true },
    (socket) => {
      if (open.size >= options.connectionsMax || handshakes >= options.handshakesMax) {
        socket.on('error', () => {})
        options.protocol.refuse(socket)
        return
      }
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      handshakes++
      void options.protocol.serve(socket).finally(() => handshakes--)
    },
  )
  const port = await listen(server, {
    host: options.host,
    port: options.port,
    setting: options.portSetting,
  })
  return {
    port,
    stop: (drained) =>
      new Promise((resolve) => {
        server.close(() => resolve())
        const cutOff = () => {
          for (const socket of open) socket.destroySoon()
          setTimeout(() => {
            for (const socket of open) socket.destroy()
          }, 500).unref()
        }
        drained.then(cutOff, cutOff)
      }),
  }
}
