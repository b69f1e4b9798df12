/**
 * SSH: who may reach which target under which account, and then channels. A connection comes in as a socket and ends as a
 * sealed session in the record; a refused one leaves an access event that says why.
 * The user name says what is wanted, `account@resource` or `resource`, and never who wants it.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { loadSshAuthority, type SshAuthority } from '@custody/identity'
import {
  CustodyError,
  isCustodyError,
  PerMinute,
  recordedReason,
  type SshResource,
} from '@custody/kit'
import type { Path } from '@custody/schemas'
import { factsOf, REFUSALS_PER_MINUTE_MAX, recordSignedIn } from '../../admission'
import type { Principal, Protocol, ProtocolServices } from '../../protocol'
import { type Live, Sessions } from '../../sessions'
import type { SignInAsked } from '../../sign-ins'
import { type GatewayHostKey, gatewayHostKey } from './host-key'
import { JumpSocket } from './jump'
import { hostKeysOf, MetHosts } from './known-hosts'
import { Disconnect } from './numbers'
import { SshSession } from './session'
import { type SignedIn, SignIn } from './sign-in'
import { signInAtTarget } from './target'
import { plainDisconnect, printable, Transport } from './transport'

interface Client {
  address: string
  port: number
  gateway: string
  /** Sessions of this gateway that it came through. */
  via: string[]
}

interface Asked {
  name: string
  resource: SshResource | null
  account: string | null
}

const SOFTWARE = 'Custody'
/** Hops through this gateway. */
const JUMPS_MAX = 3
const SSH_PORT = 22

export async function createSsh(services: ProtocolServices): Promise<Protocol> {
  const { configuration, home, logger } = services
  const authority = loadSshAuthority(home, configuration.identity.sshAuthority)
  return new Ssh(services, authority, gatewayHostKey(configuration, home, authority, logger))
}

class Ssh implements Protocol {
  readonly name = 'ssh' as const
  readonly live: Sessions<string, Live>
  private readonly refusals = new PerMinute(REFUSALS_PER_MINUTE_MAX)
  private readonly met: MetHosts

  constructor(
    private readonly services: ProtocolServices,
    private readonly authority: SshAuthority,
    private readonly hostKey: GatewayHostKey,
  ) {
    this.met = new MetHosts(services.home)
    this.live = new Sessions(services)
  }

  serve(socket: Socket): Promise<void> {
    return this.take(socket, {
      address: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
      gateway: `${socket.localAddress}:${socket.localPort}`,
      via: [],
    })
  }

  refuse(socket: Socket): void {
    socket.end(
      Buffer.concat([
        Buffer.from(`SSH-2.0-${SOFTWARE}\r\n`),
        plainDisconnect(
          Disconnect.tooManyConnections,
          'custody: too many connections (CUSTODY-ACCESS-003)',
        ),
      ]),
    )
    socket.resume()
    setTimeout(() => socket.destroy(), 1000).unref()
  }

  /** Resolves once the client is signed in, or gone. */
  private take(socket: Duplex, client: Client): Promise<void> {
    const { configuration, recorder, signIns, verifier } = this.services
    return new Promise((settled) => {
      const path: Path = {
        clientAddress: client.address,
        clientPort: client.port,
        clientApplication: null,
        clientTls: null,
        via: client.via,
        gateway: configuration.gateway,
        gatewayAddress: client.gateway,
        agent: null,
        resource: '',
        protocol: 'ssh',
        target: null,
        targetTls: null,
        account: null,
        database: null,
      }
      let session: SshSession | null = null
      let isRecorded = false
      const { handshakeMsMax } = configuration.limits
      const tooLate = () => {
        const error = new CustodyError(
          'CUSTODY-ACCESS-004',
          `not signed in within ${handshakeMsMax} ms`,
        )
        this.recordRefusal(null, path, error)
        isRecorded = true
        transport.disconnect(Disconnect.byApplication, `custody: ${error.message} (${error.code})`)
      }
      let timer = setTimeout(tooLate, handshakeMsMax)
      const signIn = new SignIn({
        configuration,
        authority: this.authority,
        verifier,
        path,
        ask: async (): Promise<SignInAsked> => {
          path.clientApplication = transport.software || null
          const asked = signIns.ask(path, '')
          await recorder.recorded('os')
          return asked
        },
        waiting: () => clearTimeout(timer),
        waited: () => {
          if (transport.isOver || session !== null) return
          clearTimeout(timer)
          timer = setTimeout(tooLate, handshakeMsMax)
        },
        refused: (error) => {
          isRecorded = true
          path.clientApplication = transport.software || null
          this.recordRefusal(null, path, error)
        },
        signedIn: (who, letIn) => {
          clearTimeout(timer)
          path.clientApplication = transport.software || null
          try {
            session = this.open(who, path, client, transport, letIn)
          } catch (error) {
            isRecorded = true
            this.recordRefusal(who.principal, path, error)
            const { code, message } = error as { code?: string; message: string }
            transport.disconnect(
              Disconnect.byApplication,
              `custody: ${message}${code ? ` (${code})` : ''}`,
            )
          }
          settled()
        },
      })
      const transport: Transport = new Transport({
        socket,
        software: SOFTWARE,
        hostKeys: this.hostKey.offer(() => transport),
        authentication: signIn.handlers(),
      })
      signIn.begin(transport)
      transport.start({
        ready: () => {},
        message: (type, payload) => {
          if (session === null) throw new Error('a message of channels before sign-in')
          session.connection.message(type, payload)
        },
        drained: () => session?.connection.drained(),
        ended: (error) => {
          clearTimeout(timer)
          signIn.gone()
          if (session) session.clientEnded(error)
          else if (!isRecorded && error !== null) this.recordRefusal(null, path, error)
          settled()
        },
      })
    })
  }

  /** Everything that must be so before the client is let in, recorded. */
  private open(
    { principal, terms, user }: SignedIn,
    path: Path,
    client: Client,
    transport: Transport,
    letIn: () => void,
  ): SshSession {
    const { configuration, recorder, approvals, secrets, logger, gate } = this.services
    const { limits } = configuration
    if (this.live.isStopping)
      throw new CustodyError('CUSTODY-ACCESS-003', 'the gateway is stopping')
    const asked = this.resolve(user)
    const { resource, account } = asked
    path.resource = asked.name
    path.target = resource?.address ?? null
    path.account = account
    const facts = factsOf(principal)
    const application = path.clientApplication ?? null
    const openGate = (reason: string | null) =>
      gate.open({
        principal: { ...facts, reason },
        resource: { name: asked.name, protocol: 'ssh', labels: resource?.labels ?? {} },
        sourceAddress: client.address,
        application,
        database: null,
        account,
        isReplicated: resource?.durability === 'replicated',
      })
    const ordinary = openGate(null)
    let given: { reason: string; gate: typeof ordinary } | null = null
    recordSignedIn(recorder, principal, path)
    const recorded = recorder.openSession(principal.who, path, {
      attributes: { clientVersion: transport.software },
    })
    const id = recorded.id.toString('hex')
    const session = new SshSession({
      recorder,
      session: recorded,
      approvals,
      transport,
      resource,
      asked: asked.name,
      terms,
      limits,
      gate: (reason) => {
        if (reason === null) return ordinary
        // Approvals are remembered by a gate: the channels of one reason have one.
        if (given?.reason !== reason) given = { reason, gate: openGate(reason) }
        return given.gate
      },
      rules:
        resource === null
          ? null
          : (this.services.masking?.open(
              { name: asked.name, labels: resource.labels },
              principal.who.groups,
            ) ?? null),
      // What is wrong with what is kept of its host keys is told as what is wrong with the target.
      reachTarget: async (handler, ended) =>
        signInAtTarget({
          resource: resource!,
          account: account!,
          software: SOFTWARE,
          hostKeys: hostKeysOf({
            name: asked.name,
            resource: resource!,
            met: this.met,
            noted: (kind, fingerprint, before) =>
              recorder.record(
                {
                  kind: kind === 'met' ? 'target.host-key-met' : 'alert.host-key-changed',
                  lifecycle: {
                    state: 'changed',
                    reason:
                      kind === 'met'
                        ? `the host key of ${asked.name} was met for the first time: ${fingerprint}`
                        : `the host key of ${asked.name} is not the one expected: ${fingerprint}`,
                    attributes: { fingerprint, ...(before !== null && { before }) },
                  },
                },
                recorded,
              ),
          }),
          connectMsMax: limits.targetConnectMsMax,
          channelsMax: limits.channelsPerConnectionMax,
          secrets,
          handler,
          ended,
        }).catch((error) => {
          this.recordTargetProblem(principal, path, error)
          throw error
        }),
      jump: (host, port) => this.jump(host, port, client, id),
      onEnd: () => this.live.delete(id),
    })
    this.live.set(id, { relay: session, session: recorded, principal })
    recorder.whenRecorded('os', {
      recorded: (error) => {
        if (error) session.abort('CUSTODY-LOG-003', error.message)
        else if (!transport.isOver) {
          session.start()
          letIn()
        }
      },
    })
    logger.debug?.({ session: id, resource: asked.name }, 'an SSH session is open')
    return session
  }

  /** `account@resource` or `resource`. What is none may still jump to one: clients send their own user name to a jump host. */
  private resolve(user: string): Asked {
    const at = user.lastIndexOf('@')
    const name = user.slice(at + 1)
    const found = Object.hasOwn(this.services.configuration.resources, name)
      ? this.services.configuration.resources[name]
      : undefined
    if (found?.protocol !== 'ssh')
      return { name: printable(name).slice(0, 63), resource: null, account: null }
    const account = at < 0 ? found.account : user.slice(0, at)
    if (account !== found.account && !found.accounts.includes(account))
      throw new CustodyError(
        'CUSTODY-SSH-002',
        `the resource ${JSON.stringify(name)} has no account ${JSON.stringify(printable(account))}`,
      )
    return { name, resource: found, account }
  }

  private jump(host: string, port: number, client: Client, session: string) {
    const { resources } = this.services.configuration
    const found = Object.hasOwn(resources, host) ? resources[host] : undefined
    if (found?.protocol !== 'ssh' || port !== SSH_PORT || client.via.length >= JUMPS_MAX)
      return null
    return (handler: import('./connection').ChannelHandler) => {
      const socket = new JumpSocket(handler, client)
      // Confirmed before anything is said.
      setImmediate(() => {
        handler.opened()
        void this.take(socket, { ...client, via: [...client.via, `ssh session ${session}`] })
      })
      return socket
    }
  }

  private recordTargetProblem(principal: Principal, path: Path, error: unknown): void {
    const { logger } = this.services
    if (isCustodyError(error) && error.code === 'CUSTODY-SECRET-001')
      logger.error(
        { code: error.code, reason: error.details.recorded },
        'nobody can be signed in at a target',
      )
    if (isCustodyError(error) && error.code === 'CUSTODY-SSH-003')
      logger.error({ code: error.code, resource: path.resource }, error.message)
    this.recordRefusal(principal, path, error)
  }

  private recordRefusal(principal: Principal | null, path: Path, error: unknown): void {
    if (this.services.recorder.problem) return
    // Whoever has no name could fill the log; some a minute tell of all of them.
    if (principal === null && !this.refusals.take()) return
    const code = (error as { code?: unknown }).code
    this.services.recorder.record({
      kind: 'access.refused',
      who: principal?.who,
      path,
      access: {
        action: 'connect',
        outcome: 'refused',
        code: typeof code === 'string' && code.startsWith('CUSTODY') ? code : 'CUSTODY-SSH-006',
        reason: recordedReason(error),
      },
    })
  }
}
