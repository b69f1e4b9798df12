/**
 * What a database has made its own of what a statement's text takes for PostgreSQL's: views and row policies that call
 * functions, rules, operators, casts, functions with the names of harmless ones. Asked of the database itself, and again
 * after every statement that may have changed it.
 * Refuses to take a database for harmless that can't be asked: then nothing that names a table is understood.
 */
import type { Duplex } from 'node:stream'
import { analyse, READING, type StatementAnalysis } from '@custody/postgres-sql'
import { FrameCutter } from './frames'
import type { Masker } from './masks'
import { DatabaseRelations, RELATION_KINDS } from './relations'
import { Backend, cstring, Frontend, message, readErrorFields, WireError } from './wire'

/** Rows of the answer; more, and the database counts as one that can't be asked. */
const ROWS_MAX = 50_000
const DEFINITION_BYTES_MAX = 64 * 1024 * 1024
/** Definitions analysed before other sessions get a turn. */
const CHUNK = 20

/**
 * Functions that may do anything: volatile ones, and those written in the database in a language of its own, since one that
 * calls itself stable may call another that is not. What extensions bring and call stable is taken at its word.
 */
const UNSAFE = `select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang
  where p.oid >= 16384 and (p.provolatile = 'v' or (l.lanname not in ('c', 'internal') and not exists (
    select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e')))`

export const CATALOGUE_QUERY = `
with unsafe as (${UNSAFE})
select 'view', n.nspname, c.relname, pg_catalog.pg_get_viewdef(c.oid)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'v' and n.nspname not in ('pg_catalog', 'information_schema')
union all
select 'policy', n.nspname, c.relname, 'select ' || coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'true')
  from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
union all
select 'rule', n.nspname, c.relname, ''
  from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where r.rulename <> '_RETURN' and n.nspname not in ('pg_catalog', 'information_schema')
union all
select 'operator', '', o.oprname, '' from pg_catalog.pg_operator o where o.oprcode::pg_catalog.oid in (select oid from unsafe)
union all
select 'function', '', p.proname, '' from pg_catalog.pg_proc p where p.oid in (select oid from unsafe)
  and p.proname in (${[...READING].map((name) => `'${name}'`).join(', ')})
union all
select case c.castcontext when 'e' then 'cast' else 'implicit' end, '', t.typname, ''
  from pg_catalog.pg_cast c join pg_catalog.pg_type t on t.oid = c.casttarget where c.castfunc in (select oid from unsafe)
union all
select 'domain', '', t.typname, 'select ' || pg_catalog.pg_get_expr(k.conbin, 0)
  from pg_catalog.pg_constraint k join pg_catalog.pg_type t on t.oid = k.contypid where k.contype = 'c'
`

export class Catalogue {
  /** Relations that do more than be read, by schema and name, and by name alone. */
  private readonly acting = new Set<string>()
  private readonly ruled = new Set<string>()
  private readonly operators = new Set<string>()
  private readonly functions = new Set<string>()
  private readonly types = new Set<string>()
  private implicit = false
  /** For masking, where it was asked for. */
  relations: DatabaseRelations | null = null
  /** What was worked out for sessions with the same rules. */
  readonly maskers = new Map<string, Masker>()
  private readonly refined = new WeakMap<StatementAnalysis, StatementAnalysis>()

  /** `rows`: kind, schema, name, definition. Null: the database could not be asked. */
  static async of(rows: readonly (readonly string[])[] | null): Promise<Catalogue> {
    const catalogue = new Catalogue(rows === null)
    if (rows !== null) await catalogue.learn(rows)
    return catalogue
  }

  private constructor(readonly unknown: boolean) {}

  /** Of a database that can't be asked. */
  static readonly nothingKnown = new Catalogue(true)

  /** What of the database may be other than PostgreSQL's own of that name. */
  readonly own = {
    function: (name: string) => this.functions.has(name),
    operator: (name: string) => this.operators.has(name),
    type: (name: string) => this.types.has(name),
  }

  private async learn(rows: readonly (readonly string[])[]): Promise<void> {
    const definitions: { schema: string; name: string; type: boolean; facts: StatementAnalysis }[] =
      []
    let count = 0
    for (const [kind, schema, name, definition] of rows as [string, string, string, string][]) {
      if (RELATION_KINDS.has(kind)) {
        this.relations ??= new DatabaseRelations()
        this.relations.learn(kind, schema, name, definition)
        if (++count % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve))
      } else if (kind === 'operator') this.operators.add(name)
      else if (kind === 'function') this.functions.add(name)
      else if (kind === 'cast') this.types.add(name)
      else if (kind === 'implicit') this.implicit = true
      else if (kind === 'rule') this.addTo(this.ruled, schema, name)
      else {
        const { statements } = analyse(definition)
        definitions.push({ schema, name, type: kind === 'domain', facts: statements[0]! })
        if (++count % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    // Views on views: until nothing more is found.
    for (let found = true; found; ) {
      found = false
      for (let i = definitions.length - 1; i >= 0; i--) {
        const { schema, name, type, facts } = definitions[i]!
        if (facts?.readOnly && !this.touches(facts)) continue
        if (type) this.types.add(name)
        else this.addTo(this.acting, schema, name)
        definitions.splice(i, 1)
        found = true
      }
    }
  }

  private addTo(names: Set<string>, schema: string, name: string): void {
    names.add(`${schema}.${name}`)
    names.add(name)
  }

  /** The analysis with what this database makes of it. Kept, so that the same comes back for the same. */
  refine(facts: StatementAnalysis): StatementAnalysis {
    const known = this.refined.get(facts)
    if (known !== undefined) return known
    const refined = this.look(facts)
    this.refined.set(facts, refined)
    return refined
  }

  private look(facts: StatementAnalysis): StatementAnalysis {
    const tables = facts.objects.filter(({ kind }) => kind === 'table')
    if (this.unknown)
      return tables.length === 0
        ? facts
        : notUnderstood(facts, 'the database could not be asked what its tables and views are')
    const ruled = tables.find(
      ({ name, verb }) => verb !== 'sql:select' && this.ruled.has(lastTwo(name)),
    )
    const touched = this.touches(facts)
    let refined = facts
    if (touched !== null)
      refined = {
        ...refined,
        verbs: refined.verbs.includes('sql:call') ? refined.verbs : [...refined.verbs, 'sql:call'],
        objects: [...refined.objects, { ...touched, verb: 'sql:call' }],
        readOnly: false,
      }
    if (ruled) refined = notUnderstood(refined, `rules on ${ruled.name} do something else or more`)
    return refined
  }

  /** The first thing in a statement that this database has made its own, or null. */
  private touches(facts: StatementAnalysis): { kind: string; name: string } | null {
    for (const { kind, name, verb } of facts.objects) {
      if (kind === 'table' && this.acting.has(lastTwo(name))) return { kind: 'view', name }
      if (verb === 'sql:compute' && !name.includes('.') && this.functions.has(name))
        return { kind: 'function', name }
    }
    for (const name of facts.operators)
      if (this.operators.has(name)) return { kind: 'operator', name }
    for (const name of facts.types) if (this.types.has(name)) return { kind: 'type', name }
    if (this.implicit && facts.objects.some(({ kind }) => kind === 'table'))
      return { kind: 'cast', name: 'implicit casts' }
    return null
  }
}

function notUnderstood(facts: StatementAnalysis, problem: string): StatementAnalysis {
  return {
    ...facts,
    verbs: facts.verbs.includes('sql:unknown') ? facts.verbs : [...facts.verbs, 'sql:unknown'],
    understood: false,
    readOnly: false,
    problem: facts.problem ?? problem,
  }
}

/** `schema.name` of `database.schema.name`. */
function lastTwo(name: string): string {
  const parts = name.split('.')
  return parts.length > 2 ? parts.slice(-2).join('.') : name
}

/** Asks one question on a connection that is signed in and idle; its rows as text. Ends the connection. */
export function questionTarget(stream: Duplex, rest: Buffer, sql: string): Promise<string[][]> {
  return new Promise((resolve, reject) => {
    const rows: string[][] = []
    let bytesLeft = DEFINITION_BYTES_MAX
    const end = (error: Error | null) => {
      stream.removeAllListeners('data')
      stream.end(message(Frontend.terminate, Buffer.alloc(0)))
      stream.destroy()
      if (error) reject(error)
      else resolve(rows)
    }
    const cutter = new FrameCutter(new Set(), DEFINITION_BYTES_MAX, {
      onFrame(type, bytes, at, frameEnd) {
        if (type === Backend.dataRow) {
          bytesLeft -= frameEnd - at
          if (bytesLeft < 0 || rows.length >= ROWS_MAX)
            throw new WireError('the database has more of its own than can be looked at')
          rows.push(readRow(bytes, at + 5))
        } else if (type === Backend.errorResponse)
          throw new WireError(readErrorFields(bytes, at + 5, frameEnd).get('M') ?? 'an error')
        else if (type === Backend.readyForQuery) end(null)
        return false
      },
      onPiece() {},
      onChunkEnd() {},
    })
    stream.on('error', end)
    stream.on('close', () => end(new WireError('the target closed the connection')))
    const take = (chunk: Buffer) => {
      try {
        cutter.push(chunk)
      } catch (error) {
        end(error as Error)
      }
    }
    stream.on('data', take)
    if (rest.length > 0) take(rest)
    stream.resume()
    stream.write(message(Frontend.query, cstring(sql)))
  })
}

/** DataRow body: count:i16 (length:i32 bytes)* */
function readRow(bytes: Buffer, at: number): string[] {
  const count = bytes.readUInt16BE(at)
  const row: string[] = []
  at += 2
  for (let i = 0; i < count; i++) {
    const length = bytes.readInt32BE(at)
    at += 4
    row.push(length < 0 ? '' : bytes.toString('utf8', at, at + length))
    if (length > 0) at += length
  }
  return row
}
