/**
 * What a database's relations are, as masking needs it: their columns by number and name, what views are made of, which
 * relations hold each other's rows, and how types are built. Read from the catalogue's own answer; pure.
 * Refuses to know what a search path makes of a name: all relations that it may mean are given.
 */

import type { ValueType } from '@custody/masking'
import { analyse, type Lineage, type RelationFacts, type Relations } from '@custody/postgres-sql'
import { valueTypeOf } from '@custody/postgres-values'

/** What people say of a column in its COMMENT or security label: `custody:pii`. */
const TAG = /custody:([a-z0-9][a-z0-9_-]*)/gi

export const RELATIONS_QUERY = `
union all
select 'relation', n.nspname, c.relname, pg_catalog.json_build_object(
    'oid', c.oid::text,
    'definition', case when c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema') then pg_catalog.pg_get_viewdef(c.oid) end,
    'parents', (select pg_catalog.json_agg(i.inhparent::text) from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
    'columns', (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attnum, a.attname, a.atttypid::text,
        case when a.attgenerated <> '' then (select pg_catalog.pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum) end) order by a.attnum)
      from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'said', (select pg_catalog.json_agg(pg_catalog.json_build_array(s.objsubid, s.said)) from (
        select d.objsubid, d.description as said from pg_catalog.pg_description d
          where d.objoid = c.oid and d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.description like '%custody:%'
        union all select l.objsubid, l.label from pg_catalog.pg_seclabel l
          where l.objoid = c.oid and l.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and l.label like '%custody:%') s))::text
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_toast'
union all
select 'type', '', t.typname, pg_catalog.json_build_array(t.oid::text, t.typtype, t.typbasetype::text, t.typelem::text)::text
  from pg_catalog.pg_type t where t.oid >= 16384
union all
select 'own-function', n.nspname, p.proname, (select 'extension' from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e' limit 1) from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where p.oid >= 16384
`

/** What its rows are of. */
export const RELATION_KINDS: ReadonlySet<string> = new Set(['relation', 'type', 'own-function'])

/** Columns and constraints that inherit each other are followed so far. */
const GENERATIONS_MAX = 32

export interface KnownColumn {
  name: string
  typeOid: number
  tags: readonly string[]
  /** What it is made of, as a query on its relation; null: it is written. */
  generated: Lineage | null
}

export interface KnownRelation extends RelationFacts {
  oid: number
  byNumber: ReadonlyMap<number, KnownColumn>
  byName: ReadonlyMap<string, KnownColumn>
}

interface Told {
  oid: string
  definition: string | null
  parents: string[] | null
  columns: [number: number, name: string, type: string, generated: string | null][] | null
  said: [number: number, text: string][] | null
}

const NONE: readonly KnownRelation[] = []

export class DatabaseRelations {
  private readonly byOid = new Map<number, KnownRelation>()
  private readonly byName = new Map<string, KnownRelation[]>()
  private readonly types = new Map<
    number,
    { name: string; kind: string; base: number; element: number }
  >()
  private readonly names = new Set<string>()
  private readonly functions = new Set<string>()
  /** Those that no extension brought. */
  private readonly writtenFunctions = new Set<string>()
  private readonly parents = new Map<number, number[]>()
  private readonly children = new Map<number, number[]>()

  /** One row of the catalogue's answer, of one of these kinds. */
  learn(kind: string, schema: string, name: string, told: string): void {
    if (kind === 'relation') this.learnRelation(schema, name, JSON.parse(told) as Told)
    else if (kind === 'type') {
      const [oid, type, base, element] = JSON.parse(told) as [string, string, string, string]
      this.types.set(Number(oid), {
        name,
        kind: type,
        base: Number(base),
        element: Number(element),
      })
    } else {
      this.functions.add(name)
      this.functions.add(`${schema}.${name}`)
      if (told !== 'extension') this.writtenFunctions.add(name)
    }
  }

  private learnRelation(schema: string, name: string, told: Told): void {
    const oid = Number(told.oid)
    const said = new Map<number, string[]>()
    for (const [number, text] of told.said ?? [])
      said.set(number, [
        ...(said.get(number) ?? []),
        ...[...text.matchAll(TAG)].map(([, tag]) => tag!.toLowerCase()),
      ])
    const byNumber = new Map<number, KnownColumn>()
    const byName = new Map<string, KnownColumn>()
    // What is said of a relation is said of all its columns.
    const ofAll = said.get(0) ?? []
    const place = `${quoted(schema)}.${quoted(name)}`
    for (const [number, column, type, generated] of told.columns ?? []) {
      const known = {
        name: column,
        typeOid: Number(type),
        generated: generated === null ? null : lineageOf(`select ${generated} from ${place}`),
        tags: [...ofAll, ...(said.get(number) ?? [])],
      }
      byNumber.set(number, known)
      byName.set(column, known)
    }
    const relation: KnownRelation = {
      oid,
      schema,
      name,
      columns: [...byNumber.values()].map((column) => column.name),
      definition: told.definition === null ? null : lineageOf(told.definition),
      byNumber,
      byName,
    }
    this.byOid.set(oid, relation)
    this.names.add(name)
    for (const column of relation.columns) this.names.add(column)
    for (const key of [name, `${schema}.${name}`])
      this.byName.set(key, [...(this.byName.get(key) ?? []), relation])
    for (const parent of told.parents ?? []) {
      this.parents.set(oid, [...(this.parents.get(oid) ?? []), Number(parent)])
      this.children.set(Number(parent), [...(this.children.get(Number(parent)) ?? []), oid])
    }
  }

  /** What a relation or a column of this database is called. */
  isName(word: string): boolean {
    return this.names.has(word)
  }

  relation(oid: number): KnownRelation | undefined {
    return this.byOid.get(oid)
  }

  get all(): IterableIterator<KnownRelation> {
    return this.byOid.values()
  }

  find(schema: string | null, name: string): readonly KnownRelation[] {
    if (schema === 'pg_temp')
      return (this.byName.get(name) ?? NONE).filter((one) => /^pg_temp_\d+$/.test(one.schema))
    return this.byName.get(schema === null ? name : `${schema}.${name}`) ?? NONE
  }

  /** The relation, and those whose rows it shows or that show its rows. */
  family(relation: KnownRelation): readonly KnownRelation[] {
    if (!this.parents.has(relation.oid) && !this.children.has(relation.oid)) return [relation]
    const found = new Set([relation.oid])
    let last = [relation.oid]
    for (let i = 0; i < GENERATIONS_MAX && last.length > 0; i++) {
      const next: number[] = []
      for (const oid of last)
        for (const other of [...(this.parents.get(oid) ?? []), ...(this.children.get(oid) ?? [])])
          if (!found.has(other)) {
            found.add(other)
            next.push(other)
          }
      last = next
    }
    return [...found].flatMap((oid) => this.byOid.get(oid) ?? [])
  }

  /** Of functions that somebody wrote for this database. */
  get functionNames(): Iterable<string> {
    return this.writtenFunctions
  }

  isOwnFunction(name: string): boolean {
    return this.functions.has(name)
  }

  /** How values of a type are carried: as a number of PostgreSQL's own that it is built on, where there is one. */
  carriedAs(oid: number): { oid: number; type: ValueType } {
    let at = oid
    for (let i = 0; i < GENERATIONS_MAX; i++) {
      const known = this.types.get(at)
      if (known === undefined) return { oid: at, type: valueTypeOf(at) }
      if (known.kind === 'd') {
        at = known.base
        continue
      }
      if (known.name === 'citext') return { oid: 25, type: valueTypeOf(25) }
      if (known.kind === 'c') return { oid: at, type: { kind: 'composite', isArray: false } }
      if (known.element !== 0 && known.name.startsWith('_')) {
        const element = this.carriedAs(known.element)
        // Arrays of text of one's own are carried as arrays of text.
        if (element.oid === 25) return { oid: 1009, type: valueTypeOf(1009) }
        return { oid: at, type: { kind: element.type.kind, isArray: true } }
      }
      if (known.name === 'hstore') return { oid: at, type: { kind: 'composite', isArray: false } }
      return { oid: at, type: { kind: 'other', isArray: false } }
    }
    return { oid: at, type: { kind: 'other', isArray: false } }
  }
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

function lineageOf(definition: string): Lineage | null {
  return analyse(definition).statements[0]?.lineage ?? analyse('!').statements[0]!.lineage
}

/** As the resolver asks: with what the database has made its own, and what the configuration trusts. */
export function relationsFor(
  known: DatabaseRelations,
  own: {
    function(name: string): boolean
    operator(name: string): boolean
    type(name: string): boolean
  },
  isTrustedFunction: (name: string) => boolean,
): Relations {
  return {
    find: (schema, name) => known.find(schema, name),
    isOwnFunction: (name) => own.function(name) || known.isOwnFunction(name),
    isOwnOperator: (name) => own.operator(name),
    isOwnType: (name) => own.type(name),
    isTrustedFunction,
  }
}
