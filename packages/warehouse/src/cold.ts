/**
 * Moves whole months that are old from the warehouse to Parquet files, and keeps the catalogue of what is where.
 *
 * A run: note `moving`; the month's parts go into a table of this run alone (MOVE PARTITION: files change hands, no row is
 * rewritten), so that late events, which land in `custody.events`, can't be mistaken for moved ones; note `staged`; write
 * files, flush them, read each back and compare; note `committed`, with which questions go from that table to the files, at
 * once; drop the table; note `dropped`. Every step may be repeated after a crash, by this process or another.
 *
 * Refuses to drop what was not read back, row for row by count and digest, and to touch what is in a table without a note.
 */
import { randomBytes } from 'node:crypto'
import { type ClickHouseClient, ClickHouseError, type ClickHouseSettings } from '@clickhouse/client'
import { CustodyError, type Logger, type Secrets, type WarehouseSettings } from '@custody/kit'
import {
  boundaryMicros,
  type ColdFile,
  EVENTS,
  loadCatalogue,
  monthMicros,
  type Run,
  type Step,
  stagingOf,
  unionOf,
} from './history'
import { ddlSettings } from './migrations'
import { type Place, placeOf } from './places'
import { distributed, eventsLocal, replicatedPerShard } from './render'
import { literal } from './request'
import { expiresMicros, keepClasses } from './retention'

export interface ColdMoverOptions {
  /** As admin: it makes and drops tables. */
  client: ClickHouseClient
  /** With `cold` set; without it `run` does nothing. */
  settings: Pick<WarehouseSettings, 'cold' | 'cluster' | 'retentionDays'>
  secrets: { read: Secrets['read'] }
  logger?: Logger
  /** Rows of one file; a day is never divided. */
  fileRowsMax?: number
  /** Late events of a month are moved when its last run is so old. */
  againMsMin?: number
  /** What another process began is taken over after so long without a note: its move, and its writing of files. */
  leaseMs?: number
  now?: () => number
  /** Told before each step; what it throws ends the run there, as a crash would. */
  onStep?(step: string): void | Promise<void>
}

export interface MovedMonth {
  month: number
  run: string
  rows: number
  /** Rows that were over their time, or cold already, and were not written. */
  dropped: number
  files: number
}

export interface ColdMover {
  /** Once, before the first run: brings the tables over the files to the columns of today. */
  start(): Promise<void>
  /** Finishes what was begun, and moves what is due. One at a time. */
  run(): Promise<MovedMonth[]>
}

const HOUR_MS = 3_600_000
const WRITE_SETTINGS: ClickHouseSettings = {
  output_format_parquet_compression_method: 'zstd',
  // Texts may hold any bytes.
  output_format_parquet_string_as_string: 0,
  output_format_parquet_fixed_string_as_fixed_byte_array: 1,
  engine_file_truncate_on_insert: 1,
  s3_truncate_on_insert: 1,
  max_execution_time: 3600,
}
const READ_SETTINGS: ClickHouseSettings = {
  output_format_json_quote_64bit_integers: 1,
  max_execution_time: 3600,
}

/** The same for the same events in any order: a sum of SHA-256 over id and previous, modulo 2^256, and one over whole rows. */
const DIGESTS = `lower(hex(sumWithOverflow(reinterpretAsUInt256(SHA256(concat(id, previous)))))) AS digest,
  toString(sumWithOverflow(sipHash64(tuple(*)))) AS whole`

export function createColdMover(o: ColdMoverOptions): ColdMover {
  const { client, settings, secrets, logger, now = Date.now } = o
  const { fileRowsMax = 5_000_000, againMsMin = 24 * HOUR_MS, leaseMs = 60_000 } = o
  const { cluster } = settings
  const layout = { cluster }
  const on = cluster ? ` ON CLUSTER ${cluster}` : ''
  const local = cluster ? '_local' : ''
  /** Who notes; a process that was started anew is another. */
  const self = randomBytes(6).toString('hex')
  let place: Promise<Place> | null = null
  let running: Promise<MovedMonth[]> | null = null

  const step = async (name: string) => o.onStep?.(name)
  const getPlace = () => {
    place ??= placeOf(settings.cold!, secrets)
    place.catch(() => {
      place = null
    })
    return place
  }

  async function command(query: string, more: ClickHouseSettings = {}): Promise<void> {
    await client.command({ query, clickhouse_settings: { ...ddlSettings(layout), ...more } })
  }

  async function rows<T>(query: string, parameters: Record<string, unknown> = {}): Promise<T[]> {
    const result = await client.query({
      query,
      query_params: parameters,
      format: 'JSONEachRow',
      clickhouse_settings: READ_SETTINGS,
    })
    return result.json<T>()
  }

  async function note(
    run: Pick<Run, 'run' | 'month'>,
    what: Step,
    more: { rows?: number; dropped?: number; files?: ColdFile[] } = {},
  ): Promise<void> {
    await client.insert({
      table: 'custody.cold',
      columns: ['run', 'attempt', 'month', 'step', 'rows', 'dropped', 'place', 'files'],
      values: [
        {
          run: run.run,
          attempt: self,
          month: run.month,
          step: what,
          rows: more.rows ?? 0,
          dropped: more.dropped ?? 0,
          place: (await getPlace()).name,
          files: (more.files ?? []).map((file) => ({
            relation: file.relation,
            name: file.name,
            keep_days: file.keepDays,
            rows: file.rows,
            bytes: file.bytes,
            first: String(file.firstMicros),
            last: String(file.lastMicros),
            digest: file.digest,
            sha256: file.sha256,
          })),
        },
      ],
      format: 'JSONEachRow',
      clickhouse_settings: {
        input_format_json_named_tuples_as_objects: 1,
        // Microseconds since 1970 as they are.
        date_time_input_format: 'basic',
        ...(cluster ? { insert_quorum: 'auto' } : {}),
      },
    })
  }

  async function moveMonths(): Promise<MovedMonth[]> {
    const moved: MovedMonth[] = []
    const begun = await loadCatalogue(client)
    for (const run of begun) {
      if (run.step === 'dropped' || run.step === 'abandoned' || !mayTake(run)) continue
      moved.push(...(await guarded(run.month, () => finish(run))))
    }
    await removeExpired(begun)
    for (const month of await dueMonths(begun))
      moved.push(...(await guarded(month, () => finish({ run: newRun(), month, step: null }))))
    return moved
  }

  /** Others' runs are left to them while they are at it. */
  function mayTake(run: Run): boolean {
    if (run.by === self) return true
    return now() - run.notedMs >= (run.step === 'moving' ? leaseMs : 10 * leaseMs)
  }

  const newRun = () => `${now().toString(36)}_${randomBytes(5).toString('hex')}`

  /** What goes wrong with one month does not keep the others; it is told and tried again with the next run. */
  async function guarded(month: number, move: () => Promise<MovedMonth | null>) {
    try {
      const done = await move()
      if (done) logger?.info(done, 'a month was moved to cold storage')
      return done ? [done] : []
    } catch (error) {
      if (!(error instanceof ClickHouseError) && !isCustody(error)) throw error
      const problem = isCustody(error)
        ? error
        : new CustodyError('CUSTODY-STORE-005', `month ${month}: ${await clean(error.message)}`)
      logger?.error({ code: problem.code, month }, problem.message)
      failed = problem
      return []
    }
  }
  let failed: CustodyError | null = null

  /** A message without keys. */
  async function clean(message: string): Promise<string> {
    const { secrets: keys } = await getPlace()
    return keys.reduce((text, key) => text.replaceAll(key, '***'), message)
  }

  async function dueMonths(begun: readonly Run[]): Promise<number[]> {
    const found = await rows<{ month: number }>(
      `SELECT toYYYYMM(time) AS month FROM ${EVENTS}
WHERE time < fromUnixTimestamp64Micro({before:Int64}, 'UTC') GROUP BY month ORDER BY month`,
      { before: boundaryMicros(settings.cold!.afterDays, now()) },
    )
    return found
      .map(({ month }) => Number(month))
      .filter((month) => {
        const runs = begun.filter((run) => run.month === month)
        if (runs.some(({ step: at }) => at !== 'dropped' && at !== 'abandoned')) return false
        return runs.every(({ notedMs }) => now() - notedMs >= againMsMin)
      })
  }

  /** Takes a run from where it is to its end. */
  async function finish(
    run: Pick<Run, 'run' | 'month'> & { step: Step | null },
  ): Promise<MovedMonth | null> {
    let at = run.step
    if (at === null) {
      await step('note moving')
      await note(run, 'moving')
      at = 'moving'
    }
    if (at === 'moving') {
      if (!(await stage(run))) return null
      at = 'staged'
    }
    let moved: MovedMonth | null = null
    if (at === 'staged') {
      moved = await write(run)
      at = 'committed'
    }
    if (at === 'committed') await drop(run)
    return moved
  }

  /** Into a table of its own. False where there was nothing to move. */
  async function stage(run: Pick<Run, 'run' | 'month'>): Promise<boolean> {
    const staging = `custody.${stagingOf(run.run)}`
    await step('create staging')
    for (const query of createStaging(run.run, cluster)) await command(query)
    const partition = `(toYYYYMM(time) = ${run.month})`
    // A process killed in a move may have left rows in both; those here are the copies.
    await step('remove copies')
    const [both] = await rows<{ n: string }>(
      `SELECT count() AS n FROM ${staging} WHERE id IN (SELECT id FROM ${EVENTS} WHERE ${partition})`,
    )
    if (Number(both?.n) > 0)
      await command(
        `ALTER TABLE ${staging}${local}${on} DELETE WHERE id IN (SELECT id FROM ${eventsLocal(layout)} WHERE ${partition})`,
        { mutations_sync: '2', allow_nondeterministic_mutations: 1 },
      )
    await step('move partition')
    await command(
      `ALTER TABLE ${eventsLocal(layout)}${on} MOVE PARTITION ${run.month} TO TABLE ${staging}${local}`,
    )
    if (cluster) await command(`SYSTEM SYNC REPLICA${on} ${staging}${local}`)
    await step('note staged')
    const [there] = await rows<{ n: string }>(`SELECT count() AS n FROM ${staging}`)
    if (Number(there?.n) > 0) {
      await note(run, 'staged')
      await replaceView()
      return true
    }
    await takeAway(run, 0)
    await note(run, 'abandoned')
    return false
  }

  async function write(run: Pick<Run, 'run' | 'month'>): Promise<MovedMonth> {
    const staging = `custody.${stagingOf(run.run)}`
    const to = await getPlace()
    // One moment for all, so that counts agree.
    const asOfSeconds = Math.floor(now() / 1000)
    const earlier = (await loadCatalogue(client))
      .filter((other) => other.month === run.month && other.run !== run.run)
      .flatMap(({ files }) => files.filter((file) => !isOver(file)))
    const unless =
      earlier.length > 0
        ? ` AND id NOT IN (SELECT id FROM ${unionOf(earlier.map(({ relation }) => `custody.${relation}`))})`
        : ''
    const [total] = await rows<{ n: string }>(`SELECT count() AS n FROM ${staging}`)
    const month = `${Math.floor(run.month / 100)}-${String(run.month % 100).padStart(2, '0')}`
    const attempt = randomBytes(4).toString('hex')
    const files: ColdFile[] = []
    for (const { keepDays, condition } of keepClasses(settings.retentionDays)) {
      const kept =
        keepDays === 0 ? '' : ` AND toUnixTimestamp(time) > ${asOfSeconds - keepDays * 86_400}`
      const wanted = `(${condition})${kept}${unless}`
      for (const [from, until] of await days(staging, wanted)) {
        const name = `${keepDays === 0 ? 'forever' : `days-${keepDays}`}/${month}/${run.run}-${attempt}-${files.length}.parquet`
        const relation = `cold_${run.run}_${attempt}_${files.length}`
        const where = `${wanted} AND toDate(time) BETWEEN '${from}' AND '${until}'`
        await step('write file')
        to.prepare(name)
        await command(
          `INSERT INTO FUNCTION ${to.target(name, 'Parquet')} SELECT * FROM ${staging} WHERE ${where} ORDER BY time, id`,
          WRITE_SETTINGS,
        )
        await step('flush file')
        const finished = await to.finish(name)
        await command(createRelation(relation, to, name))
        await step('read file back')
        const expected = await summary(`${staging} WHERE ${where}`)
        const found = await summary(`custody.${relation}`)
        if (JSON.stringify(expected) !== JSON.stringify(found))
          throw new CustodyError(
            'CUSTODY-STORE-006',
            `${to.name}: ${name} was read back as ${found.n} rows with digest ${found.digest}, written were ${expected.n} with ${expected.digest}`,
          )
        files.push({
          relation,
          name,
          keepDays,
          rows: Number(found.n),
          bytes: finished?.bytes ?? (await sizeOf(relation)),
          firstMicros: Number(found.first),
          lastMicros: Number(found.last),
          digest: found.digest,
          sha256: finished?.sha256 ?? '',
        })
      }
    }
    const written = files.reduce((sum, file) => sum + file.rows, 0)
    // What was left out is over its time or cold already: by its own question, not as what is missing.
    const classes = keepClasses(settings.retentionDays)
    const over = classes
      .filter(({ keepDays }) => keepDays > 0)
      .map(
        ({ keepDays, condition }) =>
          `((${condition}) AND toUnixTimestamp(time) <= ${asOfSeconds - keepDays * 86_400})`,
      )
      .join(' OR ')
    const cold = unless ? unless.replace(/^ AND id NOT IN/, 'id IN') : '0'
    const [left] = await rows<{ n: string }>(
      `SELECT count() AS n FROM ${staging} WHERE ${over || '0'} OR ${cold}`,
    )
    const dropped = Number(left!.n)
    if (written + dropped !== Number(total!.n))
      throw new CustodyError(
        'CUSTODY-STORE-006',
        `month ${run.month} has ${total!.n} rows, but ${written} were written and ${dropped} need not be`,
      )
    await step('write manifest')
    const manifest = `manifests/${month}/${run.run}-${attempt}.json`
    to.prepare(manifest)
    await command(
      `INSERT INTO FUNCTION ${to.target(manifest, 'RawBLOB')} SELECT ${literal(
        manifestOf(run, { written, dropped, files, asOfSeconds }),
      )}`,
      WRITE_SETTINGS,
    )
    await to.finish(manifest)
    await step('note committed')
    await replaceView({ run: run.run, files })
    await note(run, 'committed', { rows: written, dropped, files })
    // Whoever was first counts; the other's files are not needed.
    const [counts] = (await loadCatalogue(client)).filter((one) => one.run === run.run)
    if (counts && counts.files[0]?.relation !== files[0]?.relation)
      for (const file of files) {
        await command(`DROP TABLE IF EXISTS custody.${file.relation}${on} SYNC`)
        to.remove(file.name)
      }
    return { month: run.month, run: run.run, rows: written, dropped, files: files.length }
  }

  /** Runs of days with so many rows as a file may have. */
  async function days(staging: string, wanted: string): Promise<[from: string, until: string][]> {
    const found = await rows<{ day: string; n: string }>(
      `SELECT toDate(time) AS day, count() AS n FROM ${staging} WHERE ${wanted} GROUP BY day ORDER BY day`,
    )
    const ranges: [string, string][] = []
    let filled = 0
    for (const { day, n } of found) {
      const last = ranges.at(-1)
      if (last && filled + Number(n) <= fileRowsMax) {
        last[1] = day
        filled += Number(n)
      } else {
        ranges.push([day, day])
        filled = Number(n)
      }
    }
    return ranges
  }

  async function summary(of: string) {
    const [found] = await rows<{
      n: string
      digest: string
      whole: string
      first: string
      last: string
    }>(`SELECT count() AS n, toUnixTimestamp64Micro(min(time)) AS first, toUnixTimestamp64Micro(max(time)) AS last,
  ${DIGESTS} FROM ${of}`)
    return found!
  }

  async function sizeOf(relation: string): Promise<number> {
    const [found] = await rows<{ bytes: string }>(
      `SELECT any(_size) AS bytes FROM custody.${relation}`,
    )
    return Number(found?.bytes ?? 0)
  }

  async function drop(run: Pick<Run, 'run' | 'month'>): Promise<void> {
    await replaceView()
    const [counts] = (await loadCatalogue(client)).filter((one) => one.run === run.run)
    await takeAway(run, counts!.rows + counts!.dropped)
    await step('note dropped')
    await note(run, 'dropped')
  }

  /**
   * Drops a run's table. It is taken out of reach by another name first: a process that had stood still and goes on moving
   * finds no table then, and what it may have added before is seen by the count.
   */
  async function takeAway(run: Pick<Run, 'run' | 'month'>, expected: number): Promise<void> {
    const staging = `custody.${stagingOf(run.run)}`
    const away = `custody.moved_${run.run}`
    await step('rename staging')
    for (const suffix of cluster ? ['', '_local'] : [''])
      if (await exists(`${stagingOf(run.run)}${suffix}`))
        await command(`RENAME TABLE ${staging}${suffix} TO ${away}${suffix}${on}`)
    await step('drop staging')
    if (!(await exists(`moved_${run.run}${local}`))) return
    // The distributed one still says the table's former name.
    const of = cluster ? `cluster(${literal(cluster)}, ${away}_local)` : away
    const [there] = await rows<{ n: string }>(`SELECT count() AS n FROM ${of}`)
    if (Number(there!.n) !== expected)
      throw new CustodyError(
        'CUSTODY-STORE-006',
        `${away} has ${there!.n} rows, and ${expected} were moved: it is not dropped`,
      )
    for (const suffix of cluster ? ['', '_local'] : [''])
      await command(`DROP TABLE IF EXISTS ${away}${suffix}${on} SYNC`)
  }

  async function exists(table: string): Promise<boolean> {
    const found = await rows(
      "SELECT 1 FROM system.tables WHERE database = 'custody' AND name = {table:String}",
      { table },
    )
    return found.length > 0
  }

  const isOver = (file: ColdFile) => expiresMicros(file.lastMicros, file.keepDays) <= now() * 1000

  /** Files of which everything is over its time. */
  async function removeExpired(runs: readonly Run[]): Promise<void> {
    const over = runs.flatMap(({ files }) => files.filter(isOver))
    if (over.length === 0) return
    await replaceView()
    const to = await getPlace()
    for (const file of over) {
      if (await exists(file.relation))
        await command(`DROP TABLE IF EXISTS custody.${file.relation}${on} SYNC`)
      to.remove(file.name)
    }
  }

  function createRelation(relation: string, to: Place, name: string): string {
    return `CREATE OR REPLACE TABLE custody.${relation}${on} AS ${EVENTS} ENGINE = ${to.engine(name)}`
  }

  /** For people at a SQL prompt: everything, wherever it lies. `instead`: files that are about to count. */
  async function replaceView(instead?: { run: string; files: ColdFile[] }): Promise<void> {
    const relations = [EVENTS]
    for (const run of await loadCatalogue(client)) {
      const files = run.run === instead?.run ? instead.files : run.files
      const isStaged = run.step === 'staged' && run.run !== instead?.run
      if (isStaged) relations.push(`custody.${stagingOf(run.run)}`)
      for (const file of files) if (!isOver(file)) relations.push(`custody.${file.relation}`)
    }
    await command(
      `CREATE OR REPLACE VIEW custody.history${on} AS ${relations.map((one) => `SELECT * FROM ${one}`).join(' UNION ALL ')}`,
    )
  }

  return {
    async start() {
      if (!settings.cold) return
      const to = await getPlace()
      for (const run of await loadCatalogue(client))
        for (const file of run.files)
          if (!isOver(file)) await command(createRelation(file.relation, to, file.name))
      await replaceView()
    },
    async run() {
      if (!settings.cold) return []
      running ??= moveMonths().finally(() => {
        running = null
      })
      failed = null
      const moved = await running
      if (failed) throw failed
      return moved
    },
  }
}

/** Runs a mover now and then until it is stopped; what failed is tried again sooner. */
export function keepMoving(
  mover: ColdMover,
  {
    intervalMs = HOUR_MS,
    retryMs = 60_000,
    logger,
  }: { intervalMs?: number; retryMs?: number; logger?: Logger } = {},
): { stop(): Promise<void> } {
  let stopping = false
  let wake = () => {}
  const done = (async () => {
    let started = false
    while (!stopping) {
      let pauseMs = intervalMs
      try {
        if (!started) await mover.start()
        started = true
        await mover.run()
      } catch (error) {
        pauseMs = retryMs
        // What is the mover's own it has told.
        if (!isCustody(error)) logger?.error({ err: error }, 'cold storage can’t be reached')
      }
      if (stopping) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  })()
  return {
    stop() {
      stopping = true
      wake()
      return done
    },
  }
}

/** A run's own table, of the same form as the events, so that parts can change hands; without a TTL of its own. */
export function createStaging(run: string, cluster: string | undefined): string[] {
  const name = `custody.${stagingOf(run)}`
  const form =
    'PARTITION BY toYYYYMM(time) ORDER BY (time, id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1'
  if (!cluster)
    return [`CREATE TABLE IF NOT EXISTS ${name} AS ${EVENTS} ENGINE = MergeTree ${form}`]
  const on = `ON CLUSTER ${cluster}`
  return [
    `CREATE TABLE IF NOT EXISTS ${name}_local ${on} AS ${EVENTS}_local ENGINE = ${replicatedPerShard(`${name}_local`, cluster)} ${form}`,
    `CREATE TABLE IF NOT EXISTS ${name} ${on} AS ${name}_local ENGINE = ${distributed(`${name}_local`, cluster)}`,
  ]
}

/** What lies beside the files, so that they can be read and checked without this warehouse. */
function manifestOf(
  run: Pick<Run, 'run' | 'month'>,
  of: { written: number; dropped: number; files: ColdFile[]; asOfSeconds: number },
): string {
  const iso = (micros: number) => {
    const seconds = Math.floor(micros / 1e6)
    return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(micros - seconds * 1e6).padStart(6, '0')}Z`
  }
  const { from } = monthMicros(run.month)
  return `${JSON.stringify(
    {
      format: 'custody-cold-1',
      run: run.run,
      month: iso(from).slice(0, 7),
      written: iso(of.asOfSeconds * 1e6),
      rows: of.written,
      /** Over their time, or in files of an earlier run. */
      leftOut: of.dropped,
      digest: 'sum modulo 2^256 of SHA-256(id ‖ previous), each read as a little-endian number',
      files: of.files.map((file) => ({
        name: file.name,
        keepDays: file.keepDays,
        rows: file.rows,
        first: iso(file.firstMicros),
        last: iso(file.lastMicros),
        digest: file.digest,
        ...(file.sha256 ? { bytes: file.bytes, sha256: file.sha256 } : {}),
      })),
    },
    null,
    2,
  )}\n`
}

function isCustody(error: unknown): error is CustodyError {
  return error instanceof CustodyError
}
