/**
 * Runs every attempt without Custody (it must work there) and through it under a read-only policy (it must not), on a real
 * MariaDB or MySQL, with an account that may do anything; then ordinary statements under shipped templates, as they go without.
 */
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createTokenVerifier, issueToken, loadTokenKeys } from '@custody/identity'
import { parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy } from '@custody/proxy'
import {
  type MysqlLogin,
  type MysqlServer,
  mysql,
  type RawAnswer,
  RawMysql,
  type ServerKind,
  startMysql,
  temporaryDirectory,
} from '@custody/test-support'
import { type Connection, createConnection } from 'mysql2/promise'
import type { EvasionOptions, EvasionResult } from './evasion'
import { MYSQL_ATTEMPTS, MYSQL_FIXTURE, type MysqlAttempt, type MysqlStep } from './mysql-attempts'
import { MYSQL_READS, MYSQL_SHOP, MYSQL_WRITES } from './mysql-ordinary'
import { ATTEMPTS_OF_MYSQL, FIXTURE_OF_MYSQL, SHOP_OF_MYSQL, stateOfMysql } from './mysql-servers'

interface Place extends MysqlLogin {
  password: string
  database: string
  tls: boolean
}

const OWN = "('mysql', 'information_schema', 'performance_schema', 'sys')"
/** The server in one text: what there is, who may do what, and how it is set. */
const STATE = [
  'set session group_concat_max_len = 1000000, lock_wait_timeout = 5',
  `select group_concat(table_schema, '.', table_name, table_type, ifnull(table_comment, ''), ifnull(create_options, ''), ifnull(table_collation, '') order by 1) from information_schema.tables where table_schema not in ${OWN} or table_name = 'fresh'`,
  `select md5(group_concat(table_name, column_name, column_type, ifnull(column_default, '') order by 1)) from information_schema.columns where table_schema not in ${OWN}`,
  `select group_concat(table_name, index_name order by 1) from information_schema.statistics where table_schema not in ${OWN}`,
  `select group_concat(table_name order by 1) from information_schema.views where table_schema not in ${OWN}`,
  `select group_concat(routine_name, routine_type order by 1) from information_schema.routines where routine_schema not in ${OWN}`,
  `select group_concat(trigger_name order by 1) from information_schema.triggers where trigger_schema not in ${OWN}`,
  `select group_concat(event_name, status order by 1) from information_schema.events`,
  `select group_concat(schema_name, default_character_set_name order by 1) from information_schema.schemata`,
  "select md5(group_concat(host, user, json_remove(priv, '$.password_last_changed') order by host, user)) from mysql.global_priv",
  'select group_concat(user, db order by 1) from mysql.db',
  'select group_concat(user, routine_name order by 1) from mysql.procs_priv',
  "select md5(group_concat(variable_name, variable_value order by variable_name)) from information_schema.global_variables where variable_name not like 'gtid%' and variable_name not in ('timestamp', 'rand_seed1', 'rand_seed2', 'pseudo_thread_id', 'identity', 'last_insert_id', 'insert_id', 'error_count', 'warning_count')",
  "select group_concat(plugin_name order by 1) from information_schema.plugins where plugin_status = 'ACTIVE'",
  'select group_concat(server_name) from mysql.servers',
  'select group_concat(name) from mysql.func',
  'select count(*) from mysql.table_stats',
  'xa recover',
]
const FOR_EACH = [
  "select variable_value from information_schema.global_status where variable_name = 'COM_FLUSH'",
  "select count(*) from information_schema.processlist where db = 'outside'",
  'select next_not_cached_value from attack.counter',
  'select next_not_cached_value from attack.`odd sequence`',
]
const VICTIM =
  "select md5(group_concat(id, ':', ifnull(note, '-') order by id)), count(*) from attack.victim"
const OTHER = 'select group_concat(id, note order by id) from attack.other'

/** A server that attempts are made at, and what it looks like before each. */
interface Side {
  run: Connection
  pristine: string
  shownBy(statements: readonly string[]): Promise<string>
  renew(): Promise<void>
  /** Of the session of somebody else; there is one again where it was ended. */
  outsiderNumber(): Promise<number>
  end(): void
}

function startServer(kind: ServerKind): Promise<MysqlServer> {
  return startMysql({
    kind,
    settings: {
      'max-allowed-packet': '64M',
      'local-infile': '1',
      'loose-secure-file-priv': '',
      'event-scheduler': 'OFF',
    },
    sql: "create user evil; grant all on *.* to evil with grant option; create user boss; create user outsider identified by 'outside'; create database outside; grant all on outside.* to outsider",
  })
}

async function makeSide(
  server: MysqlServer,
  fixture: string,
  state: readonly string[],
): Promise<Side> {
  const run = await server.connect()
  const others = { database: 'outside', user: 'outsider', password: 'outside' }
  let outsider = await server.connect(others)
  const side: Side = {
    run,
    pristine: '',
    async shownBy(statements) {
      const parts: string[] = []
      for (const sql of statements)
        parts.push(
          await run.query({ sql, rowsAsArray: true }).then(
            ([rows]) => JSON.stringify(rows),
            (error: Error) => error.message,
          ),
        )
      return parts.join('\n')
    },
    async renew() {
      await run.query('drop database if exists attack; create database attack; use attack')
      await run.query(fixture)
    },
    async outsiderNumber() {
      const isThere = await outsider.query('select 1').then(
        () => true,
        () => false,
      )
      if (!isThere) {
        outsider.destroy()
        outsider = await server.connect(others)
      }
      return outsider.threadId!
    },
    end() {
      outsider.destroy()
      run.destroy()
    },
  }
  await side.renew()
  side.pristine = await side.shownBy(state)
  return side
}

export async function runMysqlEvasion(o: EvasionOptions = {}): Promise<EvasionResult> {
  const progress = o.progress ?? (() => {})
  const result: EvasionResult = {
    statements: 0,
    wronglyAllowed: 0,
    unproven: 0,
    ordinary: 0,
    wronglyBlocked: 0,
    findings: [],
  }
  const directory = temporaryDirectory('evasion', { open: true })
  const files = join(directory.path, 'files')
  mkdirSync(files)
  chmodSync(files, 0o777)
  const secret = join(directory.path, 'secret')
  writeFileSync(secret, 'CANARY-in-a-file\n')
  chmodSync(secret, 0o644)
  // One to prove it at, one behind Custody, which nobody else changes: what the gateway knows of it stays true.
  const kind = o.server ?? 'mariadb'
  const isMysql = kind === 'mysql'
  const asked = (sql: string) => (isMysql ? stateOfMysql(sql) : sql)
  const ALL = [...STATE, OTHER, VICTIM].map(asked)
  const servers = [await startServer(kind), await startServer(kind)] as const
  const home = prepareHome(join(directory.path, 'home'))
  const fixture = isMysql ? FIXTURE_OF_MYSQL : MYSQL_FIXTURE
  const sides = [
    await makeSide(servers[0], fixture, ALL),
    await makeSide(servers[1], fixture, ALL),
  ] as const
  let proxy: ReturnType<typeof createProxy> | undefined
  try {
    const target = servers[1].resource({ durability: 'os', recording: 'digest', tls: 'disable' })
    const configuration = parseConfiguration(`
listen: {postgres: 0, mysql: 0, ssh: 0}
log: {reserveBytes: 65536}
resources:
  analysts: ${target}
  careful: ${target}
policy:
  templates:
    - {use: read-only-analyst, resources: [analysts]}
    - {use: allow-everything, resources: [careful]}
    - {use: no-destructive-without-approval, resources: [careful]}
    - {use: no-write-without-where, resources: [careful]}
`)
    const { token } = await issueToken(await loadTokenKeys(home, 'local'), { subject: 'mallory' })
    proxy = createProxy({
      configuration,
      home,
      verifier: await createTokenVerifier(home, configuration),
      logger: silentLogger(),
    })
    const { ports } = await proxy.start()
    const direct = (database: string): Place => ({
      ...{ port: servers[0].port, user: servers[0].user, password: servers[0].password },
      ...{ database, tls: false },
    })
    const through = (resource: string, database: string): Place => ({
      ...{ port: ports.mysql!, user: 'mallory', password: token },
      ...{ database: `${resource}/${database}`, tls: true },
    })

    /** By what the attempt shows to have had its effect; null: it had none. */
    const attempt = async (one: MysqlAttempt, place: Place, side: Side): Promise<string | null> => {
      for (const left of readdirSync(files)) rmSync(join(files, left), { force: true })
      const number = await side.outsiderNumber()
      const look = one.effect === 'state' ? [...FOR_EACH.map(asked), ...ALL] : [asked(VICTIM)]
      const before = await side.shownBy(look)
      const put = (words: string) =>
        words
          .replaceAll('OUTSIDER', String(number))
          .replaceAll("'FILE'", `'${join(files, 'out')}'`)
          .replaceAll('DIRECTORY', files)
          .replaceAll('SECRET', secret)
      const shown = await say(one, place, put, number)
      const after = await side.shownBy(look)
      let happened = differing(before, after)
      if (one.effect === 'file') happened = readdirSync(files)[0] ?? null
      else if (typeof one.effect === 'object')
        happened = shown.includes(one.effect.shows) ? 'it was shown' : null
      // Most leave nothing; what does is made as it was.
      if (one.undo)
        for (const sql of one.undo.split('; ')) await side.run.query(sql).catch(() => {})
      if ((await side.shownBy(ALL)) !== side.pristine) await side.renew()
      return happened
    }

    const attempts = [...MYSQL_ATTEMPTS, ...(isMysql ? ATTEMPTS_OF_MYSQL : [])].filter(
      ({ name }, i) =>
        (o.only === undefined || name.includes(o.only)) && i % (o.everyNth ?? 1) === 0,
    )
    for (const [index, one] of attempts.entries()) {
      if (index % 25 === 0) progress(`attempt ${index + 1} of ${attempts.length}`)
      result.statements++
      const database = one.login?.database ?? 'attack'
      if ((await attempt(one, direct(database), sides[0])) === null) {
        // Most are MariaDB's words, which mean nothing to MySQL, and may still not get past.
        if (isMysql && !one.isOfMysql) result.elsewhere = (result.elsewhere ?? 0) + 1
        else {
          result.unproven++
          result.findings.push(`does nothing without Custody: ${one.name}: ${shortened(one.steps)}`)
        }
      }
      const past = await attempt(one, through('analysts', database), sides[1])
      if (past !== null) {
        result.wronglyAllowed++
        result.findings.push(`got past: ${one.name}: ${shortened(one.steps)}: ${past}`)
      }
    }
    if (o.only === undefined || o.only === 'ordinary')
      for (const [resource, statements] of [
        ['analysts', MYSQL_READS],
        ['careful', [...MYSQL_READS, ...MYSQL_WRITES]],
      ] as const) {
        // Those that write need the ones before them.
        const some = statements.filter(
          (_, i) => i >= MYSQL_READS.length || i % (o.everyNth ?? 1) === 0,
        )
        progress(`${some.length} ordinary statements as ${resource}`)
        for (const { run } of sides) {
          await run.query('drop database if exists shop; create database shop; use shop')
          await run.query(isMysql ? SHOP_OF_MYSQL : MYSQL_SHOP)
        }
        await ordinary(some, direct('shop'), through(resource, 'shop'), result, isMysql)
      }
    return result
  } finally {
    await proxy?.stop()
    for (const side of sides) side.end()
    for (const server of servers) await server.stop()
    await directory.remove()
  }
}

/** The first line that is another. */
function differing(before: string, after: string): string | null {
  const [was, is] = [before.split('\n'), after.split('\n')]
  const at = is.findIndex((line, i) => line !== was[i])
  if (before === after) return null
  return `${was[at]?.slice(0, 200)} is now ${is[at]?.slice(0, 200)}`
}

function shortened(steps: readonly MysqlStep[]): string {
  const words = JSON.stringify(steps)
  return words.length > 300 ? `${words.slice(0, 300)}…` : words
}

/** All that the client was shown, whatever failed. */
async function say(
  one: MysqlAttempt,
  place: Place,
  put: (text: string) => string,
  outsider: number,
): Promise<string> {
  const shown: string[] = []
  if (one.compressed) {
    const { tls, ...login } = place
    const client = await createConnection({
      ...login,
      host: '127.0.0.1',
      ssl: tls ? { rejectUnauthorized: false } : undefined,
      compress: true,
      multipleStatements: true,
    })
    client.on('error', () => {})
    try {
      for (const step of one.steps) await client.query(put(step as string)).catch(() => {})
    } finally {
      client.destroy()
    }
    return ''
  }
  // Who is not let in at all proves nothing: that is an error of this check.
  const client = await RawMysql.connect({ ...place, ...one.login, database: place.database })
  const took = (answer: RawAnswer) => {
    for (const packet of answer.packets) shown.push(packet.toString('latin1'))
    return answer
  }
  try {
    for (const step of one.steps) {
      if (typeof step === 'string') took(await client.query(put(step)))
      else if (Buffer.isBuffer(step)) took(await client.query(step))
      else if ('query' in step) took(await client.query(put(step.query), Buffer.from(step.file)))
      else if ('script' in step)
        await mysql(place, place.tls ? ['--ssl', '-f'] : ['-f'], { input: put(step.script) })
      else if ('prepare' in step) {
        const sql = typeof step.prepare === 'string' ? put(step.prepare) : step.prepare
        const prepared = took(await client.ask(COM(0x16, sql), 'prepare'))
        if (prepared.error !== null) continue
        const number = numberOf(prepared)
        took(await client.ask(executing(number, step.values, step.cursor)))
        if (step.cursor) {
          const fetch = Buffer.alloc(9)
          fetch[0] = 0x1c
          fetch.writeUInt32LE(number, 1)
          fetch.writeUInt32LE(10, 5)
          took(await client.ask(fetch, 'rows'))
        }
      } else {
        const special = step.send.toString('latin1')
        if (special === 'OUTSIDER-by-number') {
          const kill = Buffer.alloc(5)
          kill[0] = 0x0c
          kill.writeUInt32LE(outsider, 1)
          took(await client.ask(kill))
        } else if (special.endsWith('CHANGE-USER')) {
          const change = Buffer.from(`\x11evil\0\0attack\0\x2d\0mysql_native_password\0`, 'latin1')
          const { packets } = took(await client.ask(change, 'line'))
          // It wants to be asked with its own scramble; that account has no password.
          if (packets[0]![4] === 0xfe) {
            client.write(packets[0]![3]! + 1, Buffer.alloc(0))
            took(await client.answer('line'))
          }
        } else if (special === 'BULK') {
          const sql = 'insert into attack.victim values (?, ?)'
          const number = numberOf(took(await client.ask(COM(0x16, sql), 'prepare')))
          took(await client.ask(bulk(number)))
        } else took(await client.ask(step.send, step.shape))
      }
    }
  } catch {
    // The session was ended, or something never answered.
  } finally {
    client.end()
  }
  return shown.join('\n')
}

const COM = (type: number, payload: string | Buffer) =>
  Buffer.concat([Buffer.from([type]), Buffer.from(payload as string)])

function numberOf({ error, packets }: RawAnswer): number {
  if (error !== null) throw new Error('it was not prepared')
  return packets[0]!.readUInt32LE(5)
}

function executing(number: number, values: readonly string[] = [], cursor = false): Buffer {
  const head = Buffer.alloc(10)
  head[0] = 0x17
  head.writeUInt32LE(number, 1)
  head[5] = cursor ? 1 : 0
  head.writeUInt32LE(1, 6)
  if (values.length === 0) return head
  return Buffer.concat([
    head,
    Buffer.alloc((values.length + 7) >>> 3),
    Buffer.from([1]),
    ...values.map(() => Buffer.from([0xfd, 0])),
    ...values.flatMap((value) => [Buffer.from([value.length]), Buffer.from(value)]),
  ])
}

/** MariaDB's bulk execution: three rows of a number and a text. */
function bulk(number: number): Buffer {
  const head = Buffer.alloc(7)
  head[0] = 0xfa
  head.writeUInt32LE(number, 1)
  head.writeUInt16LE(128, 5)
  const row = (id: number) => Buffer.from([0, id, 0, 0, 0, 0, 1, 0x62])
  return Buffer.concat([head, Buffer.from([3, 0, 0xfd, 0]), row(91), row(92), row(93)])
}

/** What goes without Custody must go with it. */
async function ordinary(
  statements: readonly string[],
  direct: Place,
  place: Place,
  result: EvasionResult,
  isMysql: boolean,
): Promise<void> {
  const without = await RawMysql.connect(direct)
  let within = await RawMysql.connect(place)
  try {
    for (const [i, sql] of statements.entries()) {
      result.ordinary++
      const asked = async (client: RawMysql) => {
        // Every third by the protocol's own prepared statements.
        if (
          i % 3 !== 2 ||
          sql.includes(';') ||
          !/^\(?(select|with|insert|update|delete|replace|values)/.test(sql)
        )
          return await client.query(sql)
        const prepared = await client.ask(COM(0x16, sql), 'prepare')
        return prepared.error === null ? await client.ask(executing(numberOf(prepared))) : prepared
      }
      const plain = await asked(without)
      const custody = await asked(within).catch(async (error: Error) => {
        within = await RawMysql.connect(place)
        return { error: -1, message: error.message }
      })
      if (plain.error !== null && isMysql) result.ordinary--
      else if (plain.error !== null) {
        result.unproven++
        result.findings.push(`not ordinary, it fails without Custody: ${sql}: ${plain.message}`)
      }
      if (plain.error === null && custody.error !== null) {
        result.wronglyBlocked++
        result.findings.push(`wrongly blocked: ${sql}: ${custody.message}`)
      }
    }
  } finally {
    without.end()
    within.end()
  }
}
