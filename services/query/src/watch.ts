/**
 * Watches the watchers: what was read, by whom, is in the event log before the answer leaves.
 * Refuses the read where that can't be: `recorded` rejects and nothing may be sent.
 */
import type { Recorder } from '@custody/event-log'
import { PerMinute } from '@custody/kit'
import type { Who } from '@custody/schemas'
import { notRecorded } from './errors'

export interface Reader {
  who: Who
  address: string
  port: number | null
  application: string | null
}

export interface Look {
  /** search, read, timeline, replay, status. */
  action: string
  subject: string
  query?: Record<string, unknown>
  results: number
  durationMicros: number
}

/** Refused sign-ins recorded in a minute; the rest are counted in /metrics only, so that nobody can fill the log from outside. */
const REFUSALS_PER_MINUTE_MAX = 60
const QUERY_CHARACTERS_MAX = 4096

export interface Watch {
  /** Rejects at once when nothing could be recorded anyway. */
  ready(): void
  look(reader: Reader, look: Look): Promise<void>
  access(
    reader: Reader,
    kind:
      | 'access.sign-in'
      | 'access.sign-out'
      | 'access.token-issued'
      | 'access.token-revoked'
      | 'access.locked'
      | 'access.unlocked',
    access: {
      action: string
      tokenId?: string
      expires?: number
      reason?: string
      credential?: string
      /** Of a revoked token: what was made of it stays good. */
      isAlone?: boolean
      /** Of a lock: whose, and why. */
      lock?: { identity: string; reason?: string }
      /** Of the event. */
      id?: Buffer
    },
  ): Promise<void>
  /** Records that somebody vouches, as themselves, for a client that waits for it; the gateway that has it lets it in. */
  vouched(
    reader: Reader,
    vouched: {
      request: Buffer
      outcome: 'success' | 'refused'
      expiresMs: number | null
      /** The token that theirs was made of. */
      madeOf?: string
    },
  ): Promise<void>
  /** Records that somebody ends a session; the gateway that has it reads this and does it. */
  kill(reader: Reader, session: Buffer, reason: string | null): Promise<void>
  /** Records somebody's answer to a held command; where it takes effect it is looked at again. */
  answered(
    reader: Reader,
    requested: {
      request: Buffer
      state: 'approved' | 'denied' | 'forced'
      comment: string | null
      channel: string
    },
  ): Promise<void>
  refused(reader: Omit<Reader, 'who'>, code: string, reason: string): void
}

export function createWatch(recorder: Recorder, gateway: string): Watch {
  const refusals = new PerMinute(REFUSALS_PER_MINUTE_MAX)

  const pathOf = (reader: Omit<Reader, 'who'>) => ({
    clientAddress: reader.address,
    clientPort: reader.port,
    clientApplication: reader.application,
    gateway,
    resource: 'custody',
    protocol: 'console',
  })

  async function recorded(durability: 'os' | 'disk', record: () => void): Promise<void> {
    if (recorder.problem) throw notRecorded(recorder.problem)
    try {
      record()
      // What must be on disk is what others act on.
      if (durability === 'disk') recorder.hurry()
      await recorder.recorded(durability)
    } catch (cause) {
      throw notRecorded(cause)
    }
  }

  return {
    ready() {
      if (recorder.problem) throw notRecorded(recorder.problem)
    },

    look(reader, look) {
      return recorded('os', () => {
        recorder.record({
          kind: `audit.${look.action}`,
          who: reader.who,
          path: pathOf(reader),
          audit: {
            action: look.action,
            subject: look.subject,
            query: look.query ? JSON.stringify(look.query).slice(0, QUERY_CHARACTERS_MAX) : null,
            results: look.results,
            durationMicros: look.durationMicros,
          },
        })
      })
    },

    access(reader, kind, { isAlone, lock, id, ...access }) {
      // Other hosts act on these, and read no sentences.
      const attributes = { ...lock, ...(isAlone && { alone: 'true' }) }
      return recorded('disk', () => {
        recorder.record({
          ...(id && { id }),
          kind,
          who: reader.who,
          path: pathOf(reader),
          access: { credential: 'custody-token', ...access, outcome: 'success' },
          ...(Object.keys(attributes).length > 0 && {
            lifecycle: { state: 'changed', attributes },
          }),
        })
      })
    },

    answered(reader, { request, state, comment, channel }) {
      return recorded('disk', () => {
        recorder.record({
          kind: 'approval.answered',
          who: reader.who,
          path: pathOf(reader),
          approval: {
            request,
            state,
            approver: reader.who,
            channel,
            comment,
          },
        })
      })
    },

    vouched(reader, { request, outcome, expiresMs, madeOf }) {
      return recorded('disk', () => {
        recorder.record({
          kind: 'access.sign-in-answered',
          who: reader.who,
          path: pathOf(reader),
          parent: request,
          access: {
            action: 'sign-in',
            outcome,
            credential: 'browser',
            tokenId: reader.who.tokenId,
            expires: expiresMs === null ? null : expiresMs * 1000,
          },
          ...(madeOf && { lifecycle: { state: 'changed', attributes: { madeOf } } }),
        })
      })
    },

    kill(reader, session, reason) {
      return recorded('disk', () => {
        recorder.record({
          kind: 'session.kill',
          who: reader.who,
          path: pathOf(reader),
          parent: session,
          lifecycle: { state: 'changed', reason },
        })
      })
    },

    refused(reader, code, reason) {
      if (!refusals.take() || recorder.problem) return
      try {
        recorder.record({
          kind: 'access.refused',
          path: pathOf(reader),
          access: { action: 'sign-in', outcome: 'refused', code, reason },
        })
      } catch {
        // The answer is a refusal either way.
      }
    },
  }
}
