/**
 * Somebody who answers what waits for a person: approves some, denies some, lets others wait until they expire. Notes
 * which marks may run because of it, before saying so: an answer whose arrival nobody saw may have arrived.
 */
import { TAG } from './load'

export interface PeopleOptions {
  /** The query service. */
  url: string
  token: string
  random(): number
}

export interface People {
  readonly approved: Set<string>
  /** Answers that the service took. */
  answers: number
  /** Requests of theirs that failed, and how the last one did. */
  failures: number
  lastFailure: string | null
  stop(): Promise<void>
}

const LOOK_MS = 700
const REQUEST_MS_MAX = 12_000

interface Waiting {
  id: string
  [field: string]: unknown
}

export function startPeople(o: PeopleOptions): People {
  const people = {
    approved: new Set<string>(),
    answers: 0,
    failures: 0,
    lastFailure: null as string | null,
  }
  const failed = (error: unknown) => {
    people.failures++
    people.lastFailure = (error as Error).message
  }
  const decided = new Map<string, 'approve' | 'deny' | 'wait'>()
  let stopping = false

  async function ask(path: string, method = 'GET'): Promise<unknown> {
    const response = await fetch(`${o.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${o.token}`, connection: 'close' },
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(JSON.stringify(answer))
    return answer
  }

  async function run(): Promise<void> {
    while (!stopping) {
      try {
        const { approvals } = (await ask('/approvals?state=waiting&limit=50')) as {
          approvals: Waiting[]
        }
        for (const one of approvals) {
          const chance = decided.has(one.id) ? 0 : o.random()
          if (!decided.has(one.id))
            decided.set(one.id, chance < 0.6 ? 'approve' : chance < 0.8 ? 'deny' : 'wait')
          const answer = decided.get(one.id)!
          if (answer === 'wait') continue
          if (answer === 'approve')
            for (const tag of JSON.stringify(one).match(TAG) ?? []) people.approved.add(tag)
          await ask(`/approvals/${one.id}/${answer}`, 'POST').then(() => {
            people.answers++
            // Once is enough; one whose answer was lost on the way is answered again.
            decided.set(one.id, 'wait')
          }, failed)
        }
      } catch (error) {
        // The service is away, which is what this is about.
        failed(error)
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  const running = run()
  return Object.assign(people, {
    async stop() {
      stopping = true
      await running
    },
  })
}
