/**
 * What an event log promises whoever consumes it, as cases that run against any implementation: all that was recorded, in
 * the order of its session, from where was committed, whatever crashed in between. Judges by what came out alone.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { RecordedSession, Recorder, RecorderOptions } from '@custody/event-log'
import { decodeMessage, type Envelope, type Path, readEnvelope, type Who } from '@custody/schemas'

/** One log, empty at first. */
export interface LogUnderTest {
  /** CUSTODY_HOME/log of whoever records. */
  directory: string
  /** Opens a recorder, and whatever moves its log to where consumers are. */
  recorder(name: string, options?: Partial<RecorderOptions>): Promise<RecorderUnderTest>
  /** Another one of the same name goes on where this one was. */
  consumer(): Promise<ConsumerUnderTest>
  close(): Promise<void>
}

export interface RecorderUnderTest {
  recorder: Recorder
  /** Whatever moves the log stands still, or goes on. */
  hold(): Promise<void>
  resume(): Promise<void>
  close(): Promise<void>
}

export interface ConsumerUnderTest {
  /** The next messages, or null where nothing comes for a moment. */
  next(): Promise<Taken | null>
  /** Gone without a word. */
  crash(): Promise<void>
  stop(): Promise<void>
}

export interface Taken {
  messages: Buffer[]
  commit(): Promise<void>
}

export interface ContractCase {
  name: string
  run(log: LogUnderTest): Promise<void>
}

export const someone: Who = {
  subject: 'ada',
  issuer: 'test',
  email: null,
  name: null,
  groups: [],
  kind: 'human',
  method: 'token',
  tokenId: null,
  authenticatedAt: null,
  onBehalfOf: [],
}
export const somewhere = { gateway: 'g', resource: 'r', protocol: 'postgres' } as unknown as Path

/** Long enough for a machine that does much else. */
const PATIENCE_MS = 60_000

export async function say(
  recorder: Recorder,
  sessions: readonly RecordedSession[],
  count: number,
  text = 'select 1',
): Promise<void> {
  for (let i = 0; i < count; i++) {
    recorder.record(
      {
        kind: 'command.started',
        statement: { language: 'sql', interface: 'query', text: `${text} -- ${i}` },
      },
      sessions[i % sessions.length] ?? null,
    )
    if (i % 100 === 99) await recorder.recorded('os')
  }
  await recorder.recorded('os')
}

export const open = (recorder: Recorder, count: number): RecordedSession[] =>
  Array.from({ length: count }, () => recorder.openSession(someone, somewhere))

/** Follows what comes out: each event once, and none of a session before the one that came before it. */
export class Ledger {
  private readonly sequences = new Map<string, Set<number>>()
  private readonly ordinals = new Map<string, number>()
  readonly duplicates: string[] = []
  readonly disordered: string[] = []

  add(messages: readonly Buffer[]): void {
    for (const message of messages) this.one(readEnvelope(message))
  }

  private one({ recorder, sequence, session, ordinal }: Envelope): void {
    const seen = this.sequences.get(recorder) ?? new Set()
    this.sequences.set(recorder, seen)
    if (seen.has(sequence)) {
      this.duplicates.push(`${recorder} ${sequence}`)
      return
    }
    seen.add(sequence)
    if (session === null) return
    const name = session.toString('hex')
    const last = this.ordinals.get(name) ?? -1
    if (ordinal !== last + 1) this.disordered.push(`${name}: ${ordinal} after ${last}`)
    this.ordinals.set(name, ordinal)
  }

  count(recorder: string): number {
    return this.sequences.get(recorder)?.size ?? 0
  }

  /** Those of the first `count` that did not come. */
  missing(recorder: string, count: number): number[] {
    const seen = this.sequences.get(recorder)
    return Array.from({ length: count }, (_, i) => i).filter((i) => !seen?.has(i))
  }
}

/** Takes until a condition holds; commits what it takes. */
export async function takeUntil(
  consumer: ConsumerUnderTest,
  ledger: Ledger,
  isEnough: () => boolean,
): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!isEnough()) {
    assert.ok(Date.now() < deadline, 'what was recorded does not come')
    const taken = await consumer.next()
    if (taken === null) continue
    ledger.add(taken.messages)
    await taken.commit()
  }
}

/** Of a recorder that was opened and closed nothing else: its own first event counts. */
const STARTED = 1

export const eventLogContract: readonly ContractCase[] = [
  {
    name: 'nothing recorded, nothing there',
    async run(log) {
      const consumer = await log.consumer()
      assert.equal(await consumer.next(), null)
      await consumer.stop()
    },
  },
  {
    name: 'all of several recorders, each session in its order',
    async run(log) {
      const names = ['proxy-a', 'proxy-b', 'query-a']
      const recorders = await Promise.all(names.map((name) => log.recorder(name)))
      for (const { recorder } of recorders) await say(recorder, open(recorder, 7), 500)
      const consumer = await log.consumer()
      const ledger = new Ledger()
      const count = STARTED + 7 + 500
      await takeUntil(consumer, ledger, () => names.every((name) => ledger.count(name) >= count))
      for (const name of names) assert.deepEqual(ledger.missing(name, count), [])
      assert.deepEqual(ledger.duplicates, [])
      assert.deepEqual(ledger.disordered, [])
      await consumer.stop()
      for (const one of recorders) await one.close()
    },
  },
  {
    name: 'a message is the bytes that were recorded, whatever it is as large as',
    async run(log) {
      const { recorder, close } = await log.recorder('proxy-a')
      const [session] = open(recorder, 1)
      const sizes = [0, 1, 1000, 70_000, 1_500_000, 6_000_000]
      for (const size of sizes)
        recorder.record(
          {
            kind: 'command.started',
            statement: { language: 'sql', interface: 'query', text: 'x'.repeat(size) },
          },
          session,
        )
      await recorder.recorded('os')
      const consumer = await log.consumer()
      const found: number[] = []
      const deadline = Date.now() + PATIENCE_MS
      while (found.length < sizes.length) {
        assert.ok(Date.now() < deadline, 'what was recorded does not come')
        const taken = await consumer.next()
        if (taken === null) continue
        for (const message of taken.messages) {
          const { kind, statement } = decodeMessage(message)
          if (kind === 'command.started') found.push(statement!.text!.length)
        }
        await taken.commit()
      }
      assert.deepEqual(found, sizes)
      await consumer.stop()
      await close()
    },
  },
  {
    name: 'another consumer of that name goes on behind what was committed',
    async run(log) {
      const { recorder, close } = await log.recorder('proxy-a')
      const sessions = open(recorder, 5)
      await say(recorder, sessions, 400)
      const ledger = new Ledger()
      const first = await log.consumer()
      await takeUntil(first, ledger, () => ledger.count('proxy-a') >= STARTED + 5 + 400)
      await first.stop()
      await say(recorder, sessions, 300)
      const second = await log.consumer()
      await takeUntil(second, ledger, () => ledger.count('proxy-a') >= STARTED + 5 + 700)
      assert.deepEqual(ledger.duplicates, [])
      assert.deepEqual(ledger.disordered, [])
      await second.stop()
      await close()
    },
  },
  {
    name: 'what was taken and not committed comes again after a crash, as it was; nothing else does',
    async run(log) {
      const { recorder, close } = await log.recorder('proxy-a')
      await say(recorder, open(recorder, 3), 600)
      const count = STARTED + 3 + 600
      const ledger = new Ledger()
      const first = await log.consumer()
      let left: Buffer[] | null = null
      while (left === null) left = (await first.next())?.messages ?? null
      await first.crash()
      const second = await log.consumer()
      const again: Buffer[] = []
      await takeUntil(
        {
          ...second,
          next: async () => {
            const taken = await second.next()
            if (taken !== null) again.push(...taken.messages)
            return taken
          },
        },
        ledger,
        () => ledger.count('proxy-a') >= count,
      )
      assert.deepEqual(ledger.missing('proxy-a', count), [])
      assert.deepEqual(ledger.duplicates, [])
      assert.deepEqual(ledger.disordered, [])
      const bytes = new Set(again.map((message) => message.toString('base64')))
      assert.ok(left.every((message) => bytes.has(message.toString('base64'))))
      await second.stop()
      await close()
    },
  },
  {
    name: 'is read while it is written',
    async run(log) {
      const { recorder, close } = await log.recorder('proxy-a')
      const sessions = open(recorder, 4)
      const consumer = await log.consumer()
      const ledger = new Ledger()
      let isDone = false
      const writing = (async () => {
        for (let i = 0; i < 20; i++) await say(recorder, sessions, 100)
        isDone = true
      })()
      const count = STARTED + 4 + 2000
      await takeUntil(consumer, ledger, () => isDone && ledger.count('proxy-a') >= count)
      await writing
      assert.deepEqual(ledger.missing('proxy-a', count), [])
      assert.deepEqual(ledger.duplicates, [])
      assert.deepEqual(ledger.disordered, [])
      await consumer.stop()
      await close()
    },
  },
  {
    name: 'retention frees what was moved on, and nothing before',
    async run(log) {
      const under = await log.recorder('proxy-a', {
        segmentBytes: 65_536,
        retentionBytesMax: 65_536,
      })
      const { recorder } = under
      const segments = () =>
        readdirSync(join(log.directory, 'proxy-a')).filter((name) => name.endsWith('.log'))
      await under.hold()
      const sessions = open(recorder, 2)
      await say(recorder, sessions, 2000)
      const all = segments().length
      assert.ok(all > 4)
      assert.ok(segments().includes('00000000000000000001.log'))
      await under.resume()
      const consumer = await log.consumer()
      const ledger = new Ledger()
      await takeUntil(consumer, ledger, () => ledger.count('proxy-a') >= STARTED + 2 + 2000)
      // A new segment is when there is a look at what may go.
      const deadline = Date.now() + PATIENCE_MS
      let said = 2000
      while (segments().includes('00000000000000000001.log')) {
        assert.ok(Date.now() < deadline, 'nothing is freed')
        await say(recorder, sessions, 200)
        said += 200
        await takeUntil(consumer, ledger, () => ledger.count('proxy-a') >= STARTED + 2 + said)
      }
      assert.ok(segments().length < all)
      assert.deepEqual(ledger.missing('proxy-a', STARTED + 2 + said), [])
      assert.deepEqual(ledger.duplicates, [])
      await consumer.stop()
      await under.close()
    },
  },
]
