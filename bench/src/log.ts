/**
 * The event log beside LMDB with the same duties: the next sequence, bytes kept in order, told when written (`os`) or on disk
 * (`disk`). Writers wait for their own record, as sessions do.
 */
import { join } from 'node:path'
import { openRecorder } from '@custody/event-log'
import { encodeMessage, sha256 } from '@custody/schemas'
import { temporaryDirectory } from '@custody/test-support'
import { open } from 'lmdb'
import type { Table } from './measure'

export interface LogOptions {
  rounds: number
  seconds: number
  progress(line: string): void
}

interface Store {
  record(durability: 'os' | 'disk'): Promise<void>
  close(): Promise<void>
}

const WRITERS = [1, 16, 64]
const TEXT = 'select id, name, email from customers where id = 4711 and note like $1'
const EVENT = {
  kind: 'command.started',
  statement: {
    language: 'sql',
    interface: 'query',
    text: TEXT,
    textBytes: TEXT.length,
    verbs: ['sql:select'],
    understood: true,
    index: 0,
    count: 1,
  },
}

export async function benchLog(o: LogOptions, table: Table): Promise<string[]> {
  for (let round = 0; round < o.rounds; round++)
    for (const durability of ['os', 'disk'] as const)
      for (const writers of WRITERS)
        for (const [name, start] of [
          ['custody log', custodyLog],
          ['lmdb', lmdbLog],
        ] as const) {
          const directory = temporaryDirectory('custody-bench-log-')
          const store = await start(directory.path, durability)
          const until = performance.now() + o.seconds * 1000
          let events = 0
          const started = performance.now()
          await Promise.all(
            Array.from({ length: writers }, async () => {
              while (performance.now() < until) {
                await store.record(durability)
                events++
              }
            }),
          )
          const perSecond = events / ((performance.now() - started) / 1000)
          table.add(
            `log, ${durability}, ${writers} ${writers === 1 ? 'writer' : 'writers'}`,
            name,
            'events/s',
            perSecond,
          )
          o.progress(`${name}, ${durability}, ${writers}: ${Math.round(perSecond)} events/s`)
          await store.close()
          await directory.remove()
        }
  return []
}

async function custodyLog(directory: string): Promise<Store> {
  const recorder = await openRecorder({
    directory,
    recorder: 'bench',
    reserveBytes: 0,
    consumers: [],
  })
  return {
    record(durability) {
      recorder.record(EVENT)
      return recorder.recorded(durability)
    },
    close: () => recorder.close(),
  }
}

/** Chained and encoded by ourselves, as LMDB has no such duties; stored under the sequence. */
async function lmdbLog(directory: string, durability: 'os' | 'disk'): Promise<Store> {
  const database = open<Buffer, number>({
    path: join(directory, 'lmdb'),
    encoding: 'binary',
    keyEncoding: 'uint32',
    noSync: durability === 'os',
    mapSize: 4 * 1024 ** 3,
  })
  let sequence = 0
  let previous: Buffer = Buffer.alloc(32)
  return {
    async record() {
      const message = encodeMessage({
        ...EVENT,
        recorder: 'bench',
        sequence,
        previous,
      })
      previous = sha256(message)
      await database.put(sequence++, message)
      if (durability === 'disk') await database.flushed
    },
    async close() {
      await database.close()
    },
  }
}
