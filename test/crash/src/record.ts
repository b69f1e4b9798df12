/** What the record has of tagged commands, whatever the protocol, and what it is held against: the target's log, the clients' notes. */
import { verifyLog } from '@custody/cli'
import { listRecorders, openReader } from '@custody/event-log'
import { decodeMessage, uuidText } from '@custody/schemas'
import { TAG } from './load'

/** What a check by crashes counts, whatever the protocol. */
export interface Judgement {
  /** Statements in the target's own log. */
  statements: number
  /** … of these without an event. */
  missing: number
  /** Completions that a client saw. */
  released: number
  /** … of these whose completion is not in the record. */
  unacknowledgedReleased: number
  /** Commands that recovery closed with `outcome unknown`. */
  outcomeUnknown: number
  events: number
  /** Events of the log beyond one per identifier. */
  duplicates: number
  /** What `custody verify` finds in the log. */
  findings: string[]
}

/** `target`: tags in the target's own log. `seen`: those whose completion a client saw. */
export async function judge(
  log: string,
  record: Record,
  target: ReadonlySet<string>,
  seen: ReadonlySet<string>,
): Promise<Judgement> {
  const { findings } = await verifyLog(log)
  return {
    statements: target.size,
    missing: [...target].filter((tag) => !record.started.has(tag)).length,
    released: seen.size,
    unacknowledgedReleased: [...seen].filter((tag) => !record.completed.has(tag)).length,
    outcomeUnknown: record.unknown,
    events: record.events.size,
    duplicates: record.duplicates,
    findings: findings.map(({ recorder, problem, detail }) => `${recorder}: ${problem}: ${detail}`),
  }
}

export interface Record {
  /** Tags with a command.started event. */
  started: Set<string>
  /** Tags whose command completed with an answer. */
  completed: Set<string>
  unknown: number
  /** Identifiers of all events. */
  events: Set<string>
  /** Events of the log with an identifier that another has. */
  duplicates: number
}

export async function readRecord(log: string): Promise<Record> {
  const record: Record = {
    started: new Set(),
    completed: new Set(),
    unknown: 0,
    events: new Set(),
    duplicates: 0,
  }
  const tags = new Map<string, string[]>()
  for (const recorder of await listRecorders(log)) {
    const reader = openReader({ directory: log, recorder })
    for (let batch = await reader.read(4e6); batch; batch = await reader.read(4e6)) {
      for (const message of batch.messages) {
        const event = decodeMessage(message)
        const id = uuidText(event.id)
        if (record.events.has(id)) record.duplicates++
        record.events.add(id)
        if (event.kind === 'command.started') {
          const said = [
            event.statement?.text ?? '',
            ...(event.statement?.parameters ?? []).map(({ value }) => value ?? ''),
          ].join(' ')
          const found = said.match(TAG) ?? []
          tags.set(id, found)
          for (const tag of found) record.started.add(tag)
        } else if (event.kind === 'command.completed') {
          if (event.response?.status === 'unknown') record.unknown++
          else for (const tag of tags.get(uuidText(event.command!)) ?? []) record.completed.add(tag)
        }
      }
    }
    reader.close()
  }
  return record
}
