/**
 * People at work, who never give up: each client sends marked statements through the gateway and notes what it was told,
 * whatever happens on the way. A client's notes say only what it saw: a connection that breaks off says nothing.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { clientProgram } from '@custody/test-support'
import { Client, type DatabaseError, type QueryConfig } from 'pg'

/** Every mark looks so, in the target's log as in the record. */
export const TAG = /ct-[0-9a-z]+-[0-9]+-x/g

/** What the target needs for it. */
export const TABLES =
  'create table chaos (tag text); create table chaos_count (n int); create table chaos_held (n int)'

/** Deletes are forbidden, and what touches chaos_held waits for a person. */
export const POLICIES = `@id("work")
permit (principal, action, resource);

@id("no-deletes")
@reason("nothing is deleted here")
forbid (principal, action == Action::"sql:delete", resource);

@id("held-table")
@reason("a change of chaos_held needs somebody's word")
@expires("30s")
forbid (principal, action == Action::"sql:update", resource)
when { context has object && context.object has relation && context.object.relation == "chaos_held" }
unless { context.approved };
`

export interface LoadOptions {
  port: number
  user: string
  password: string
  /** Names of resources; clients are spread over them. */
  databases: readonly string[]
  clients: number
  /** Between two statements of one client, on average. */
  pauseMs: number
  directory: string
  random(): number
}

export interface Notes {
  /** Marks of statements whose completion a client saw. */
  readonly released: Set<string>
  /** Marks of statements that a client was told would not run, and how often for which reason. */
  readonly refused: Set<string>
  readonly reasons: Map<string, number>
  /** Marks of statements that wait for a person. */
  readonly held: Set<string>
  /** Connections that ended otherwise than the client wanted. */
  broken: number
}

export interface Load extends Notes {
  stop(): Promise<void>
}

const CONNECT_MS_MAX = 4000
/** A client waits so long for an answer before it walks away. */
const ANSWER_MS_MAX = 45_000
const HELD_CLIENTS = 2

export function startLoad(o: LoadOptions): Load {
  const load = {
    released: new Set<string>(),
    refused: new Set<string>(),
    reasons: new Map<string, number>(),
    held: new Set<string>(),
    broken: 0,
  }
  const stopping = new AbortController()
  const open = new Set<Client>()
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(done, ms)
      function done() {
        clearTimeout(timer)
        stopping.signal.removeEventListener('abort', done)
        resolve()
      }
      stopping.signal.addEventListener('abort', done)
    })

  const isOver = () => stopping.signal.aborted

  async function loop(
    name: string,
    database: string,
    work: (client: Client, next: () => string) => Promise<void>,
  ) {
    let n = 0
    const next = () => `ct-${name}-${n++}-x`
    while (!isOver()) {
      const client = new Client({
        host: '127.0.0.1',
        port: o.port,
        user: o.user,
        password: o.password,
        database,
        ssl: false,
        connectionTimeoutMillis: CONNECT_MS_MAX,
        query_timeout: ANSWER_MS_MAX,
      })
      client.on('error', () => {})
      open.add(client)
      try {
        await client.connect()
        // Sessions end and begin all the time, and their ends are part of what is looked at.
        for (let left = 5 + Math.floor(o.random() * 60); left > 0 && !isOver(); left--) {
          await work(client, next)
          await pause(2 * o.random() * o.pauseMs)
        }
        await client.end()
      } catch {
        load.broken++
        hangUp(client)
        await pause(30 + o.random() * 200)
      } finally {
        open.delete(client)
      }
    }
  }

  /** Notes how one statement ended. Throws where the connection did not survive it. */
  async function say(
    client: Client,
    tag: string,
    statement: string | QueryConfig,
    values?: unknown[],
  ): Promise<void> {
    try {
      await client.query(statement, values)
      load.released.add(tag)
    } catch (error) {
      const { severity, hint, code } = error as DatabaseError
      const reason = /^CUSTODY-[A-Z]+-\d+/.exec(hint ?? '')?.[0]
      // An error that ends the session says nothing of what ran before it.
      if (severity !== 'ERROR') throw error
      if (reason) {
        load.refused.add(tag)
        load.reasons.set(reason, (load.reasons.get(reason) ?? 0) + 1)
      } else if (code !== '25P02') throw error
    }
  }

  /** By turns every kind that goes another way through the gateway. */
  let turn = 0
  async function work(client: Client, next: () => string): Promise<void> {
    const tag = next()
    switch (turn++ % 16) {
      case 0:
      case 5:
      case 10:
        await say(client, tag, `select '${tag}'`)
        break
      case 1:
      case 6:
      case 11:
        await say(client, tag, 'select $1::text as tag', [tag])
        break
      case 2:
      case 7:
        await say(client, tag, {
          name: 'named',
          text: 'select $1::text as tag, 2',
          values: [tag],
        })
        break
      case 3:
      case 8:
      case 12:
        await say(client, tag, 'insert into chaos (tag) values ($1)', [tag])
        break
      case 4:
        await say(client, tag, `select repeat('r', 3000) from generate_series(1, 20) /* ${tag} */`)
        break
      case 9:
        await say(client, tag, `delete from chaos where tag = '${tag}'`)
        break
      case 13: {
        await say(client, tag, `begin /* ${tag} */`)
        for (let i = 0; i < 3; i++) {
          const inside = next()
          await say(client, inside, 'insert into chaos (tag) values ($1)', [inside])
        }
        const end = next()
        await say(client, end, `${o.random() < 0.8 ? 'commit' : 'rollback'} /* ${end} */`)
        break
      }
      case 14:
        await say(client, tag, `select 1 from nowhere /* ${tag} */`).catch((error) => {
          // The target's own error is an answer like any other.
          if ((error as DatabaseError).code !== '42P01') throw error
        })
        break
      default:
        await say(client, tag, `update chaos_count set n = n + 1 where false /* ${tag} */`)
    }
  }

  async function waitForPeople(client: Client, next: () => string): Promise<void> {
    const tag = next()
    load.held.add(tag)
    await say(client, tag, `update chaos_held set n = n + 1 where false /* ${tag} */`)
    await pause(500)
  }

  /** A native client beside them. */
  let run = 0
  async function pgbenchLoop(): Promise<void> {
    const script = join(o.directory, 'tagged.sql')
    writeFileSync(script, "\\set n random(1, 9000000000000000)\nselect 'ct-b:run-:n-x';\n")
    while (!isOver()) {
      await new Promise<void>((resolve) => {
        const child = spawn(
          clientProgram('pgbench'),
          [
            ...['-n', '-f', script, '-c', '2', '-T', '2', '-R', '20'],
            ...['-D', `run=${run++}`, o.databases[0]!],
          ],
          {
            env: {
              ...process.env,
              PGHOST: '127.0.0.1',
              PGPORT: String(o.port),
              PGUSER: o.user,
              PGPASSWORD: o.password,
              PGSSLMODE: 'disable',
              PGCONNECT_TIMEOUT: '5',
            },
            stdio: 'ignore',
          },
        )
        const walksAway = setTimeout(() => child.kill('SIGKILL'), ANSWER_MS_MAX)
        const done = () => {
          clearTimeout(walksAway)
          resolve()
        }
        child.once('error', done)
        child.once('exit', done)
      })
      await pause(200)
    }
  }

  const databaseOf = (i: number) => o.databases[i % o.databases.length]!
  const running = [
    ...Array.from({ length: o.clients }, (_, i) => loop(`c${i}`, databaseOf(i), work)),
    ...Array.from({ length: HELD_CLIENTS }, (_, i) => loop(`h${i}`, databaseOf(i), waitForPeople)),
    pgbenchLoop(),
  ]
  return Object.assign(load, {
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  })
}

/** An answer that was given up may still be on its way; nobody waits for it. */
function hangUp(client: Client): void {
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } })
    .connection
  stream.destroy()
}
