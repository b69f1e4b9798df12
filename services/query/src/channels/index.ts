/**
 * Channels: where approvers are asked about held commands, and where their answers come in. The one list of them, and the
 * order in which whatever comes in is treated: its bytes, its proof, who it is, the answer, and what is told of a refusal.
 * Refuses to tell whoever calls from outside more than that it was refused.
 */
import type { Recorder } from '@custody/event-log'
import { Locks } from '@custody/identity'
import {
  type ChannelSettings,
  type Configuration,
  type CustodyError,
  type Home,
  isCustodyError,
  type Logger,
  type Secrets,
  urlOf,
} from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { FastifyInstance } from 'fastify'
import { rolesOf } from '../access'
import type { Answering } from '../answering'
import type { Store } from '../store'
import type { Watch } from '../watch'
import type { Channel } from './channel'
import { callerOf, createDesk, Recorded } from './desk'
import { createEmail, linkRoutes } from './email'
import type { Requests } from './follower'
import { createJira } from './jira'
import { createLinks, type Links } from './links'
import { forgetPositions, Notifier } from './notifier'
import { createPagerDuty } from './pagerduty'
import { createPeople, type People } from './people'
import { malformed } from './proof'
import type { RiskOf } from './request'
import { createServiceNow } from './servicenow'
import { createSlack } from './slack'
import { createTeams } from './teams'
import { createWebhook } from './webhook'

/** Jira sends whole issues. */
const INBOUND_BYTES_MAX = 1024 * 1024

export interface Channels {
  /** Where answers come in; registered below `/channels`. */
  routes(app: FastifyInstance): void
  /** Once it is known at which port people reach the console. */
  start(port: number): Promise<void>
  stop(): Promise<void>
}

export interface ChannelsOptions {
  configuration: Configuration
  home: Home
  store: Pick<Store, 'askedBefore' | 'lastIdentity'>
  watch: Pick<Watch, 'refused' | 'look'>
  answering: Pick<Answering, 'answer'>
  recorder: Recorder
  secrets: Secrets
  riskOf: RiskOf
  standing(who: Who): CustodyError | null
  logger: Logger
  /** In a cluster: where the requests of all gateways are. */
  requests?: Requests
  /** Shorter in tests. */
  pollMs?: number
  retryMsMin?: number
  /** Longer in tests. */
  beforeMsMax?: number
}

export function createChannels(o: ChannelsOptions): Channels {
  const { gateway, approvals: settings, listen } = o.configuration
  const follows = `proxy-${gateway}`
  if (settings.channels.length === 0) return noChannels(o, follows)

  const people = createPeople({
    settings,
    gateway,
    store: o.store,
    locks: new Locks(o.home),
    standing: o.standing,
  })
  const links = createLinks(o.home)
  let externalUrl = (o.configuration.console.url ?? '').replace(/\/+$/, '')
  const channels = settings.channels.map((one) => ({
    settings: one,
    channel: channelOf(one, { secrets: o.secrets, links, people, externalUrl: () => externalUrl }),
  }))
  const notifier = new Notifier({
    directory: o.home.log,
    follows,
    requests: o.requests,
    recorder: o.recorder,
    gateway,
    channels,
    store: o.store,
    riskOf: o.riskOf,
    logger: o.logger,
    pollMs: o.pollMs,
    retryMsMin: o.retryMsMin,
    beforeMsMax: o.beforeMsMax,
  })
  const desk = createDesk({
    open: notifier,
    people,
    answering: o.answering,
    rolesOf: (who) => rolesOf(who, o.configuration.console.roles),
    watch: o.watch,
    logger: o.logger,
  })
  const ends: (() => void)[] = []

  return {
    routes(app) {
      inboundRules(app, desk)
      for (const { channel } of channels) channel.routes?.(app, desk)
      const mails = channels.filter(({ channel }) => channel.type === 'email')
      if (mails.length > 0)
        linkRoutes(
          links,
          mails.map(({ channel }) => channel.name),
        )(app, desk)
    },
    async start(port) {
      externalUrl ||= urlOf(listen.host, port)
      await notifier.start(externalUrl)
      for (const { channel } of channels) {
        const end = channel.follow?.(desk)
        if (end) ends.push(end)
      }
    },
    async stop() {
      for (const end of ends.splice(0)) end()
      await notifier.stop()
    },
  }
}

function channelOf(
  settings: ChannelSettings,
  o: { secrets: Secrets; links: Links; people: People; externalUrl(): string },
): Channel {
  switch (settings.type) {
    case 'slack':
      return createSlack(settings, o.secrets)
    case 'teams':
      return createTeams(settings, o.secrets)
    case 'email':
      return createEmail({ settings, ...o })
    case 'webhook':
      return createWebhook(settings, o.secrets)
    case 'jira':
      return createJira(settings, o.secrets)
    case 'servicenow':
      return createServiceNow(settings, o.secrets)
    case 'pagerduty':
      return createPagerDuty(settings, o.secrets)
  }
}

function inboundRules(app: FastifyInstance, desk: ReturnType<typeof createDesk>): void {
  // Other programs' addresses, none of the API's.
  app.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, hide: true }
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: INBOUND_BYTES_MAX },
    (_request, body, done) => done(null, body),
  )
  // A signature is of some bytes, even if of none.
  app.addHook('preValidation', async (request) => {
    request.body ??= Buffer.alloc(0)
  })
  app.setErrorHandler((error, request, reply) => {
    // Not for us at all; answered as everywhere else.
    if (isCustodyError(error) && error.code === 'CUSTODY-API-005') throw error
    if (!(error instanceof Recorded)) {
      const name = (request.routeOptions.url ?? '').replace(/^\/channels\//, '') || 'unknown'
      // Of what can't even be read, the framework says so.
      const status = (error as { statusCode?: number }).statusCode
      const why =
        !isCustodyError(error) && status !== undefined && status < 500
          ? malformed('the call can’t be read')
          : error
      desk.refused(callerOf(request, { name }), { name }, why)
    }
    const code = isCustodyError(error) ? error.code : ''
    if (code === 'CUSTODY-API-006' || code === 'CUSTODY-API-007')
      return reply
        .status(503)
        .header('retry-after', '1')
        .send({ error: { code, message: 'not now' } })
    return reply.status(403).send({ error: { code: 'CUSTODY-CHANNEL-003', message: 'refused' } })
  })
}

function noChannels(o: ChannelsOptions, follows: string): Channels {
  return {
    routes() {},
    start: () => forgetPositions(o.home.log, [follows, o.recorder.name]),
    async stop() {},
  }
}
