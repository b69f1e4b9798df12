/**
 * Where every channel hands in what somebody said: finds who they are, has the one function answer that the API has, and
 * writes down what was refused and why.
 * Refuses requests that were not asked over that channel or have ended, and tells whoever sent nothing of the reasons
 * unless it is known who they are.
 */
import { CustodyError, isCustodyError, type Logger } from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { FastifyRequest } from 'fastify'
import type { Role } from '../access'
import type { Answering } from '../answering'
import { conflict, forbidden } from '../errors'
import type { Reader, Watch } from '../watch'
import type { Channel, HeldRequest } from './channel'
import type { People, Spoken } from './people'

export interface Asked {
  request: HeldRequest
  reference: string | null
}

/** What is open, as the notifier knows it. */
export interface OpenRequests {
  /** Asked over this channel and not ended. */
  asked(channel: string): Asked[]
  /** Not ended, and for this channel. */
  open(id: string, channel: string): HeldRequest | null
}

export interface Said {
  channel: Pick<Channel, 'name' | 'type'>
  request: string
  state: 'approved' | 'denied'
  comment: string | null
  by: Spoken
  from: Omit<Reader, 'who'>
  /** The same person's second answer over this channel is refused. */
  once?: boolean
}

export interface Desk extends OpenRequests {
  /** Rejects with a CustodyError whose text may be shown to who answered; it is recorded already. */
  answer(said: Said): Promise<void>
  /** Records that somebody was shown a request; rejects where it is not known who that is. */
  looked(
    channel: Pick<Channel, 'type'>,
    request: HeldRequest,
    by: Spoken,
    from: Omit<Reader, 'who'>,
  ): Promise<void>
  /** Records that something came in that counts for nothing. */
  refused(from: Omit<Reader, 'who'>, channel: Pick<Channel, 'name'>, error: unknown): void
}

export function createDesk(o: {
  open: OpenRequests
  people: Pick<People, 'find'>
  answering: Pick<Answering, 'answer'>
  /** Being known at a channel makes nobody an approver. */
  rolesOf(who: Who): ReadonlySet<Role>
  watch: Pick<Watch, 'refused' | 'look'>
  logger: Logger
}): Desk {
  function refused(from: Omit<Reader, 'who'>, channel: { name: string }, error: unknown): void {
    const known = isCustodyError(error)
    if (!known) o.logger.error({ err: error, channel: channel.name }, 'an answer was not taken')
    o.watch.refused(
      from,
      known ? error.code : 'CUSTODY-API-008',
      `channel ${channel.name}: ${known ? error.message : 'something unexpected went wrong'}`.slice(
        0,
        1000,
      ),
    )
  }

  async function answer(said: Said): Promise<void> {
    const request = o.open.open(said.request, said.channel.name)
    if (request === null)
      throw conflict(
        `the request ${said.request.slice(0, 64)} has ended, or was never asked about there`,
      )
    const { who, isIdentity } = await o.people.find(said.by, said.channel.type)
    // With nothing but an address on one side and none on the other, it may be the same person.
    if (!isIdentity && (request.who.email === null || request.who.onBehalfOf.length > 0))
      throw forbidden(
        'who asked, or for whom, can’t be told from who answers by an e-mail address; give that person a subject and issuer in approvals.people',
      )
    await o.answering.answer({ who, roles: o.rolesOf(who), scope: null }, said.from, {
      request: request.id,
      state: said.state,
      comment: said.comment,
      channel: said.channel.name,
      ...(said.once && { once: true }),
    })
  }

  return {
    asked: (channel) => o.open.asked(channel),
    open: (id, channel) => o.open.open(id, channel),
    refused,
    async looked(channel, request, by, from) {
      const started = performance.now()
      const { who } = await o.people.find(by, channel.type)
      await o.watch.look(
        { ...from, who },
        {
          action: 'read',
          subject: `approval ${request.id}`,
          results: 1,
          durationMicros: Math.round((performance.now() - started) * 1000),
        },
      )
    },
    async answer(said) {
      try {
        await answer(said)
      } catch (error) {
        refused(said.from, said.channel, error)
        throw error
      }
    },
  }
}

/** Refused, and written down already. */
export class Recorded extends CustodyError {
  constructor(readonly error: unknown) {
    super(
      isCustodyError(error) ? error.code : 'CUSTODY-API-008',
      (error as Error).message ?? 'refused',
      { cause: error },
    )
  }
}

/** It may be taken when it comes again: nothing could be read or recorded. */
export function isPassing(error: unknown): boolean {
  return isCustodyError(error) && ['CUSTODY-API-006', 'CUSTODY-API-007'].includes(error.code)
}

/** From where a call came. */
export function callerOf(request: FastifyRequest, channel: { name: string }): Omit<Reader, 'who'> {
  return {
    address: request.ip,
    port: request.socket.remotePort ?? null,
    application: `channel ${channel.name}`,
  }
}
