/**
 * What people ask of a running delivery: to send a time range once more, to compare what the destination holds with the log and
 * send just what is missing, to send dead letters. All of it goes over the same connection and in the same turns as everything
 * else; positions stay where they are. Refuses ranges that need more memory than a bound: ask for shorter ones.
 */
import { CustodyError } from '@custody/kit'
import { readEnvelope, uuidText } from '@custody/schemas'
import type { Request } from '@custody/siem-state'
import type { Delivery } from './delivery'
import type { Route } from './routing'

/** Identifiers of one comparison. */
const IDS_MAX = 2_000_000
const NAMED_MAX = 1000
const RECONCILE_MS_MAX = 30 * 60_000

export interface RequestContext {
  /** As the destination's own, without its beginning: who asks for a range means all of it. */
  route: Route
}

export function createServe({ route }: RequestContext) {
  return async (request: Request, delivery: Delivery): Promise<Record<string, unknown>> => {
    switch (request.what) {
      case 'send':
        return send(request, delivery)
      case 'reconcile':
        return reconcile(request, delivery)
      case 'dead-letters':
        return deadLetters(request, delivery)
    }
  }

  async function send(request: Request, delivery: Delivery) {
    const { from, to } = rangeOf(request)
    const done = { sent: 0, aside: 0, leftOut: 0 }
    for await (const messages of delivery.source.range(from, to)) {
      add(done, await delivery.deliverMessages(messages, route))
      delivery.files.answer(request.id, { done: false, ...done })
    }
    return done
  }

  async function reconcile(request: Request, delivery: Delivery) {
    const { destination, source } = delivery
    const { from, to } = rangeOf(request)
    if (!destination.holdings)
      return {
        unknowable: true,
        reason:
          destination.acknowledges === 'none'
            ? 'nobody ever says that a datagram arrived: what was lost can’t be known'
            : 'what this destination holds can’t be asked',
      }
    const held = new Set<string>()
    let copies = 0
    const signal = AbortSignal.timeout(RECONCILE_MS_MAX)
    for await (const id of destination.holdings.ids(from, to, signal)) {
      if (held.has(id)) copies++
      held.add(id)
      if (held.size > IDS_MAX) throw tooMany()
    }
    const aside = new Set(delivery.files.letterIds())
    const missing: string[] = []
    const done = { sent: 0, aside: 0, leftOut: 0 }
    let expected = 0
    let missed = 0
    for await (const messages of source.range(from, to)) {
      const wanted = messages.filter((message) => delivery.wants(message, route))
      expected += wanted.length
      const gone = wanted.filter((message) => {
        const id = uuidText(readEnvelope(message).id)
        return !held.has(id) && !aside.has(id)
      })
      missed += gone.length
      for (const message of gone)
        if (missing.length < NAMED_MAX) missing.push(uuidText(readEnvelope(message).id))
      if (!request.lookOnly && gone.length > 0)
        add(done, await delivery.deliverMessages(gone, route))
      delivery.files.answer(request.id, { done: false, expected, missing: missed })
    }
    return { expected, held: held.size, copies, missing: missed, named: missing, ...done }
  }

  async function deadLetters(request: Request, delivery: Delivery) {
    const { files } = delivery
    const done = { sent: 0, aside: 0, leftOut: 0 }
    for (const id of request.ids ?? files.letterIds()) {
      const letter = files.letter(id)
      if (letter === null) continue
      const before = done.aside
      add(done, await delivery.deliverMessages([letter.message], route))
      // What was refused once more is a letter again, or still.
      if (done.aside === before) files.removeLetter(id)
    }
    return done
  }
}

function rangeOf({ fromMicros, toMicros }: Request): { from: number; to: number } {
  if (fromMicros === undefined || toMicros === undefined || fromMicros >= toMicros)
    throw new CustodyError('CUSTODY-SIEM-006', 'a range needs a beginning and, later, an end')
  return { from: fromMicros, to: toMicros }
}

function add(
  sum: { sent: number; aside: number; leftOut: number },
  one: { sent: number; aside: number; leftOut: number },
): void {
  sum.sent += one.sent
  sum.aside += one.aside
  sum.leftOut += one.leftOut
}

function tooMany(): CustodyError {
  return new CustodyError(
    'CUSTODY-SIEM-006',
    `more than ${IDS_MAX} events at once can’t be compared; give a shorter range`,
  )
}
