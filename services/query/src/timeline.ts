/**
 * A session's events as the story of it: each command with how it ended in one entry, everything else as it came.
 * Pure fold; refuses to invent an end: a command without completion has `response: null`.
 */
import type { Json, JsonObject } from './rows'

export interface Entry extends JsonObject {
  kind: string
  ordinal: Json
  time: Json
}

/** `events` in order of their ordinals. Completions whose command is not among them belong to an earlier page. */
export function timelineOf(events: readonly JsonObject[]): Entry[] {
  const entries: Entry[] = []
  const commands = new Map<string, Entry>()
  for (const event of events) {
    if (event.kind === 'command.started') {
      const entry: Entry = {
        kind: 'command',
        ordinal: event.ordinal!,
        time: event.time!,
        session: event.session!,
        id: event.id!,
        who: event.who!,
        path: event.path!,
        decision: event.decision!,
        statement: event.statement!,
        response: null,
        completedAt: null,
        masks: masksOf(event, 'statement'),
      }
      commands.set(String(event.id), entry)
      entries.push(entry)
    } else if (event.kind === 'command.completed') {
      const entry = commands.get(String(event.command))
      if (!entry) continue
      entry.response = event.response!
      entry.completedAt = event.time!
      if (event.answerLimit) entry.answerLimit = true
      entry.masks = [...(entry.masks as Json[]), ...masksOf(event, 'answer')]
    } else if (event.kind !== 'output') entries.push(withoutNulls(event))
  }
  return entries
}

/** What was masked, and of what: of the statement as it is kept, or of what was answered. */
function masksOf(event: JsonObject, of: 'statement' | 'answer'): Json[] {
  return ((event.masks ?? []) as JsonObject[]).map((mask) => ({ ...mask, of }))
}

function withoutNulls(event: JsonObject): Entry {
  return Object.fromEntries(
    Object.entries(event).filter(
      ([name, value]) =>
        value !== null && !['previous', 'sequence', 'recorder'].includes(name) && !emptyList(value),
    ),
  ) as Entry
}

function emptyList(value: Json): boolean {
  return Array.isArray(value) && value.length === 0
}
