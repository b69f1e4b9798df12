/**
 * Where an event goes: all of them to the events topic, and those that somebody acts on to a topic of their own as well.
 * The kinds are listed here and nowhere else. Pure; decodes only what it must to find whom something is about.
 */
import { decodeMessage, type Envelope } from '@custody/schemas'
import type { Topics } from './types'

export const STARTED = 'recorder.started'

/**
 * `control`: heard once, by who waits. `standing`: in force until something else is said about the same; a recorder's name is
 * taken for ever by the log that has it.
 */
export const ROUTES: readonly { kind: string; to: 'control' | 'standing' }[] = [
  { kind: 'approval.*', to: 'control' },
  { kind: 'session.kill', to: 'control' },
  { kind: 'access.sign-in-asked', to: 'control' },
  { kind: 'access.sign-in-answered', to: 'control' },
  { kind: 'access.locked', to: 'standing' },
  { kind: 'access.unlocked', to: 'standing' },
  { kind: 'access.token-revoked', to: 'standing' },
  { kind: 'access.sign-out', to: 'standing' },
  { kind: STARTED, to: 'standing' },
]

const exact = new Map(ROUTES.filter(({ kind }) => !kind.endsWith('*')).map((r) => [r.kind, r.to]))
const prefixes = ROUTES.filter(({ kind }) => kind.endsWith('*')).map(
  ({ kind, to }) => [kind.slice(0, -1), to] as const,
)

export function routeOf(kind: string): 'control' | 'standing' | null {
  const to = exact.get(kind)
  if (to) return to
  for (const [prefix, where] of prefixes) if (kind.startsWith(prefix)) return where
  return null
}

export function topicsFor(prefix: string): Topics {
  return {
    events: `${prefix}.events`,
    control: `${prefix}.control`,
    standing: `${prefix}.standing`,
    schemas: `${prefix}.schemas`,
    deadLetters: `${prefix}.dead-letters`,
  }
}

/** All of a session in one partition; what belongs to none goes by who recorded it. */
export function eventKey({ session, recorder }: Envelope): Buffer {
  return session ? Buffer.from(session) : Buffer.from(recorder, 'latin1')
}

/**
 * Whom a standing event is about: of several with one key the log keeps only the last. Where that can't be told the
 * event has a key of its own and stays.
 */
export function standingKey(message: Buffer, { id, kind, recorder }: Envelope): Buffer {
  if (kind === STARTED) return Buffer.from(`recorder:${recorder}`)
  const { access, lifecycle } = decodeMessage(message)
  const { identity, alone } = lifecycle?.attributes ?? {}
  if (identity) return Buffer.from(`identity:${identity.toLowerCase()}`)
  // That a token alone is over must not take the place of that all that was made of it is.
  if (access?.tokenId) return Buffer.from(`token:${access.tokenId}${alone ? ':alone' : ''}`)
  return Buffer.from(`event:${id.toString('hex')}`)
}
