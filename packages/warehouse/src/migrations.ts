/**
 * The numbered migrations, applied in order, each noted with the digest of its text. Works on a ClickHouse server as on the
 * embedded one. Refuses to go on where an applied migration's text has changed or where the tables are of a newer version.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { CustodyError } from '@custody/kit'

const DIRECTORY = join(__dirname, '../migrations')

interface Migration {
  number: number
  name: string
  digest: string
  statements: string[]
}

/** Brings the tables to this version. One process does it: ingest, before its first insert. */
export async function migrate(client: ClickHouseClient): Promise<{ applied: string[] }> {
  await client.command({ query: 'CREATE DATABASE IF NOT EXISTS custody' })
  await client.command({
    query: `CREATE TABLE IF NOT EXISTS custody.migrations
(number UInt32, name String, digest String, applied DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = MergeTree ORDER BY number SETTINGS fsync_after_insert = 1`,
  })
  const result = await client.query({
    query:
      'SELECT number, name, any(digest) AS digest FROM custody.migrations GROUP BY number, name ORDER BY number',
    format: 'JSONEachRow',
  })
  const noted = await result.json<{ number: number; name: string; digest: string }>()
  const known = listMigrations()
  for (const { number, name, digest } of noted) {
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
  }
  const applied: string[] = []
  for (const migration of known) {
    if (noted.some(({ number }) => number === migration.number)) continue
    // A crash between a statement and the note repeats the statements, so each says IF NOT EXISTS or its like.
    for (const query of migration.statements) await client.command({ query })
    await client.insert({
      table: 'custody.migrations',
      columns: ['number', 'name', 'digest'],
      values: [{ number: migration.number, name: migration.name, digest: migration.digest }],
      format: 'JSONEachRow',
    })
    applied.push(migration.name)
  }
  return { applied }
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
