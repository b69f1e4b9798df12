/**
 * What tests of channels stand in: real event logs, a gateway that holds commands and takes answers as the real one does,
 * and the routes on a real port. Requests are folded from those logs in place of the store.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openReader, openRecorder, type RecordedSession, type Recorder } from '@custody/event-log'
import { Locks } from '@custody/identity'
import {
  createSecrets,
  type Home,
  parseConfiguration,
  prepareHome,
  type Secrets,
  silentLogger,
} from '@custody/kit'
import { enough, parseRequirements, refusal } from '@custody/policy'
import {
  decodeMessage,
  type Event,
  newUuid,
  nowMicros,
  type Path,
  uuidText,
  type Who,
} from '@custody/schemas'
import { until } from '@custody/test-support'
import Fastify, { type FastifyInstance } from 'fastify'
import { createAnswering } from '../../answering'
import { notFound } from '../../errors'
import { isoOfMicros, type JsonObject } from '../../rows'
import { createWatch } from '../../watch'
import { type Channels, createChannels } from '..'
import { createRiskOf } from '../request'

export const whoOf = (subject: string, groups: string[] = [], fields: Partial<Who> = {}): Who => ({
  subject,
  issuer: 'https://idp.example.com',
  email: `${subject}@example.com`,
  name: null,
  groups,
  kind: 'human',
  method: 'oidc',
  tokenId: null,
  authenticatedAt: null,
  onBehalfOf: [],
  ...fields,
})

export interface Held {
  id: string
  session: RecordedSession
}

export interface HoldOptions {
  who?: Who
  text?: string
  approvers?: string
  required?: number
  comment?: boolean
  expiresMs?: number
  reason?: string
  resource?: string
  fingerprint?: string
}

export class World {
  readonly root = mkdtempSync(join(tmpdir(), 'custody-channels-'))
  readonly home: Home = prepareHome(join(this.root, 'home'))
  gateway!: Recorder
  own!: Recorder
  channels: Channels | null = null
  app: FastifyInstance | null = null
  port = 0
  /** Who the store has seen, by address. */
  readonly seen = new Map<string, Who>()
  askedBefore: (asked: object) => Promise<JsonObject[]> = async () => []
  secrets: Pick<Secrets, 'read'> = createSecrets(undefined)

  static async make(configuration: string): Promise<World> {
    const world = new World()
    world.gateway = await openRecorder({
      directory: world.home.log,
      recorder: 'proxy-local',
      reserveBytes: 0,
    })
    await world.start(configuration)
    return world
  }

  async start(text: string, fields: { retryMsMin?: number } = {}): Promise<void> {
    const configuration = parseConfiguration(text)
    this.own = await openRecorder({
      directory: this.home.log,
      recorder: 'query-local',
      reserveBytes: 0,
    })
    const watch = createWatch(this.own, 'local')
    const store = {
      approval: (id: string) => this.approval(id),
      lastIdentity: async (email: string) => this.seen.get(email) ?? null,
      askedBefore: (asked: object) => this.askedBefore(asked),
    }
    this.channels = createChannels({
      configuration,
      home: this.home,
      store,
      watch,
      answering: createAnswering({ store, watch, freshness: { caughtUp: async () => true } }),
      recorder: this.own,
      secrets: { ...createSecrets(undefined), read: (secret) => this.secrets.read(secret) },
      standing: () => null,
      riskOf: await createRiskOf(),
      logger: silentLogger(),
      pollMs: 20,
      retryMsMin: fields.retryMsMin ?? 50,
    })
    this.app = Fastify({ routerOptions: { maxParamLength: 1024 } })
    await this.app.register(async (inbound) => this.channels!.routes(inbound), {
      prefix: '/channels',
    })
    await this.app.listen({ host: '127.0.0.1', port: this.port })
    this.port = (this.app.server.address() as { port: number }).port
    await this.channels.start(this.port)
  }

  /** The query service alone. */
  async stop(): Promise<void> {
    await this.channels?.stop()
    await this.app?.close()
    await this.own?.close()
    this.channels = null
    this.app = null
  }

  async end(): Promise<void> {
    if (this.channels) await this.stop()
    await this.gateway.close()
    rmSync(this.root, { recursive: true, force: true })
  }

  lock(name: string): void {
    new Locks(this.home).add(name, { by: 'test', reason: null, since: new Date().toISOString() })
  }

  hold(o: HoldOptions = {}): Held {
    const text = o.text ?? 'delete from customers'
    const session = this.gateway.openSession(o.who ?? whoOf('ada'), {
      gateway: 'local',
      resource: o.resource ?? 'orders',
      protocol: 'postgres',
      clientAddress: '10.1.2.3',
      clientApplication: 'psql',
      database: 'shop',
    } as unknown as Path)
    const id = newUuid()
    this.gateway.record(
      {
        kind: 'approval.requested',
        statement: {
          language: 'sql',
          interface: 'query',
          text,
          textBytes: Buffer.byteLength(text),
          fingerprint: o.fingerprint ?? 'f1',
          verbs: ['sql:delete'],
          objects: [{ kind: 'table', name: 'customers', verb: 'sql:delete' }],
          understood: true,
          index: 0,
          count: 1,
        },
        approval: {
          request: id,
          state: 'requested',
          comment: o.reason ?? 'deletes in production need a second person',
          expires: nowMicros() + (o.expiresMs ?? 60_000) * 1000,
          required: o.required ?? 1,
        },
        lifecycle: {
          state: 'changed',
          reason: 'a command is held',
          attributes: {
            approvers: o.approvers ?? 'dba',
            ...(o.comment && { comment: 'required' }),
          },
        },
      },
      session,
    )
    return { id: uuidText(id), session }
  }

  /** As the gateway records an end. */
  finish(held: Held, state: 'approved' | 'denied' | 'expired' | 'withdrawn', by?: Who): void {
    const request = Buffer.from(held.id.replaceAll('-', ''), 'hex')
    this.gateway.record(
      {
        kind: `approval.${state}`,
        approval: { request, state, approver: by ?? null, channel: by ? 'cli' : null },
      },
      held.session,
    )
  }

  async events(recorder: 'proxy-local' | 'query-local'): Promise<Event[]> {
    const reader = openReader({ directory: this.home.log, recorder })
    const found: Event[] = []
    try {
      for (let batch = await reader.read(1 << 20); batch; batch = await reader.read(1 << 20))
        found.push(...batch.messages.map(decodeMessage))
    } finally {
      reader.close()
    }
    return found
  }

  async ownEvents(kind: string): Promise<Event[]> {
    return (await this.events('query-local')).filter((event) => event.kind === kind)
  }

  /** Answers that stand in the log, as `approved by bob@example.com over slack`. */
  async answers(): Promise<string[]> {
    return (await this.ownEvents('approval.answered')).map(
      ({ approval }) =>
        `${approval!.state} by ${approval!.approver!.email} over ${approval!.channel}${approval!.comment ? `: ${approval!.comment}` : ''}`,
    )
  }

  async refusals(): Promise<string[]> {
    return (await this.ownEvents('access.refused')).map(
      ({ access }) => `${access!.code} ${access!.reason}`,
    )
  }

  /** What the store says of a request. */
  private async approval(id: string): Promise<JsonObject> {
    const gateway = await this.events('proxy-local')
    const own = await this.events('query-local')
    const of = (event: Event) => event.approval && uuidText(event.approval.request) === id
    const asked = gateway.find((event) => event.kind === 'approval.requested' && of(event))
    if (!asked) throw notFound(`there is no request ${id}`)
    const answers = own.filter((event) => event.kind === 'approval.answered' && of(event))
    const attributes = asked.lifecycle!.attributes
    const { required } = asked.approval!
    const requirements = parseRequirements(attributes.approvers ?? '', required)
    const counted = answers.filter(
      ({ approval }) => refusal(requirements, asked.who!, approval!.approver!) === null,
    )
    const yes = counted.filter(({ approval }) => approval!.state === 'approved')
    const no = counted.some(({ approval }) => approval!.state === 'denied')
    const end = gateway.find(
      (event) => /^approval\.(approved|denied|expired|withdrawn)$/.test(event.kind) && of(event),
    )
    const state = end
      ? end.kind.slice(9)
      : no
        ? 'denied'
        : enough(
              requirements,
              yes.map(({ approval }) => approval!.approver!),
            )
          ? 'approved'
          : asked.approval!.expires! < nowMicros()
            ? 'expired'
            : 'waiting'
    return {
      id,
      state,
      who: asked.who as unknown as JsonObject,
      approvers: attributes.approvers ?? '',
      required,
      commentRequired: attributes.comment === 'required',
      requested: isoOfMicros(asked.time),
      answers: answers.map(({ approval }) => ({
        state: approval!.state,
        who: approval!.approver as unknown as JsonObject,
        channel: approval!.channel,
        comment: approval!.comment,
      })),
    }
  }
}

export { until }

export const rest = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
