/**
 * From the first byte to the client's handshake response. MySQL's server speaks first, before it can know which target is
 * wanted, so a gateway says what its targets have in common: their version, and what all of them can do.
 * Refuses to agree on anything with a client that its target may not do.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type SecureContext, TLSSocket } from 'node:tls'
import { PacketChannel } from './channel'
import { hasZstd } from './compression'
import { GREETED_PLUGIN } from './credential'
import { CAPABILITIES, MARIADB_CAPABILITIES } from './target'
import {
  Capability,
  greetingPayload,
  type HandshakeResponse,
  readHandshakeHead,
  readHandshakeResponse,
  type ServerGreeting,
  Status,
} from './wire'

/** What a target said of itself. */
export type TargetFacts = Pick<
  ServerGreeting,
  'version' | 'capabilities' | 'mariadbCapabilities' | 'collation'
>

/** Where no target was reached yet. */
const UNKNOWN: TargetFacts = {
  version: '5.7.99-custody',
  capabilities: CAPABILITIES & ~(Capability.queryAttributes | Capability.localFiles),
  mariadbCapabilities: 0,
  collation: 45,
}

/** Ours, whatever the target can do: compression ends here, as TLS does. */
const OUR_OWN =
  Capability.compress |
  (hasZstd ? Capability.zstd : 0) |
  Capability.ssl |
  Capability.pluginAuth |
  Capability.authLenenc

/** What is said to clients: the first target's version, and what all can do. */
export function commonFacts(targets: readonly TargetFacts[]): TargetFacts {
  if (targets.length === 0) return UNKNOWN
  return {
    ...targets[0]!,
    capabilities: targets.reduce((all, one) => all & one.capabilities, ~0) >>> 0,
    mariadbCapabilities: targets.reduce((all, one) => all & one.mariadbCapabilities, ~0) >>> 0,
  }
}

export interface Greeted {
  stream: Duplex
  channel: PacketChannel
  response: HandshakeResponse
  tls: TLSSocket | null
}

export async function greet(
  socket: Socket,
  context: SecureContext | null,
  facts: TargetFacts,
  threadId: number,
  nonce: Buffer,
  bytesMax: number,
): Promise<Greeted> {
  const offered =
    (facts.capabilities & CAPABILITIES) |
    (OUR_OWN & ~(context === null ? Capability.ssl : 0)) |
    Capability.protocol41 |
    Capability.secureConnection |
    Capability.connectWithDb |
    Capability.connectAttributes
  const mariadb = facts.mariadbCapabilities & MARIADB_CAPABILITIES
  let channel = new PacketChannel(socket, 0, bytesMax)
  channel.send(
    greetingPayload({
      version: facts.version,
      ...{ threadId, nonce },
      capabilities: offered >>> 0,
      mariadbCapabilities: mariadb,
      collation: facts.collation,
      status: Status.autocommit,
      plugin: GREETED_PLUGIN,
    }),
  )
  let stream: Duplex = socket
  let tls: TLSSocket | null = null
  let said = await channel.read()
  if (
    context !== null &&
    readHandshakeHead(said).capabilities & Capability.ssl &&
    said.length === 32
  ) {
    const early = channel.release()
    if (early.length > 0) socket.unshift(early)
    tls = await acceptTls(socket, context)
    stream = tls
    channel = new PacketChannel(tls, channel.sequence, bytesMax)
    said = await channel.read()
  }
  const response = readHandshakeResponse(said)
  response.capabilities = (response.capabilities & offered) >>> 0
  response.mariadbCapabilities &= mariadb
  return { stream, channel, response, tls }
}

function acceptTls(socket: Socket, secureContext: SecureContext): Promise<TLSSocket> {
  const secure = new TLSSocket(socket, { isServer: true, secureContext })
  return new Promise((resolve, reject) => {
    const failed = (error?: Error) =>
      reject(error ?? new Error('the connection was closed during the TLS handshake'))
    secure.once('error', failed)
    secure.once('close', failed)
    secure.once('secure', () => {
      secure.off('error', failed)
      secure.off('close', failed)
      resolve(secure)
    })
  })
}
