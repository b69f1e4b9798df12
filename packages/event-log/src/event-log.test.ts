/**
 * The log as its writer, its readers in other processes, a crash and a full disk meet it. Files are real; what a crash does
 * is done to them byte by byte.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeMessage, type Event, type Path, sha256, type Who } from '@custody/schemas'
import fc from 'fast-check'
import {
  commitPosition,
  committedPosition,
  LogDamagedError,
  LogRefusedError,
  listRecorders,
  listSegments,
  openReader,
  openRecorder,
  type Position,
  type Recorder,
  type RecorderOptions,
  replicate,
} from '.'
import {
  EVENTS_FRAME,
  FRAME_HEADER_BYTES,
  messagesOf,
  readFrameHeader,
  segmentName,
} from './segment'

const who: Who = {
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
const path = { gateway: 'g', resource: 'r', protocol: 'postgres' } as unknown as Path

let directory: string
const open: Recorder[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-log-'))
})
afterEach(async () => {
  for (const recorder of open.splice(0)) await recorder.close().catch(() => {})
  rmSync(directory, { recursive: true, force: true })
})

async function start(options: Partial<RecorderOptions> = {}): Promise<Recorder> {
  const recorder = await openRecorder({
    directory,
    recorder: 'one',
    reserveBytes: 0,
    consumers: [],
    lockWaitMsMax: 0,
    ...options,
  })
  open.push(recorder)
  return recorder
}

const say = (recorder: Recorder, text: string) =>
  recorder.record({ kind: 'test.said', recording: { state: text } })

/** Everything in a log, after checking that sequence and chain hold. */
async function all(recorder = 'one', from?: Position): Promise<Event[]> {
  const reader = openReader({ directory, recorder, ...(from && { from }) })
  const events: Event[] = []
  let head: Buffer | null = null
  for (let batch = await reader.read(1 << 20); batch; batch = await reader.read(1 << 20))
    for (const message of batch.messages) {
      const event = decodeMessage(message)
      if (head) {
        expect(event.previous.equals(head)).toBe(true)
        expect(event.sequence).toBe(events.at(-1)!.sequence + 1)
      }
      head = sha256(message)
      events.push(event)
    }
  reader.close()
  return events
}

const said = (events: Event[]) =>
  events.filter(({ kind }) => kind === 'test.said').map(({ recording }) => recording!.state)

test('a flush by the clock between recording and the end of the turn tells nobody too early', async () => {
  const recorder = await start()
  for (let i = 0; i < 50; i++) {
    say(recorder, `before ${i}`)
    await recorder.recorded('os')
    say(recorder, `now ${i}`)
    const told = recorder.recorded('disk').then(async () => said(await all()).at(-1))
    ;(recorder as unknown as { sync(): void }).sync()
    expect(await told).toBe(`now ${i}`)
  }
})

/** A log as it lies on the disk of a machine that was switched off now: no lock, nothing closed. */
function crashed(): string {
  const copy = mkdtempSync(join(tmpdir(), 'custody-log-crashed-'))
  cpSync(directory, copy, { recursive: true })
  rmSync(join(copy, 'one', 'lock'), { force: true })
  return copy
}

describe('writing and reading', () => {
  test('what one turn recorded is one frame, in order, chained', async () => {
    const recorder = await start()
    for (let i = 0; i < 10; i++) say(recorder, `a${i}`)
    await recorder.recorded()
    for (let i = 0; i < 5; i++) say(recorder, `b${i}`)
    await recorder.recorded('disk')
    const events = await all()
    expect(said(events)).toEqual([
      ...Array.from({ length: 10 }, (_, i) => `a${i}`),
      ...Array.from({ length: 5 }, (_, i) => `b${i}`),
    ])
    expect(events[0]!.sequence).toBe(0)
    expect(events[0]!.previous.every((byte) => byte === 0)).toBe(true)
    const frames = framesOf(readFileSync(join(directory, 'one', segmentName(1))))
    expect(frames.filter(({ count }) => count === 10)).toHaveLength(1)
    expect(frames.filter(({ count }) => count === 5)).toHaveLength(1)
  })

  test('waiters are told in order, and not before the bytes are written', async () => {
    const recorder = await start()
    const told: string[] = []
    const file = join(directory, 'one', segmentName(1))
    const wait = (name: string, durability: 'os' | 'disk') =>
      recorder.whenRecorded(durability, {
        recorded: (error) => {
          expect(error).toBeNull()
          expect(readFileSync(file).includes(Buffer.from(`text-${name}`))).toBe(true)
          told.push(name)
        },
      })
    for (const name of ['1', '2', '3']) {
      say(recorder, `text-${name}`)
      wait(name, 'os')
    }
    expect(told).toEqual([])
    await recorder.recorded()
    expect(told).toEqual(['1', '2', '3'])
    for (const name of ['4', '5']) {
      say(recorder, `text-${name}`)
      wait(name, 'disk')
    }
    await recorder.recorded('disk')
    expect(told).toEqual(['1', '2', '3', '4', '5'])
  })

  test('`disk` waits for fdatasync, `os` does not', async () => {
    const fs = require('node:fs') as typeof import('node:fs')
    const recorder = await start()
    await recorder.recorded('disk')
    const flush = jest.spyOn(fs, 'fdatasync')
    let finish = () => {}
    flush.mockImplementation(((_fd: number, done: (error: Error | null) => void) => {
      finish = () => done(null)
    }) as never)
    try {
      say(recorder, 'flushed')
      await recorder.recorded('os')
      let told = false
      const onDisk = recorder.recorded('disk').then(() => {
        told = true
      })
      await new Promise((resolve) => setTimeout(resolve, 30))
      expect(told).toBe(false)
      expect(flush).toHaveBeenCalled()
      finish()
      // A flush by the clock may have been under way: then another follows it.
      await new Promise((resolve) => setTimeout(resolve, 5))
      finish()
      await onDisk
      expect(told).toBe(true)
    } finally {
      flush.mockRestore()
    }
  })

  test('a batch beyond its bound is written before the turn ends, and nothing is lost', async () => {
    const recorder = await start({ segmentBytes: 256 * 1024 })
    for (let i = 0; i < 200; i++) say(recorder, `${i} ${'x'.repeat(20_000)}`)
    await recorder.recorded()
    expect(said(await all()).map((text) => Number(text.split(' ')[0]))).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    )
  })

  test('an event larger than a segment', async () => {
    const recorder = await start({ segmentBytes: 64 * 1024 })
    say(recorder, 'y'.repeat(3_000_000))
    say(recorder, 'after')
    await recorder.recorded()
    expect(said(await all()).map((text) => text.length)).toEqual([3_000_000, 5])
  })

  test('a reader goes on from any position it was given, over segments', async () => {
    const recorder = await start({ segmentBytes: 64 * 1024 })
    for (let turn = 0; turn < 40; turn++) {
      for (let i = 0; i < 10; i++) say(recorder, `${turn}.${i} ${'z'.repeat(500)}`)
      await recorder.recorded()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(listSegments(join(directory, 'one')).length).toBeGreaterThan(2)
    const whole = said(await all())
    expect(whole).toHaveLength(400)
    const reader = openReader({ directory, recorder: 'one' })
    const positions: Position[] = []
    for (let batch = await reader.read(1); batch; batch = await reader.read(1))
      positions.push(batch.next)
    reader.close()
    for (const position of positions.filter((_, i) => i % 7 === 0)) {
      const rest = await all('one', position)
      if (rest.length > 0) expect(rest[0]!.sequence).toBe(position.sequence)
      expect(whole.slice(-said(rest).length || whole.length)).toEqual(
        said(rest).length ? said(rest) : whole,
      )
    }
  })

  test('a reader in another process follows while it is written', async () => {
    const recorder = await start({ segmentBytes: 64 * 1024 })
    const program = `
      const { openReader } = require(${JSON.stringify(join(__dirname, '../dist'))})
      const reader = openReader({ directory: ${JSON.stringify(directory)}, recorder: 'one' })
      let next = 0
      ;(async () => {
        while (next < 3001) {
          const batch = await reader.read(100000)
          if (!batch) { await new Promise((r) => setTimeout(r, 2)); continue }
          if (batch.firstSequence !== next) { console.log('gap at ' + next); process.exit(1) }
          next += batch.count
        }
        console.log('read ' + next)
      })()`
    const reader = spawn(process.execPath, ['-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let told = ''
    reader.stdout.on('data', (data) => {
      told += data
    })
    for (let turn = 0; turn < 300; turn++) {
      for (let i = 0; i < 10; i++) say(recorder, `${turn}.${i} ${'w'.repeat(200)}`)
      await recorder.recorded()
      if (turn % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await once(reader, 'exit')
    expect(told).toBe('read 3001\n')
  })

  test('recorders are listed; names that are no file names are refused', async () => {
    await start()
    await start({ recorder: 'two.b-1' })
    expect(await listRecorders(directory)).toEqual(['one', 'two.b-1'])
    expect(await listRecorders(join(directory, 'nowhere'))).toEqual([])
    for (const recorder of ['', '../x', 'a/b', '.hidden', 'x'.repeat(129)])
      await expect(openRecorder({ directory, recorder })).rejects.toThrow(RangeError)
  })
})

describe('one writer', () => {
  test('a second is refused while the first lives', async () => {
    await start()
    await expect(start()).rejects.toMatchObject({ code: 'CUSTODY-LOG-003' })
  })

  test('or waits, and goes on where the first has let go', async () => {
    const first = await start()
    say(first, 'first')
    const second = start({ lockWaitMsMax: 5000 })
    setTimeout(() => void first.close(), 100)
    say(await second, 'second')
    await open.at(-1)!.recorded()
    expect(said(await all())).toEqual(['first', 'second'])
  })

  test('the lock of a process that is gone does not hold', async () => {
    mkdirSync(join(directory, 'one'), { recursive: true })
    for (const lock of ['999999999 1\n', `${process.pid} 1\n`, '']) {
      writeFileSync(join(directory, 'one', 'lock'), lock)
      const recorder = await start()
      await recorder.close()
    }
  })
})

describe('after a crash', () => {
  /** A session with one command done and one running, and a second session that is closed. */
  async function leave(recorder: Recorder): Promise<{ running: Buffer }> {
    const closed = recorder.openSession(who, path)
    recorder.closeSession(closed, 'closed', 'done', {})
    const session = recorder.openSession(who, path)
    const begin = () => {
      const id = recorder.record({ kind: 'command.started' }, session)
      session.open.add({ id, micros: 1 })
      session.commandsStarted++
      return id
    }
    const done = begin()
    recorder.record(
      { kind: 'command.completed', command: done, response: { status: 'ok' } },
      session,
    )
    for (const command of session.open) if (command.id === done) session.open.delete(command)
    const running = begin()
    await recorder.recorded()
    return { running }
  }

  test('open commands get `outcome unknown`, open sessions an end, and the chain goes on', async () => {
    const { running } = await leave(await start())
    const copy = crashed()
    const again = await openRecorder({
      directory: copy,
      recorder: 'one',
      reserveBytes: 0,
      consumers: [],
    })
    await again.close()
    const kept = directory
    directory = copy
    const events = await all()
    directory = kept
    rmSync(copy, { recursive: true })
    const unknown = events.filter(({ response }) => response?.status === 'unknown')
    expect(unknown).toHaveLength(1)
    expect(unknown[0]!.command!.equals(running)).toBe(true)
    const ends = events.filter(({ kind }) => kind === 'session.closed')
    expect(ends.map(({ lifecycle }) => lifecycle!.state)).toEqual(['closed', 'unknown'])
    // The seal counts what is there.
    expect(ends[1]!.lifecycle!.events).toBe(
      events.filter(({ session }) => session?.equals(ends[1]!.session!)).length,
    )
    expect(ends[1]!.who!.subject).toBe('ada')
    expect(events.filter(({ kind }) => kind === 'recorder.recovered')).toHaveLength(1)
  })

  test('a log cut anywhere keeps every whole frame, says what was cut, and goes on', async () => {
    const recorder = await start()
    await leave(recorder)
    for (let i = 0; i < 3; i++) {
      say(recorder, `turn ${i}`)
      await recorder.recorded()
    }
    const file = join('one', segmentName(1))
    const bytes = readFileSync(join(directory, file))
    const frames = framesOf(bytes)
    const last = frames.at(-1)!
    const kept = directory
    for (let cut = frames.at(-3)!.at; cut <= last.end; cut++) {
      const copy = crashed()
      truncateSync(join(copy, file), cut)
      const again = await openRecorder({
        directory: copy,
        recorder: 'one',
        reserveBytes: 0,
        consumers: [],
      })
      await again.close()
      directory = copy
      const events = await all()
      directory = kept
      const whole = frames.filter(({ end }) => end <= cut)
      const before = whole.reduce((sum, { count }) => sum + count, 0)
      expect(events.findIndex(({ kind }) => kind === 'recorder.recovered')).toBe(before)
      const torn = cut - (whole.at(-1)?.end ?? 0)
      const told = events[before]!.recording!.cutBytes
      // Zeros at the very end can't be told from room made in advance.
      expect(told).toBeLessThanOrEqual(torn)
      if (torn > FRAME_HEADER_BYTES) expect(told).toBeGreaterThan(0)
      rmSync(copy, { recursive: true })
    }
  })

  test('any byte changed in the last frame makes it not there, never something else', async () => {
    const recorder = await start()
    say(recorder, 'first')
    await recorder.recorded()
    say(recorder, 'second')
    await recorder.recorded()
    const bytes = readFileSync(join(directory, 'one', segmentName(1)))
    const last = framesOf(bytes).at(-1)!
    await fc.assert(
      fc.asyncProperty(
        fc
          .integer({ min: last.at, max: last.at + 27 })
          .chain((at) => fc.tuple(fc.constant(at), fc.integer({ min: 1, max: 255 }))),
        async ([at, flip]) => {
          const copy = mkdtempSync(join(tmpdir(), 'custody-log-flip-'))
          mkdirSync(join(copy, 'one'))
          const changed = Buffer.from(bytes)
          changed[at]! ^= flip
          writeFileSync(join(copy, 'one', segmentName(1)), changed)
          const kept = directory
          directory = copy
          expect(said(await all())).toEqual(['first'])
          directory = kept
          rmSync(copy, { recursive: true })
        },
      ),
      { numRuns: 60 },
    )
  })

  test('damage before later segments is an error, not an end', async () => {
    const recorder = await start({ segmentBytes: 64 * 1024 })
    for (let turn = 0; turn < 30; turn++) {
      say(recorder, 'q'.repeat(10_000))
      await recorder.recorded()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const file = join(directory, 'one', segmentName(1))
    const bytes = readFileSync(file)
    bytes[framesOf(bytes)[2]!.at + 100]! ^= 1
    writeFileSync(file, bytes)
    await expect(all()).rejects.toThrow(LogDamagedError)
  })

  test('what a new segment says of open sessions is true, whatever was written behind it', async () => {
    // Small segments, so that many begin while sessions and commands are open, as they do under load.
    const recorder = await start({ segmentBytes: 64 * 1024 })
    const sessions = Array.from({ length: 5 }, () => recorder.openSession(who, path))
    for (let turn = 0; turn < 60; turn++) {
      for (const session of sessions) {
        const id = recorder.record({ kind: 'command.started' }, session)
        session.open.add({ id, micros: 1 })
        recorder.record(
          { kind: 'output', command: id, recording: { state: 'o'.repeat(400) } },
          session,
        )
        if (turn % 3 !== 0) {
          recorder.record(
            { kind: 'command.completed', command: id, response: { status: 'ok' } },
            session,
          )
          for (const command of session.open) if (command.id === id) session.open.delete(command)
        }
      }
      await recorder.recorded()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const kept = directory
    const segments = listSegments(join(directory, 'one'))
    expect(segments.length).toBeGreaterThan(2)
    for (const last of segments) {
      // Switched off while `last` was the newest, at the end of each of its first frames.
      const bytes = readFileSync(join(directory, 'one', segmentName(last)))
      for (const { end } of framesOf(bytes, true).slice(0, 3)) {
        const copy = crashed()
        for (const later of segments.filter((one) => one > last))
          rmSync(join(copy, 'one', segmentName(later)))
        truncateSync(join(copy, 'one', segmentName(last)), end)
        const again = await openRecorder({
          directory: copy,
          recorder: 'one',
          reserveBytes: 0,
          consumers: [],
        })
        await again.close()
        directory = copy
        const events = await all()
        directory = kept
        for (const session of sessions) {
          const own = events.filter((event) => event.session?.equals(session.id))
          if (own.length === 0) continue
          expect(own.map(({ ordinal }) => ordinal)).toEqual(own.map((_, i) => i))
          const started = own
            .filter(({ kind }) => kind === 'command.started')
            .map(({ id }) => id.toString('hex'))
          const completed = own
            .filter(({ kind }) => kind === 'command.completed')
            .map(({ command }) => command!.toString('hex'))
          expect([...completed].sort()).toEqual([...started].sort())
          expect(own.at(-1)!.kind).toBe('session.closed')
        }
        rmSync(copy, { recursive: true })
      }
    }
  })

  test('killed between making a segment and saying what is open, it goes on from the one before', async () => {
    const recorder = await start()
    await leave(recorder)
    const copy = crashed()
    writeFileSync(join(copy, 'one', segmentName(2)), '')
    const again = await openRecorder({
      directory: copy,
      recorder: 'one',
      reserveBytes: 0,
      consumers: [],
    })
    await again.close()
    const kept = directory
    directory = copy
    const events = await all()
    directory = kept
    expect(events.filter(({ response }) => response?.status === 'unknown')).toHaveLength(1)
    rmSync(copy, { recursive: true })
  })
})

describe('bounds', () => {
  const fill = async (recorder: Recorder, turns: number) => {
    for (let turn = 0; turn < turns; turn++) {
      say(recorder, `${turn} ${'f'.repeat(10_000)}`)
      await recorder.recorded()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const place = join('one')

  test('retention frees only what every consumer has committed', async () => {
    const recorder = await start({
      segmentBytes: 64 * 1024,
      retentionBytesMax: 100 * 1024,
      consumers: ['ingest', 'siem'],
    })
    await fill(recorder, 60)
    const before = listSegments(join(directory, place))
    expect(before[0]).toBe(1)
    const reader = openReader({ directory, recorder: 'one' })
    let position = reader.position
    for (let batch = await reader.read(1 << 16); batch; batch = await reader.read(1 << 16))
      position = batch.next
    reader.close()
    await commitPosition(directory, 'ingest', 'one', position)
    await fill(recorder, 10)
    expect(listSegments(join(directory, place))[0]).toBe(1)
    await commitPosition(directory, 'siem', 'one', { segment: 3, offset: 0, sequence: 0 })
    await fill(recorder, 10)
    expect(listSegments(join(directory, place))[0]).toBe(3)
    expect(await committedPosition(directory, 'siem', 'one')).toMatchObject({ segment: 3 })
    expect(await committedPosition(directory, 'nobody', 'one')).toBeNull()
    // A reader from the beginning gets what is left, one at a freed place is told so.
    expect((await all())[0]!.sequence).toBeGreaterThan(0)
    await expect(all('one', { segment: 1, offset: 0, sequence: 0 })).rejects.toThrow(
      LogDamagedError,
    )
  })

  test('retention by age', async () => {
    const recorder = await start({ segmentBytes: 64 * 1024, retentionAgeMaxHours: 1 })
    await fill(recorder, 20)
    for (const segment of listSegments(join(directory, place)).slice(0, 2))
      utimesSync(join(directory, place, segmentName(segment)), 1, 1)
    await fill(recorder, 10)
    expect(listSegments(join(directory, place))[0]).toBe(3)
  })

  test('a log that may not grow refuses, and takes commands again when consumers have caught up', async () => {
    const states: (string | null)[] = []
    const recorder = await start({
      segmentBytes: 64 * 1024,
      retentionBytesMax: 64 * 1024,
      logBytesMax: 400 * 1024,
      consumers: ['ingest'],
      onStateChange: (problem) => states.push(problem?.code ?? null),
    })
    await fill(recorder, 45)
    expect(recorder.problem?.code).toBe('CUSTODY-LOG-005')
    // What was recorded is there all the same.
    expect(said(await all())).toHaveLength(45)
    await commitPosition(directory, 'ingest', 'one', {
      segment: listSegments(join(directory, place)).at(-1)!,
      offset: 0,
      sequence: 0,
    })
    while (recorder.problem) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(states).toEqual(['CUSTODY-LOG-005', null])
    await fill(recorder, 1)
    expect((await all()).filter(({ kind }) => kind === 'recorder.resumed')).toHaveLength(1)
  })

  test.each(['before', 'after'])(
    'one that takes no more takes no more, though it was full %s that and has room again',
    async (when) => {
      const states: (string | null)[] = []
      const recorder = await start({
        segmentBytes: 64 * 1024,
        retentionBytesMax: 64 * 1024,
        logBytesMax: 400 * 1024,
        consumers: ['ingest'],
        onStateChange: (problem) => states.push(problem?.message ?? null),
      })
      if (when === 'after') recorder.stopTaking('another has the name')
      else await fill(recorder, 45)
      if (when === 'before') recorder.stopTaking('another has the name')
      else {
        // What runs still is recorded, and the disk may be full then.
        const failing = pretendFull()
        say(recorder, 'lost')
        await expect(recorder.recorded('os')).rejects.toThrow(LogRefusedError)
        failing.mockRestore()
      }
      await commitPosition(directory, 'ingest', 'one', {
        segment: listSegments(join(directory, place)).at(-1)!,
        offset: 0,
        sequence: 0,
      })
      const timer = recorder as unknown as { resumeTimer: unknown }
      expect(timer.resumeTimer).not.toBeNull()
      while (timer.resumeTimer !== null) await new Promise((resolve) => setTimeout(resolve, 20))
      expect(recorder.problem?.message).toBe('another has the name')
      expect(states).not.toContain(null)
      // The log itself is sound again: what runs still can be closed.
      say(recorder, 'closing')
      await recorder.recorded('disk')
      const events = await all()
      expect(said(events).at(-1)).toBe('closing')
      expect(events.some(({ kind }) => kind === 'recorder.resumed')).toBe(false)
    },
  )
})

/**
 * A small file system of its own: the disk is really full. Only who may not mount one has to make do with writes that fail
 * as on a full disk.
 */
const canMount = process.getuid?.() === 0 && existsSync('/proc/mounts')

describe('a full disk', () => {
  const small = mkdtempSync(join(tmpdir(), 'custody-small-'))
  beforeAll(() => {
    if (canMount) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small])
  })
  afterAll(() => {
    if (canMount) execFileSync('umount', ['-l', small])
    rmSync(small, { recursive: true, force: true })
  })

  test('refuses with a clear error, loses nothing that it said was recorded, and takes commands again', async () => {
    const kept = directory
    directory = join(small, 'log')
    const states: (string | null)[] = []
    const recorder = await start({
      reserveBytes: 128 * 1024,
      segmentBytes: 64 * 1024,
      onStateChange: (problem) => states.push(problem?.code ?? null),
    })
    const ballast = join(small, 'ballast')
    const acknowledged: string[] = []
    let refused: unknown = null
    let failing: jest.SpyInstance | undefined
    for (let i = 0; i < 400 && refused === null; i++) {
      const text = `${i} ${'d'.repeat(8_000)}`
      say(recorder, text)
      try {
        await recorder.recorded(i % 2 ? 'disk' : 'os')
        acknowledged.push(text)
      } catch (error) {
        refused = error
      }
      if (i === 10) {
        writeFileSync(ballast, Buffer.alloc(500_000))
        if (!canMount) failing = pretendFull()
      }
    }
    expect(refused).toBeInstanceOf(LogRefusedError)
    expect(recorder.problem).not.toBeNull()
    expect(states[0]).toBe('CUSTODY-LOG-001')
    rmSync(ballast)
    failing?.mockRestore()
    while (recorder.problem) await new Promise((resolve) => setTimeout(resolve, 20))
    say(recorder, 'again')
    await recorder.recorded('disk')
    const texts = said(await all())
    expect(texts.filter((text) => acknowledged.includes(text))).toEqual(acknowledged)
    expect(texts.at(-1)).toBe('again')
    expect((await all()).some(({ kind }) => kind === 'recorder.resumed')).toBe(true)
    await recorder.close()
    directory = kept
  })
})

function pretendFull(): jest.SpyInstance {
  const fs = require('node:fs') as typeof import('node:fs')
  return jest.spyOn(fs, 'writeSync').mockImplementation(() => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  })
}

describe('frames', () => {
  test('any bytes are a header or none, never a failure', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(90), (bytes, at) => {
        const header = readFrameHeader(Buffer.from(bytes), at)
        expect(header === null || header.payloadBytes >= 0).toBe(true)
      }),
    )
  })
})

/** The frames in a segment's bytes. */
function framesOf(bytes: Buffer, preambles = false): { at: number; end: number; count: number }[] {
  const found: { at: number; end: number; count: number }[] = []
  for (let at = 0; ; ) {
    const header = readFrameHeader(bytes, at)
    if (header === null) return found
    const end = at + FRAME_HEADER_BYTES + header.payloadBytes
    if (header.type === EVENTS_FRAME)
      expect([
        ...messagesOf(bytes.subarray(at + FRAME_HEADER_BYTES, end), header.count),
      ]).toHaveLength(header.count)
    if (preambles || header.type === EVENTS_FRAME) found.push({ at, end, count: header.count })
    at = end
  }
}

describe('replicated', () => {
  /** What was told, in order. */
  function tell(recorder: Recorder, told: string[], name: string): void {
    recorder.whenRecorded('replicated', {
      recorded: (error) =>
        told.push(`${name} ${error === null ? 'stands' : (error as { code?: string }).code}`),
    })
  }

  test('is told when everything recorded before is acknowledged, in order, and not before it is written', async () => {
    const recorder = await start()
    let nudged = 0
    recorder.replicateBy({ msMax: 60_000, nudge: () => nudged++ })
    const told: string[] = []
    recorder.record({ kind: 'test' })
    tell(recorder, told, 'first')
    recorder.record({ kind: 'test' })
    expect(nudged).toBe(0)
    await recorder.recorded('os')
    expect(nudged).toBe(1)
    recorder.record({ kind: 'test' })
    tell(recorder, told, 'second')
    await recorder.recorded('os')
    const { nextSequence } = recorder.status()
    // What waited in one turn waits for all of it.
    recorder.replicatedThrough(nextSequence - 2)
    expect(told).toEqual([])
    recorder.replicatedThrough(nextSequence - 1)
    expect(told).toEqual(['first stands'])
    recorder.replicatedThrough(nextSequence)
    expect(told).toEqual(['first stands', 'second stands'])
    tell(recorder, told, 'third')
    await recorder.recorded('os')
    expect(told.at(-1)).toBe('third stands')
  })

  test('is told after its time that nobody acknowledged it; one behind it may still be', async () => {
    const recorder = await start()
    recorder.replicateBy({ msMax: 50, nudge() {} })
    const told: string[] = []
    recorder.record({ kind: 'test' })
    tell(recorder, told, 'first')
    await new Promise<void>((resolve) => {
      const looking = setInterval(() => {
        if (told.length === 0) return
        clearInterval(looking)
        resolve()
      }, 5)
    })
    expect(told).toEqual(['first CUSTODY-REPLICATION-001'])
    recorder.replicateBy({ msMax: 60_000, nudge() {} })
    recorder.record({ kind: 'test' })
    tell(recorder, told, 'second')
    await recorder.recorded('os')
    recorder.replicatedThrough(recorder.status().nextSequence)
    expect(told).toEqual(['first CUSTODY-REPLICATION-001', 'second stands'])
  })

  test('without anybody who replicates, and when the log closes, it does not stand', async () => {
    const recorder = await start()
    const told: string[] = []
    recorder.record({ kind: 'test' })
    tell(recorder, told, 'nobody')
    await recorder.recorded('os')
    expect(told).toEqual(['nobody CUSTODY-REPLICATION-002'])
    recorder.replicateBy({ msMax: 60_000, nudge() {} })
    recorder.record({ kind: 'test' })
    tell(recorder, told, 'closed')
    await recorder.close()
    expect(told.at(-1)).toBe('closed CUSTODY-LOG-003')
  })

  test('a shipper that has a problem for long refuses at once; one that has it no more does not', async () => {
    const recorder = await start()
    let problem: { code: string; message: string; sinceMs: number } | null = null
    const status = () => ({
      recorder: recorder.name,
      shippedSequence: 0,
      behindEvents: 0,
      behindBytes: 0,
      oldestUnshippedMs: null,
      events: 0,
      batches: 0,
      problem,
    })
    recorder.replicationStands('not reached yet')
    const replicated = replicate(recorder, 100, () => ({
      start() {},
      nudge() {},
      async stop() {},
      status,
    }))
    const until = async (condition: () => boolean) => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    // What was so before somebody was there to ship refuses nobody any more.
    expect(recorder.replicationProblem).toBeNull()
    problem = { code: 'X', message: 'no broker answers', sinceMs: 0 }
    await until(() => recorder.replicationProblem !== null)
    expect(recorder.replicationProblem).toMatchObject({ code: 'CUSTODY-REPLICATION-002' })
    problem = null
    await until(() => recorder.replicationProblem === null)
    await replicated.stop(0)
  })
})
