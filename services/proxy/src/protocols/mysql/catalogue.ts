/**
 * What a server's databases hold, asked of the server itself with the resource's own account, for masking and for what views
 * do besides being read; and again after every statement that may have changed it.
 * Refuses to take a server for harmless that can't be asked: then everything that it shows counts as not proven, and nothing
 * that names a table is understood.
 */
import type { Duplex } from 'node:stream'
import { RowPlaces } from '@custody/mysql-values'
import type { StatementAnalysis } from './analysis'
import { Answer, ColumnMemory, Seen } from './answers'
import { type CatalogueRow, DatabaseRelations, type Server } from './catalogue-relations'
import { PacketChannel } from './channel'
import type { Masker } from './masks'
import { type Agreed, answerSettings, ownQuery } from './target'
import { HEADER_BYTES, readErr, WireError } from './wire'

/** Rows of the answer; more, and the server counts as one that can't be asked. */
const ROWS_MAX = 500_000
const BYTES_MAX = 256 * 1024 * 1024

export class Catalogue {
  /** What was worked out for sessions with the same rules. */
  readonly maskers = new Map<string, Masker>()

  /** Null: the server could not be asked. */
  constructor(readonly relations: DatabaseRelations | null) {}

  get unknown(): boolean {
    return this.relations === null
  }

  static async of(rows: readonly CatalogueRow[], server: Server): Promise<Catalogue> {
    return new Catalogue(await DatabaseRelations.of(rows, server))
  }

  /** Of a server that can't be asked. */
  static readonly nothingKnown = new Catalogue(null)

  private readonly refined = new WeakMap<StatementAnalysis, StatementAnalysis>()

  /** The analysis with what this server makes of it. Kept, so that the same comes back for the same. */
  refine(facts: StatementAnalysis): StatementAnalysis {
    const known = this.refined.get(facts)
    if (known !== undefined) return known
    const refined = this.look(facts)
    this.refined.set(facts, refined)
    return refined
  }

  private look(facts: StatementAnalysis): StatementAnalysis {
    const { relations } = this
    // Who is only told what a view looks like runs nothing.
    const isShown = facts.lineage.form?.is === 'shown'
    const view = facts.objects.find(
      ({ kind, name, verb }) =>
        kind === 'table' &&
        !(isShown && (verb === 'sql:show' || verb === 'sql:explain')) &&
        (relations === null || relations.isActing(name)),
    )
    if (view === undefined) return facts
    if (relations === null)
      return {
        ...facts,
        verbs: [...new Set([...facts.verbs, 'sql:unknown'])],
        understood: false,
        readOnly: false,
        problem: facts.problem ?? 'the server could not be asked what its tables and views are',
      }
    // It calls what may do anything, or what it does could not be found out.
    return {
      ...facts,
      verbs: [...new Set([...facts.verbs, 'sql:call'])],
      objects: [...facts.objects, { kind: 'view', name: view.name, verb: 'sql:call' }],
      readOnly: false,
      makesCode: true,
    }
  }
}

const RESHAPING = new Set(['sql:create', 'sql:alter', 'sql:drop', 'sql:unknown', 'sql:call'])

/** Whether what is known of the server may be over when the statement has run. */
export function reshapes(analysis: StatementAnalysis): boolean {
  return (
    analysis.makesCode ||
    analysis.renames ||
    analysis.verbs.some((verb) => RESHAPING.has(verb)) ||
    analysis.lineage.form?.is === 'definition' ||
    analysis.lineage.form?.is === 'into'
  )
}

/** Asks one question on a connection that is signed in and idle; its rows as text. Ends the connection. */
export async function questionTarget(
  stream: Duplex,
  agreed: Agreed,
  statements: readonly string[],
): Promise<CatalogueRow[]> {
  const channel = new PacketChannel(stream)
  let rows: CatalogueRow[] = []
  try {
    for (const sql of statements) rows = await ask(channel, agreed, sql)
    return rows
  } finally {
    channel.release()
    stream.on('error', () => {})
    stream.destroy()
  }
}

async function ask(channel: PacketChannel, agreed: Agreed, sql: string): Promise<CatalogueRow[]> {
  channel.sequence = 0
  channel.send(ownQuery(sql, agreed.capabilities))
  const answer = new Answer('text', answerSettings(agreed), new ColumnMemory())
  const rows: CatalogueRow[] = []
  let places: RowPlaces | null = null
  let bytesLeft = BYTES_MAX
  while (!answer.isOver) {
    const payload = await channel.read()
    const whole = Buffer.concat([Buffer.alloc(HEADER_BYTES), payload])
    const seen = answer.take(whole, 0, whole.length)
    if (seen === Seen.error) throw new WireError(readErr(payload, 0, payload.length).message)
    if (seen !== Seen.row) continue
    bytesLeft -= payload.length
    if (bytesLeft < 0 || rows.length >= ROWS_MAX)
      throw new WireError('the server has more of its own than can be looked at')
    places ??= new RowPlaces(
      answer.columns.map(({ type }) => type),
      false,
    )
    places.read(payload, 0, payload.length)
    const { starts, ends } = places
    rows.push(
      answer.columns.map((_, i) =>
        starts[i]! < 0 ? null : payload.toString('utf8', starts[i]!, ends[i]!),
      ),
    )
  }
  return rows
}
