/** The check's MySQL: a MariaDB with the fixture in databases of its own, and ways taken by its clients. */
import { type MysqlServer, type ServerKind, startMysql } from '@custody/test-support'
import type { Kit, Running, Seen } from '../kit'
import type { Searcher } from '../search'
import { within } from '../within'
import { openConnections, type Place } from './connections'
import { FIXTURE, MASKED } from './fixture'
import { joined } from './joined'
import { type MysqlWay, WAYS, WAYS_OF_MYSQL } from './ways'

/** Longer than any takes; one that waits for what does not come is cut. */
const WAY_MS_MAX = 20_000
const SHARED = ['canary_direct', 'canary_through'] as const
const RESOURCE = 'people'

const SETTINGS = {
  'general-log': '1',
  'log-output': 'TABLE',
  'slow-query-log': '1',
  'long-query-time': '0',
  'log-bin': 'binlog',
  'performance-schema': 'ON',
  'performance-schema-consumer-events-statements-history': 'ON',
  'performance-schema-consumer-events-statements-current': 'ON',
  'performance-schema-instrument': 'statement/%=ON',
  'event-scheduler': 'OFF',
  'local-infile': 'ON',
  'secure-file-priv': '',
  'log-bin-trust-function-creators': 'ON',
}

async function fill(server: MysqlServer, database: string): Promise<void> {
  const client = await server.connect({ database: 'mysql' })
  try {
    await client.query(`create database ${database} character set utf8mb4; use ${database}`)
    for (const sql of FIXTURE) await client.query(sql)
    await client.query(
      server.version.includes('MariaDB')
        ? 'analyze table customers persistent for all'
        : 'analyze table customers update histogram on name, secret',
    )
  } finally {
    await client.end()
  }
}

async function take(
  way: MysqlWay,
  place: Place,
  application: string,
  server: MysqlServer,
  database: string,
  searcher: Searcher,
  parts: boolean,
): Promise<Seen> {
  const opened = await openConnections(place, application, server, database)
  // Refused, ended, failed: what matters is what was seen until then.
  const run = way.run(opened).catch((error: Error) => opened.sees(error.message))
  if (!(await within(WAY_MS_MAX, run))) opened.sees('it did not end')
  const { received, sent, shown } = await opened.close()
  const views = [...received, ...received.flatMap(joined), ...shown]
  return {
    received: views.flatMap((bytes) => searcher.find(bytes, { parts })),
    sent: [...sent, ...sent.flatMap(joined)].flatMap((bytes) => searcher.find(bytes)),
    bytes: received.reduce((sum, { length }) => sum + length, 0),
  }
}

const kitOf = (kind: ServerKind): Kit<MysqlWay> => ({
  columns: MASKED,
  slow: ['drivers of other languages', 'mariadb-dump'],
  borrowed: (way) => kind === 'mysql' && WAYS.includes(way),
  joined,
  selected: (only) =>
    [...WAYS, ...(kind === 'mysql' ? WAYS_OF_MYSQL : [])].filter(
      ({ group, name }) => only === undefined || `${group}: ${name}`.includes(only),
    ),
  async start(): Promise<Running<MysqlWay>> {
    const server = await startMysql({ kind, settings: SETTINGS })
    try {
      for (const database of SHARED) await fill(server, database)
    } catch (error) {
      await server.stop()
      throw error
    }
    let made = 0
    const inDatabase = async (
      way: MysqlWay,
      shared: string,
      run: (database: string) => Promise<Seen>,
    ) => {
      if (!way.fresh) return run(shared)
      const database = `canary_${++made}`
      await fill(server, database)
      const seen = await run(database)
      await server.query(`drop database ${database}`)
      return seen
    }
    return {
      resources: { [RESOURCE]: server.resource({ recording: 'full' }) },
      direct: (way, searcher) =>
        inDatabase(way, SHARED[0], (database) => {
          const { port, user, password } = server
          const place = { port, user, password, database }
          return take(way, place, 'control', server, database, searcher, true)
        }),
      through: (way, application, ports, password, searcher, parts) =>
        inDatabase(way, SHARED[1], (database) => {
          const place: Place = {
            ...{ port: ports.mysql!, user: 'reader', password },
            database: `${RESOURCE}/${database}`,
          }
          return take(way, place, application, server, database, searcher, parts)
        }),
      stop: () => server.stop(),
    }
  },
})

/** MySQL's own server has ways of its own, and those of MariaDB's, of which some show nothing there. */
export const mysqlKits = { mariadb: kitOf('mariadb'), mysql: kitOf('mysql') }
