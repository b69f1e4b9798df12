/**
 * Runs every attempt without Custody (it must work there) and through it under a read-only policy (it must not), on a real
 * PostgreSQL, as a superuser; then ordinary statements under shipped templates, as they go without Custody.
 */
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createTokenVerifier, issueToken, loadTokenKeys } from '@custody/identity'
import { parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy } from '@custody/proxy'
import {
  postgresUrl,
  psql,
  type ServerKind,
  startPostgres,
  temporaryDirectory,
} from '@custody/test-support'
import { Client } from 'pg'
import { ATTEMPTS, type Attempt, FIXTURE, STATE, type Step } from './attempts'
import { BACKSLASHES, READS, SHOP, WRITES } from './ordinary'

export interface EvasionResult {
  statements: number
  wronglyAllowed: number
  /** Attempts that do nothing without Custody either: they prove nothing. */
  unproven: number
  /** Attempts that mean nothing to this server. */
  elsewhere?: number
  ordinary: number
  wronglyBlocked: number
  findings: string[]
}

export interface EvasionOptions {
  /** Only attempts whose name has this in it; `ordinary`: only the ordinary statements. */
  only?: string
  /** Of the attempts each nth one, where time is short; MySQL's alone. */
  everyNth?: number
  /** Of MySQL: which of the two servers; MariaDB when nothing is said. */
  server?: ServerKind
  progress?(line: string): void
}

interface Place {
  host: string
  port: number
  user: string
  password: string
  database: string
}

export async function runEvasion(o: EvasionOptions = {}): Promise<EvasionResult> {
  const progress = o.progress ?? (() => {})
  const result: EvasionResult = {
    statements: 0,
    wronglyAllowed: 0,
    unproven: 0,
    ordinary: 0,
    wronglyBlocked: 0,
    findings: [],
  }
  const directory = temporaryDirectory('evasion')
  const server = await startPostgres({
    settings: { log_min_messages: 'fatal', max_connections: '60' },
  })
  const home = prepareHome(join(directory.path, 'home'))
  // Where the server itself can write, whoever it runs as.
  const files = join(directory.path, 'files')
  mkdirSync(files)
  chmodSync(directory.path, 0o755)
  chmodSync(files, 0o777)
  const file = join(files, 'CANARY')
  let proxy: ReturnType<typeof createProxy> | undefined
  const run = async (sql: string, database = 'postgres') => {
    const client = await server.connect({ database })
    try {
      return (await client.query(sql)).rows
    } finally {
      await client.end()
    }
  }
  try {
    for (const template of ['evasion_template', 'shop_template'])
      await run(`create database ${template}`)
    await run(FIXTURE, 'evasion_template')
    await run(SHOP, 'shop_template')
    const target = server.resource({ durability: 'os', recording: 'digest' })
    const configuration = parseConfiguration(`
listen: {postgres: 0}
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
      host: '127.0.0.1',
      port: server.port,
      user: server.user,
      password: server.password,
      database,
    })
    const through = (resource: string, database: string): Place => ({
      host: '127.0.0.1',
      port: ports.postgres!,
      user: 'mallory',
      password: token,
      database: `${resource}/${database}`,
    })

    let made = 0
    const fresh = async (template: string) => {
      const name = `db_${++made}`
      await run(`create database ${name} template ${template}`)
      return name
    }
    const stateOf = (database: string) =>
      run(STATE, database).then(
        ([row]) => String(row.state),
        (error: Error) => error.message,
      )

    /** Whether the attempt had its effect. */
    const attempt = async (one: Attempt, place: Place, database: string): Promise<boolean> => {
      for (const left of readdirSync(files)) rmSync(join(files, left), { force: true })
      if (typeof one.effect === 'object') {
        writeFileSync(file, 'CANARY-in-a-file')
        chmodSync(file, 0o644)
      }
      const before = one.effect === 'state' ? await stateOf(database) : ''
      const shown = await say(one, place, file, files)
      if (one.effect === 'state') return (await stateOf(database)) !== before
      if (one.effect === 'file') return readdirSync(files).length > 0
      const { shows } = one.effect
      return shown.some(
        (cell) => cell === shows || (shows.startsWith('CANARY') && cell.includes(shows)),
      )
    }

    const attempts = ATTEMPTS.filter(({ name }) => o.only === undefined || name.includes(o.only))
    let target1 = await fresh('evasion_template')
    for (const [index, one] of attempts.entries()) {
      if (index % 25 === 0) progress(`attempt ${index + 1} of ${attempts.length}`)
      result.statements++
      const database = await fresh('evasion_template')
      if (!(await attempt(one, direct(database), database))) {
        result.unproven++
        result.findings.push(`does nothing without Custody: ${one.name}`)
      }
      await run(`drop database ${database} with (force)`)
      await run('alter role boss nosuperuser')
      await run('alter system reset all')
      if (await attempt(one, through('analysts', target1), target1)) {
        result.wronglyAllowed++
        result.findings.push(`got past: ${one.name}: ${JSON.stringify(one.steps)}`)
        await run('alter role boss nosuperuser')
        await run('alter system reset all')
        target1 = await fresh('evasion_template')
      }
    }

    if (o.only === undefined || o.only === 'ordinary')
      for (const [resource, statements] of [
        ['analysts', READS],
        ['careful', [...READS, ...WRITES]],
      ] as const) {
        progress(`${statements.length} ordinary statements as ${resource}`)
        await ordinary(
          resource,
          statements,
          direct(await fresh('shop_template')),
          through(resource, await fresh('shop_template')),
          result,
        )
      }
    return result
  } finally {
    await proxy?.stop()
    await server.stop()
    await directory.remove()
  }
}

/** All that the client was shown, whatever failed. */
async function say(one: Attempt, place: Place, file: string, files: string): Promise<string[]> {
  const shown: string[] = []
  const client = new Client({
    ...place,
    ...(one.options && { options: one.options }),
    query_timeout: 20_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    for (const step of one.steps)
      await take(client, step, place, file, files).then(
        (cells) => shown.push(...cells),
        () => {},
      )
  } catch {
    // Not even let in.
  } finally {
    await client.end().catch(() => {})
  }
  return shown
}

async function take(
  client: Client,
  step: Step,
  place: Place,
  file: string,
  files: string,
): Promise<string[]> {
  const put = (text: string) => text.replaceAll('FILE', file).replaceAll('DIRECTORY', files)
  if (typeof step === 'object' && 'psql' in step) {
    await psql(postgresUrl(place), ['-c', put(step.psql)], { input: step.input })
    return []
  }
  if (typeof step === 'object' && 'call' in step) {
    const { rows } = await client.query(`select '${step.call}'::regproc::oid::int as oid`)
    await callByNumber(client, rows[0].oid)
    return []
  }
  const answer = await client.query(
    typeof step === 'string' ? put(step) : { text: put(step.text), values: step.values ?? [] },
  )
  const results = Array.isArray(answer) ? answer : [answer]
  return results.flatMap(({ rows }) =>
    (rows ?? []).flatMap((row: object) => Object.values(row).map(String)),
  )
}

/** FunctionCall: oid, no argument formats, no arguments, a text result. */
async function callByNumber(client: Client, oid: number): Promise<void> {
  const bytes = Buffer.alloc(15)
  bytes[0] = 0x46
  bytes.writeInt32BE(14, 1)
  bytes.writeInt32BE(oid, 5)
  const { connection } = client as unknown as {
    connection: { stream: NodeJS.WritableStream; once(event: string, listener: () => void): void }
  }
  const ready = new Promise<void>((resolve) => connection.once('readyForQuery', resolve))
  connection.stream.write(bytes)
  await Promise.race([ready, new Promise((resolve) => setTimeout(resolve, 2000))])
}

/** What goes without Custody must go with it. */
async function ordinary(
  resource: string,
  statements: readonly string[],
  direct: Place,
  place: Place,
  result: EvasionResult,
): Promise<void> {
  const [without, within] = [new Client(direct), new Client({ ...place, query_timeout: 20_000 })]
  for (const client of [without, within]) client.on('error', () => {})
  await without.connect()
  await within.connect()
  const asked = (client: Client, sql: string) =>
    (/^copy .* to stdout/.test(sql) ? Promise.resolve(null) : client.query(sql)).then(
      () => null,
      (error: Error) => error.message,
    )
  try {
    for (const sql of statements) {
      result.ordinary++
      if (/^copy .* to stdout/.test(sql)) {
        const { code, stderr } = await psql(postgresUrl(place), ['-o', '/dev/null', '-c', sql])
        if (code !== 0) blocked(sql, stderr)
        continue
      }
      const [plain, custody] = [await asked(without, sql), await asked(within, sql)]
      if (plain !== null) {
        result.unproven++
        result.findings.push(`not ordinary, it fails without Custody: ${sql}: ${plain}`)
      }
      if (plain === null && custody !== null) blocked(sql, custody)
    }
    for (const command of BACKSLASHES) {
      result.ordinary++
      const { stderr } = await psql(postgresUrl(place), ['-o', '/dev/null', '-c', command])
      if (/custody refused|ERROR/.test(stderr)) blocked(command, stderr)
    }
  } finally {
    await without.end()
    await within.end()
  }

  function blocked(sql: string, why: string): void {
    result.wronglyBlocked++
    result.findings.push(`wrongly blocked as ${resource}: ${sql}: ${why.trim()}`)
  }
}
