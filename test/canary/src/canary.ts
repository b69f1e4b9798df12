/**
 * Runs every way to read without Custody (a value must be seen there, or the way proves nothing) and through all of it, as
 * `npm start` runs it; then searches what the client got and everything that Custody kept or tells.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { npmBinaries } from '@custody/postgres-server'
import {
  type PostgresServer,
  type ServerKind,
  standaloneUnderTest,
  startPostgres,
} from '@custody/test-support'
import { Findings } from './findings'
import type { Kit, Running, Seen } from './kit'
import { mysqlKits } from './mysql/kit'
import { command, recordedSessions, searchFiles, searchStore } from './places'
import { openConnections, type Place } from './postgres/connections'
import { AFTERWARDS, FIXTURE, MASKED } from './postgres/fixture'
import { joined } from './postgres/joined'
import { type PostgresWay, WAYS } from './postgres/ways'
import { configurationOf, GATEWAY_MASKS, type Profile, partsMayBeLeft } from './profiles'
import { Searcher } from './search'
import { allCanaries } from './values'
import type { Way } from './way'
import { within } from './within'

export interface CanaryResult {
  /** Ways to read that were tried. */
  paths: number
  /** Kinds of places that were searched. */
  places: number
  /** What was found: one for each way and kind of place, and one for each file. */
  leaks: number
  /** Ways that show nothing without Custody either: they prove nothing. */
  unproven: number
  /** Ways that are none at this server. */
  elsewhere: number
  findings: string[]
  /** Ways by group, and those of them that let the client see something. */
  groups: Record<string, { paths: number; leaking: number }>
  /** Findings by place. */
  byPlace: Record<string, number>
  bytesSearched: number
}

export interface CanaryOptions {
  /** `postgres` where nothing else is said. */
  protocol?: string
  /** Of MySQL: which of the two servers; MariaDB when nothing is said. */
  server?: ServerKind
  /** Only what detectors are known to miss. */
  limits?: boolean
  /** Only ways whose group and name have this in them. */
  only?: string
  profile?: Profile
  /** Whether the configuration says what is masked. */
  masking?: boolean
  /** Leaves out what takes long for what it adds: drivers of other languages, dumps. */
  short?: boolean
  /** Asks for the timeline and the replay of every session, not of some. */
  thorough?: boolean
  /** At once. */
  workers?: number
  progress?(line: string): void
}

/** Longer than any takes; one that waits for what does not come is cut. */
const WAY_MS_MAX = 15_000
/** Sessions whose client said values, and whose timeline and replay are asked for. */
const ASKED_MAX = 8
const SLOW = ['drivers of other languages', 'pg_dump']
const TEMPLATE = 'canary_template'
export const SHARED = ['canary_direct', 'canary_through'] as const

/** Two, where the machine's own PostgreSQL is older than the newest that some ways need. */
interface Servers {
  of(way: PostgresWay): { server: PostgresServer; resource: string } | undefined
  all: { server: PostgresServer; resource: string }[]
  fresh(server: PostgresServer): Promise<string>
  drop(server: PostgresServer, database: string): Promise<void>
  stop(): Promise<void>
}

const majorOf = (version: string) => Number.parseInt(version, 10)

export async function startServers(ways: readonly PostgresWay[]): Promise<Servers> {
  const settings = {
    max_connections: '100',
    log_min_messages: 'fatal',
    log_min_error_statement: 'panic',
    shared_preload_libraries: 'pg_stat_statements',
    autovacuum: 'off',
  }
  const main = await startPostgres({ settings, authentication: 'password' })
  const all = [{ server: main, resource: 'people' }]
  const newest = npmBinaries()
  if (
    newest &&
    majorOf(newest.version) > majorOf(main.version) &&
    ways.some(({ since = 0 }) => since > majorOf(main.version))
  )
    all.push({
      server: await startPostgres({ settings, authentication: 'password', origins: ['npm'] }),
      resource: 'newest',
    })
  const run = async (server: PostgresServer, sql: string, database = 'postgres') => {
    const client = await server.connect({ database })
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
  const prepare = async ({ server }: (typeof all)[number]) => {
    await run(server, `create database ${TEMPLATE}`)
    await run(server, FIXTURE, TEMPLATE)
    await run(server, AFTERWARDS, TEMPLATE)
    for (const name of SHARED) await run(server, `create database ${name} template ${TEMPLATE}`)
  }
  await Promise.all(all.map(prepare))
  let made = 0
  return {
    all,
    of: ({ since = 0 }) => all.find(({ server }) => majorOf(server.version) >= since),
    async fresh(server) {
      const name = `canary_${++made}`
      await run(server, `create database ${name} template ${TEMPLATE}`)
      return name
    },
    drop: (server, database) => run(server, `drop database ${database} with (force)`),
    async stop() {
      for (const { server } of all) await server.stop()
    },
  }
}

/** Takes a way once, and searches what it brought. */
export async function take(
  way: PostgresWay,
  place: Place,
  application: string,
  server: PostgresServer,
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
    // The first message of a client has no type; of one that was ended early not even that may be there.
    sent: [
      ...sent,
      ...sent.flatMap((bytes) =>
        bytes.length < 4 ? [] : joined(bytes.subarray(bytes.readUInt32BE(0))),
      ),
    ].flatMap((bytes) => searcher.find(bytes)),
    bytes: received.reduce((sum, { length }) => sum + length, 0),
  }
}

export async function inParallel<T>(
  list: readonly T[],
  workers: number,
  run: (one: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = list.entries()
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (const [index, one] of queue) await run(one, index)
    }),
  )
}

export const selected = (only: string | undefined): PostgresWay[] =>
  WAYS.filter(({ group, name }) => only === undefined || `${group}: ${name}`.includes(only))

const postgresKit: Kit<PostgresWay> = {
  columns: MASKED,
  slow: SLOW,
  joined,
  selected,
  async start(ways): Promise<Running<PostgresWay>> {
    const servers = await startServers(ways)
    const inDatabase = async (
      server: PostgresServer,
      way: PostgresWay,
      shared: string,
      run: (database: string) => Promise<Seen>,
    ) => {
      const database = way.fresh ? await servers.fresh(server) : shared
      const seen = await run(database)
      if (way.fresh) await servers.drop(server, database)
      return seen
    }
    return {
      resources: Object.fromEntries(
        servers.all.map(({ server, resource }) => [
          resource,
          server.resource({ recording: 'full' }),
        ]),
      ),
      async direct(way, searcher) {
        const at = servers.of(way)
        if (!at) return null
        const { server } = at
        return inDatabase(server, way, SHARED[0], (database) => {
          const { port, user, password } = server
          const place = { port, user, password, database }
          return take(way, place, 'control', server, database, searcher, true)
        })
      },
      async through(way, application, ports, password, searcher, parts) {
        const { server, resource } = servers.of(way)!
        return inDatabase(server, way, SHARED[1], (database) => {
          const place: Place = {
            ...{ port: ports.postgres!, user: 'reader', password },
            database: `${resource}/${database}`,
          }
          return take(way, place, application, server, database, searcher, parts)
        })
      },
      stop: () => servers.stop(),
    }
  },
}

const KITS: Record<string, Kit<never>> = {
  postgres: postgresKit as unknown as Kit<never>,
  mysql: mysqlKits.mariadb as unknown as Kit<never>,
}
export const PROTOCOLS = Object.keys(KITS)

export async function runCanary(o: CanaryOptions = {}): Promise<CanaryResult> {
  const { profile = 'redact', masking = GATEWAY_MASKS, workers = 6, progress = () => {} } = o
  const { protocol = 'postgres', server = 'mariadb' } = o
  const kit = (protocol === 'mysql' ? mysqlKits[server] : KITS[protocol]) as unknown as Kit<
    Way<unknown>
  >
  const ways = kit
    .selected(o.only)
    .filter(
      ({ group, limit }) =>
        (limit !== undefined) === (o.limits ?? false) && (!o.short || !kit.slow.includes(group)),
    )
  const searcher = new Searcher(allCanaries())
  const parts = !partsMayBeLeft(profile)
  const findings = new Findings()
  const unproven: string[] = []
  let elsewhere = 0
  const groups: CanaryResult['groups'] = {}
  for (const { group } of ways) {
    groups[group] ??= { paths: 0, leaking: 0 }
    groups[group].paths++
  }
  progress(`${ways.length} ways, ${searcher.needles} spellings`)
  const servers = await kit.start(ways)
  const standalone = standaloneUnderTest('canary', (directory) => ({
    CUSTODY_CONFIG: join(directory, 'custody.yaml'),
    CUSTODY_LOG_LEVEL: 'debug',
  }))
  const home = String(standalone.environment.CUSTODY_HOME)
  try {
    writeFileSync(
      join(standalone.directory, 'custody.yaml'),
      configurationOf({
        resources: servers.resources,
        columns: kit.columns,
        profile,
        masking,
      }),
    )
    await standalone.start()
    const custody = (...words: string[]) =>
      command(words, standalone.environment, standalone.directory)
    const told = JSON.parse(
      (await custody('token', '--subject', 'reader', '--json')).said.toString(),
    ) as { token: string }
    const { ports } = JSON.parse((await custody('status', '--json')).said.toString())

    let done = 0
    await inParallel(ways, workers, async (way, index) => {
      const name = `${way.group}: ${way.name}`
      if (++done % 100 === 0) progress(`way ${done} of ${ways.length}`)
      const control = await servers.direct(way, searcher)
      if (control === null) {
        unproven.push(`${name}: no server of version ${way.since} here`)
        return
      }
      if ((way.told ? control.sent : control.received).length === 0) {
        if (kit.borrowed?.(way)) elsewhere++
        else unproven.push(name)
      }
      const seen = await servers.through(way, `way-${index}`, ports, told.token, searcher, parts)
      findings.look('what the client got', seen.bytes)
      if (way.told || seen.received.length === 0) return
      groups[way.group]!.leaking++
      findings.add('what the client got', way.name, way.group, seen.received)
    })

    progress('asking the commands')
    const said: [string, Buffer][] = []
    for (const words of [
      ['events', '--all', '--json'],
      ['events'],
      ['sessions', '--all', '--json'],
      ['sessions', '--all'],
      ['approvals', '--json'],
      ['status', '--json'],
      ['status'],
    ])
      said.push([`custody ${words.join(' ')}`, (await custody(...words)).said])
    for (const [words, bytes] of said) {
      findings.look('what commands say', bytes.length)
      findings.add('what commands say', words, 'the record', searcher.find(bytes))
    }
    const wayOf = (application: string) =>
      application.startsWith('way-') ? ways[Number(application.slice(4))] : undefined

    progress(`asking for timelines and replays`)
    const sessions = await recordedSessions(home)
    // The same events that were all read above, shown otherwise; all of them only where there is time.
    const asked = new Map<string, number>()
    const shown = sessions.filter(({ session, application }) => {
      const { group = '', told = false } = wayOf(application) ?? {}
      const before = asked.get(group) ?? 0
      asked.set(group, before + 1)
      return session !== '' && (o.thorough || before < (told ? ASKED_MAX : 1))
    })
    await inParallel(shown, 4, async ({ session, application }) => {
      const way = wayOf(application)
      for (const what of ['timeline', 'replay']) {
        const { said } = await custody(what, session, '--json')
        findings.look(`custody ${what}`, said.length)
        findings.add(
          `custody ${what}`,
          way?.name ?? session,
          way?.group ?? 'the record',
          searcher.find(said),
        )
      }
    })
    for (const words of [
      ['timeline', 'last'],
      ['replay', 'last'],
    ])
      findings.add(
        'what commands say',
        words.join(' '),
        'the record',
        searcher.find((await custody(...words)).said),
      )

    progress('stopping, and reading what is kept')
    await standalone.halt()
    for (const { application, session, bytes } of await recordedSessions(home)) {
      const way = wayOf(application)
      for (const each of [...bytes, ...bytes.slice(1).flatMap(kit.joined)]) {
        findings.look('the events of the log', each.length)
        findings.add(
          'the events of the log',
          way?.name ?? (session || 'no session'),
          way?.group ?? 'the record',
          // One session is small enough for parts as well.
          searcher.find(each, { parts: parts && way !== undefined && !way.told }),
        )
      }
    }
    const said2 = Buffer.from(standalone.said())
    findings.look('what the process said', said2.length)
    findings.add('what the process said', 'its output', 'the record', searcher.find(said2))
    searchFiles(home, searcher, (file, bytes, hits) => {
      const [top = ''] = file.split('/')
      const place = ['log', 'warehouse'].includes(top)
        ? `files of ${top}`
        : 'other files of the home'
      findings.look(place, bytes)
      findings.add(place, file, 'the record', hits)
    })
    await searchStore(home, searcher, (table, bytes, hits) => {
      findings.look('tables of the store', bytes)
      findings.add('tables of the store', table, 'the record', hits)
    })
  } finally {
    await standalone.stop()
    await servers.stop()
  }
  const byPlace: Record<string, number> = {}
  for (const place of findings.places) byPlace[place] = 0
  for (const { place } of findings.all) byPlace[place] = (byPlace[place] ?? 0) + 1
  return {
    paths: ways.length,
    places: findings.places.length,
    leaks: findings.all.length,
    unproven: unproven.length,
    elsewhere,
    findings: [
      ...unproven.map((name) => `shows nothing without Custody either: ${name}`),
      ...findings.lines(),
    ],
    groups,
    byPlace,
    bytesSearched: findings.bytes,
  }
}
