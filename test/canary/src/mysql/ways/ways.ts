/** What ways are made of: statements in a driver's protocols, one after the other. */
import type { Connection } from 'mysql2/promise'
import type { Way } from '../../way'
import type { Connections } from '../connections'

export type MysqlWay = Way<Connections>

export type Run = (to: Connections) => Promise<void>

/** A statement that fails says something too; the next one is run all the same. */
async function say(client: Connection, to: Connections, sql: string, isBinary: boolean) {
  try {
    if (isBinary) await client.execute(sql)
    else await client.query(sql)
  } catch (error) {
    to.sees(String((error as Error).message))
  }
}

/** In the text protocol. */
export const text =
  (...statements: string[]): Run =>
  async (to) => {
    const client = await to.client()
    for (const sql of statements) await say(client, to, sql, false)
  }

/** Prepared, with binary rows. */
export const binary =
  (...statements: string[]): Run =>
  async (to) => {
    const client = await to.client()
    for (const sql of statements) await say(client, to, sql, true)
  }

/** Statements with text first, then the last one prepared. */
export const prepared =
  (...statements: string[]): Run =>
  async (to) => {
    const client = await to.client()
    for (const sql of statements.slice(0, -1)) await say(client, to, sql, false)
    await say(client, to, statements.at(-1)!, true)
  }

/** One after the other in one text. */
export const together =
  (...statements: string[]): Run =>
  async (to) => {
    const client = await to.client()
    await say(client, to, statements.join('; '), false)
  }

/** Each statement as a way in both protocols. */
export function bothProtocols(
  group: string,
  statements: readonly (string | [name: string, sql: string])[],
): MysqlWay[] {
  return statements.flatMap((one) => {
    const [name, sql] = typeof one === 'string' ? [one, one] : one
    return [
      { group, name, run: text(sql) },
      { group, name: `${name} (prepared)`, run: binary(sql) },
    ]
  })
}

export function ways(group: string, list: Readonly<Record<string, Run>>): MysqlWay[] {
  return Object.entries(list).map(([name, run]) => ({ group, name, run }))
}

/** They change what they find. */
export function freshWays(group: string, list: Readonly<Record<string, Run>>): MysqlWay[] {
  return Object.entries(list).map(([name, run]) => ({ group, name, run, fresh: true }))
}
