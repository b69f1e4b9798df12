/** How ways are written down: a name, and what is said. */
import { bind, describe, execute, parse, sync, type Value } from '@custody/parity'
import type { Way } from '../../way'
import type { Connections } from '../connections'

export type PostgresWay = Way<Connections>
/** Without its group, which the list it stands in has. */
export type Unsorted = Omit<PostgresWay, 'group'>

type Settings = Omit<Unsorted, 'name' | 'run'>

/** Statements in the simple protocol, one after another on one connection. */
export function simple(name: string, sql: string | readonly string[], o: Settings = {}): Unsorted {
  return {
    name,
    ...o,
    async run(to) {
      const connection = await to.raw()
      for (const one of [sql].flat()) await connection.query(one)
    },
  }
}

export const list = (
  entries: readonly (readonly [name: string, ...sql: string[]])[],
  o: Settings = {},
): Unsorted[] => entries.map(([name, ...sql]) => simple(name, sql, o))

/** In a transaction that comes to nothing. */
export const undone = (
  entries: readonly (readonly [name: string, ...sql: string[]])[],
  o: Settings = {},
): Unsorted[] => entries.map(([name, ...sql]) => simple(name, ['begin', ...sql, 'rollback'], o))

export interface Extended {
  values?: Value[]
  formats?: number[]
  results?: number[]
  describes?: 'statement' | 'portal' | 'both' | 'nothing'
  types?: number[]
}

export function extended(
  name: string,
  sql: string,
  {
    values = [],
    formats,
    results,
    describes = 'portal',
    types = [],
    ...o
  }: Extended & Settings = {},
): Unsorted {
  return {
    name,
    ...o,
    async run(to) {
      const connection = await to.raw()
      await connection.send(
        parse(sql, '', types),
        ...(describes === 'statement' || describes === 'both' ? [describe('S')] : []),
        bind(values, { formats, results }),
        ...(describes === 'portal' || describes === 'both' ? [describe('P')] : []),
        execute(),
        sync(),
      )
      await connection.ready()
    },
  }
}

export const grouped = (group: string, ...ways: (Unsorted | Unsorted[])[]): PostgresWay[] =>
  ways.flat().map((way) => ({ group, ...way }))
