/**
 * What a server's databases hold, as masking and policies need it: tables and views with their columns, what views and generated columns are
 * made of, routines, triggers, names. Read from the catalogue's own answer; pure.
 * Refuses to take the servers' own tables for harmless where they show what others do, or what is in a table.
 */
import {
  analyse,
  type Lineage,
  type RelationFacts,
  type Relations,
  type SqlContext,
  type StatementAnalysis,
  unanalysed,
} from '@custody/mysql-sql'

/** What people say of a table or column in its COMMENT: `custody:pii`. */
const TAG = /custody:([a-z0-9][a-z0-9_-]*)/gi

const OWN = `('mysql', 'information_schema', 'performance_schema', 'sys')`

/** Kind, schema, name, and up to five more. Names and expressions alone; no data. */
export const RELATIONS_QUERY = `select 'column', table_schema, table_name, column_name, ordinal_position, coalesce(generation_expression, ''), column_comment, extra
  from information_schema.columns
union all select 'table', table_schema, table_name, table_type, coalesce(engine, ''), '', if(table_type = 'VIEW', '', table_comment), ''
  from information_schema.tables where table_schema not in ${OWN}
union all select 'view', table_schema, table_name, '', '', view_definition, '', '' from information_schema.views where table_schema not in ${OWN}
union all select 'routine', routine_schema, routine_name, routine_type, '', '', '', '' from information_schema.routines where routine_schema <> 'sys'
union all select 'trigger', event_object_schema, event_object_table, trigger_name, event_manipulation, '', '', '' from information_schema.triggers where trigger_schema <> 'sys'
union all select distinct 'key', table_schema, table_name, index_name, '', '', '', '' from information_schema.statistics where table_schema not in ${OWN}
union all select 'schema', schema_name, '', '', '', '', '', '' from information_schema.schemata`

/** What kind of server it is, as its greeting says. */
export type Server = Pick<SqlContext, 'server' | 'serverVersion'>

export type CatalogueRow = readonly (string | null)[]

export interface KnownColumn {
  name: string
  tags: readonly string[]
  /** What it is made of, as a query on its table; null: it is written. */
  generated: Lineage | null
}

export interface KnownRelation extends RelationFacts {
  /** By their names in lower case: MySQL compares them so. */
  byName: ReadonlyMap<string, KnownColumn>
  /** Code of the database runs when it is written to. */
  triggers: readonly string[]
}

const SERVERS_OWN = new Set(['mysql', 'information_schema', 'performance_schema', 'sys'])

export function isServersOwn(schema: string): boolean {
  return SERVERS_OWN.has(schema.toLowerCase())
}

const NONE: readonly KnownRelation[] = []

export class DatabaseRelations {
  private readonly byName = new Map<string, KnownRelation[]>()
  private readonly names = new Set<string>(['PRIMARY'])
  private readonly routines = new Set<string>()
  /** Views that do more than to be read, by name alone and with their schema, in lower case. */
  readonly acting = new Set<string>()
  readonly all: KnownRelation[] = []

  constructor(readonly server: Server) {}

  static async of(rows: readonly CatalogueRow[], server: Server): Promise<DatabaseRelations> {
    const known = new DatabaseRelations(server)
    await known.learn(rows)
    return known
  }

  private async learn(rows: readonly CatalogueRow[]): Promise<void> {
    const tables = new Map<string, Told>()
    const told = (schema: string, name: string): Told => {
      const key = `${schema}\0${name}`
      let one = tables.get(key)
      if (one === undefined) {
        one = { schema, name, columns: [], said: '', isView: false, definition: null, triggers: [] }
        tables.set(key, one)
      }
      return one
    }
    for (const row of rows) {
      const [kind, schema, name, a, b, c, d, e] = row.map((value) => value ?? '') as Row
      const isOwn = isServersOwn(schema)
      if (!isOwn || kind === 'schema') {
        this.addName(schema)
        this.addName(name)
      }
      switch (kind) {
        case 'column':
          told(schema, name).columns.push({
            ...{ name: a, ordinal: Number(b), generated: c, said: d },
            isInvisible: /INVISIBLE/i.test(e),
          })
          if (!isOwn) this.addName(a)
          break
        case 'table':
          told(schema, name).said = d
          told(schema, name).isView = /VIEW/.test(a)
          break
        case 'view':
          told(schema, name).isView = true
          told(schema, name).definition = c
          break
        case 'trigger':
          told(schema, name).triggers.push(b)
          break
        case 'routine':
          this.routines.add(name.toLowerCase())
          this.routines.add(`${schema}.${name}`.toLowerCase())
          break
        case 'key':
          this.addName(a)
          break
      }
    }
    let count = 0
    const views: View[] = []
    for (const one of tables.values()) {
      this.add(one, views)
      if (++count % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    this.learnActing(views)
  }

  /** Views that call what may change something, and views on these: until nothing more is found. */
  private learnActing(views: View[]): void {
    const acts = ({ readOnly, objects }: StatementAnalysis) =>
      !readOnly || objects.some(({ kind, name }) => kind === 'table' && this.isActing(name))
    for (let left = views; ; ) {
      const found = left.filter(({ facts }) => acts(facts))
      if (found.length === 0) return
      for (const { schema, name } of found)
        this.acting.add(name.toLowerCase()).add(`${schema}.${name}`.toLowerCase())
      left = left.filter((one) => !found.includes(one))
    }
  }

  /** By a name as a statement has it: which database is meant where none is said, it need not know. */
  isActing(name: string): boolean {
    return this.acting.size > 0 && this.acting.has(name.toLowerCase())
  }

  private addName(name: string): void {
    if (name !== '') this.names.add(name.toLowerCase())
  }

  /** Of the servers' own views what they are made of is of no interest: their columns are judged one by one. */
  private add(told: Told, views: View[]): void {
    const place = `${quoted(told.schema)}.${quoted(told.name)}`
    const byName = new Map<string, KnownColumn>()
    const ofAll = tagsOf(told.said)
    const invisible: string[] = []
    const inOrder = told.columns.toSorted((x, y) => x.ordinal - y.ordinal)
    for (const { name, generated, said, isInvisible } of inOrder) {
      if (isInvisible) invisible.push(name)
      byName.set(name.toLowerCase(), {
        name,
        generated:
          generated === '' ? null : lineageOf(`select ${generated} from ${place}`, this.server),
        tags: [...ofAll, ...tagsOf(said)],
      })
    }
    const hidden = new Set(invisible)
    const view = told.isView ? definitionOf(told.definition ?? '', this.server) : null
    if (view !== null && !isServersOwn(told.schema))
      views.push({ schema: told.schema, name: told.name, facts: view })
    const relation: KnownRelation = {
      schema: told.schema,
      name: told.name,
      columns: [...byName.values()].map(({ name }) => name).filter((name) => !hidden.has(name)),
      invisible,
      // A view whose definition may not be seen shows nobody knows what.
      definition: view === null ? null : view.lineage,
      byName,
      triggers: told.triggers,
    }
    this.all.push(relation)
    for (const key of [told.name, `${told.schema}.${told.name}`]) {
      const known = this.byName.get(key.toLowerCase())
      if (known) known.push(relation)
      else this.byName.set(key.toLowerCase(), [relation])
    }
  }

  /** What a schema, table, column, key or routine of this server is called. */
  isName(word: string): boolean {
    return word === 'PRIMARY' || this.names.has(word.toLowerCase())
  }

  /** Whether names differ by case is a setting of the server; here they never do. */
  find(schema: string | null, name: string): readonly KnownRelation[] {
    return this.byName.get((schema === null ? name : `${schema}.${name}`).toLowerCase()) ?? NONE
  }

  get functionNames(): Iterable<string> {
    return this.routines
  }
}

/** Definitions analysed before other sessions get a turn. */
const CHUNK = 50

type Row = [
  kind: string,
  schema: string,
  name: string,
  a: string,
  b: string,
  c: string,
  d: string,
  e: string,
]

interface View {
  schema: string
  name: string
  facts: StatementAnalysis
}

interface Told {
  schema: string
  name: string
  columns: {
    name: string
    ordinal: number
    generated: string
    said: string
    isInvisible: boolean
  }[]
  said: string
  isView: boolean
  definition: string | null
  triggers: string[]
}

function tagsOf(text: string): string[] {
  return [...text.matchAll(TAG)].map(([, tag]) => tag!.toLowerCase())
}

const quoted = (name: string) => `\`${name.replaceAll('`', '``')}\``

function lineageOf(definition: string, of: Server): Lineage {
  return definitionOf(definition, of).lineage
}

function definitionOf(definition: string, of: Server): StatementAnalysis {
  // Definitions come in UTF-8, with the quotation marks of no particular mode.
  const { statements } = analyse(Buffer.from(definition).toString('latin1'), {
    ...{ ...of, sqlMode: '', multiStatements: false, characterSet: 'utf8mb4' },
  })
  return statements.length === 1 ? statements[0]! : unanalysed('no query')
}

/** As the resolver asks, for sessions in one database: what a name without one means. Where it is not known, any may be meant. */
export function relationsFor(
  known: DatabaseRelations,
  database: string | null,
  isTrustedFunction: (name: string) => boolean,
): Relations {
  return {
    ...known.server,
    find: (schema, name) => known.find(schema ?? database, name),
    isTrustedFunction,
  }
}
