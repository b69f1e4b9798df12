/**
 * The numbered migrations, applied in order, each noted with the digest of its text. The same on the embedded server, on a
 * ClickHouse server and on a cluster (render.ts). Refuses to go on where an applied migration's text has changed, where the
 * tables are of a newer version, or where they were made for another layout.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseError, type ClickHouseSettings } from '@clickhouse/client'
import { CustodyError } from '@custody/kit'
import { type Layout, render } from './render'

const DIRECTORY = join(__dirname, '../migrations')

interface Migration {
  number: number
  name: string
  digest: string
  statements: string[]
}

const ATTEMPTS_MAX = 5
const PAUSE_MS = 200

export interface MigrateOptions extends Layout {
  /** Where the migrations are; another place in tests. */
  directory?: string
}

/**
 * Brings the tables to this version. Several processes may do it at the same time: every statement may be repeated, a note
 * says the same whoever makes it, and one that was slower looks whether another has done it meanwhile.
 */
export async function migrate(
  client: ClickHouseClient,
  { cluster, directory }: MigrateOptions = {},
): Promise<{ applied: string[] }> {
  const layout = { cluster }
  const command = async (statement: string) => {
    for (const query of render(statement, layout))
      await client.command({ query, clickhouse_settings: ddlSettings(layout) })
  }
  const known = listMigrations(directory)
  const applied: string[] = []
  for (let attempt = 1; ; attempt++) {
    try {
      // Who may not make tables can still see that there is nothing to make.
      let noted = await notesOf(client, known).catch(noneIfMissing)
      if (known.every(({ number }) => noted.has(number))) {
        await refuseOtherLayout(client, layout)
        return { applied }
      }
      await command('CREATE DATABASE IF NOT EXISTS custody')
      await command(NOTES)
      await refuseOtherLayout(client, layout)
      for (const migration of known) {
        if (noted.has(migration.number)) continue
        // A crash between a statement and the note repeats the statements, so each says IF NOT EXISTS or its like.
        for (const statement of migration.statements) await command(statement)
        await client.insert({
          table: 'custody.migrations',
          columns: ['number', 'name', 'digest'],
          values: [{ number: migration.number, name: migration.name, digest: migration.digest }],
          format: 'JSONEachRow',
          clickhouse_settings: cluster ? { insert_quorum: 'auto' } : {},
        })
        applied.push(migration.name)
        // Another version may be at it as well: then one of both refuses here.
        noted = await notesOf(client, known)
      }
      return { applied }
    } catch (error) {
      if (!(error instanceof ClickHouseError) || attempt === ATTEMPTS_MAX) throw error
      await new Promise((resolve) => setTimeout(resolve, attempt * PAUSE_MS))
    }
  }
}

export const NOTES = `CREATE TABLE IF NOT EXISTS custody.migrations
(number UInt32, name String, digest String, applied DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = MergeTree ORDER BY number SETTINGS fsync_after_insert = 1`

/** A statement on a cluster is done when all of its servers have done it, or have had this long. */
export function ddlSettings({ cluster }: Layout): ClickHouseSettings {
  return cluster ? { distributed_ddl_task_timeout: '120', alter_sync: '2' } : {}
}

/** Database or table are not there yet. */
function noneIfMissing(error: unknown): Set<number> {
  if (error instanceof ClickHouseError && ['60', '81'].includes(error.code)) return new Set()
  throw error
}

/** Numbers of the migrations that are noted. */
async function notesOf(client: ClickHouseClient, known: Migration[]): Promise<Set<number>> {
  const result = await client.query({
    query:
      'SELECT number, name, digest FROM custody.migrations GROUP BY number, name, digest ORDER BY number',
    format: 'JSONEachRow',
  })
  const noted = new Set<number>()
  for (const { number, name, digest } of await result.json<{
    number: number
    name: string
    digest: string
  }>()) {
    const own = known.find((migration) => migration.number === number)
    if (!own)
      throw new CustodyError(
        'CUSTODY-STORE-001',
        `the warehouse has migration ${name}, which this version does not know`,
      )
    if (own.digest !== digest)
      throw new CustodyError(
        'CUSTODY-STORE-002',
        `migration ${name} was applied to the warehouse with another text than this version has`,
      )
    noted.add(number)
  }
  return noted
}

/** One server's tables don't become a cluster's by a setting, nor the other way round. */
async function refuseOtherLayout(client: ClickHouseClient, { cluster }: Layout): Promise<void> {
  const result = await client.query({
    query: "SELECT engine FROM system.tables WHERE database = 'custody' AND name = 'events'",
    format: 'JSONEachRow',
  })
  const [row] = await result.json<{ engine: string }>()
  if (!row || (row.engine === 'Distributed') === (cluster !== undefined)) return
  throw new CustodyError(
    'CUSTODY-STORE-003',
    cluster
      ? `warehouse.cluster is ${cluster}, but custody.events is a table of one server (${row.engine})`
      : 'custody.events is spread over a cluster, but warehouse.cluster is not set',
  )
}

export function listMigrations(directory = DIRECTORY): Migration[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((file, i) => {
      const text = readFileSync(join(directory, file), 'utf8')
      const number = Number(file.slice(0, 4))
      if (number !== i + 1)
        throw new Error(`${file}: migrations are numbered from 0001 without gaps`)
      return {
        number,
        name: file.slice(0, -4),
        digest: createHash('sha256').update(text).digest('hex'),
        statements: statementsOf(text),
      }
    })
}

/** A file's statements: comments on lines of their own are left out, and a semicolon ends a line and a statement. */
export function statementsOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('--'))
    .join('\n')
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
