/** Delivery against a real log and a destination that does as it is told. */
import { createHash, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { listSegments, openReader, type Recorder } from '@custody/event-log'
import type { Home } from '@custody/kit'
import { encodeMessage, readEnvelope, uuidBytes, uuidText } from '@custody/schemas'
import type { ReceiptRange } from '@custody/siem-state'
import { deliveryTo, path, recorderIn, Told, temporaryHome, until, who } from '../testing'
import { Undelivered } from './destination'
import { forgetDestinations } from './log-source'
import type { EventSource, Slice } from './source'

let home: Home & { remove(): void }
let recorder: Recorder

beforeEach(async () => {
  home = temporaryHome()
  recorder = await recorderIn(home, { segmentBytes: 64 * 1024 })
})
afterEach(async () => {
  await recorder.close()
  home.remove()
})

/** Identifiers, in the order of the log. */
async function say(count: number, more: Record<string, unknown> = {}): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i++) {
    ids.push(uuidText(recorder.record({ kind: 'audit.read', who, path, ...more })))
    // Frames of many sizes.
    if (i % 7 === 0) await recorder.recorded('os')
  }
  await recorder.recorded('os')
  return ids
}

async function all(): Promise<string[]> {
  const ids: string[] = []
  const reader = openReader({ directory: home.log, recorder: 'proxy-g' })
  for (let read = await reader.read(1 << 20); read; read = await reader.read(1 << 20))
    ids.push(...read.messages.map((message) => uuidText(readEnvelope(message).id)))
  reader.close()
  return ids
}

test('everything arrives once, in order, and a receipt says so with a digest anybody can calculate', async () => {
  await say(300)
  const told = new Told()
  const { delivery, facts } = deliveryTo(home, told, { settings: { batch: { eventsMax: 20 } } })
  delivery.start()
  await until(() => told.taken.length >= 301)
  await delivery.stop()
  expect(told.taken).toEqual(await all())
  expect(Math.max(...told.batches.map(({ records }) => records.length))).toBeLessThanOrEqual(20)
  const ranges = facts.flatMap((fact) => (fact.type === 'acknowledged' ? fact.ranges : []))
  expect(ranges.reduce((sum, { acknowledged }) => sum + acknowledged, 0)).toBe(301)
  for (const { from, to, digest, origin } of ranges) {
    expect(origin).toBe('recorder:proxy-g')
    let calculated: Buffer = Buffer.alloc(32)
    for (const id of told.taken.slice(from, to))
      calculated = createHash('sha256').update(calculated).update(uuidBytes(id)).digest()
    expect(digest).toBe(calculated.toString('hex'))
  }
})

test('a failure of our own, such as a full disk, delays, skips nothing and sends nothing twice', async () => {
  await say(100)
  const expected = await all()
  const wrong = expected[24]!
  const told = new Told(({ records }) => {
    const index = records.findIndex(({ id }) => id === wrong)
    return index < 0 ? {} : { refused: [{ index, code: 'CUSTODY-SIEM-003', reason: 'no' }] }
  })
  let records = 0
  const { delivery, files } = deliveryTo(home, told, {
    settings: { batch: { eventsMax: 10 } },
    record: async () => {
      if (++records <= 2) throw new Error('the log takes nothing')
    },
    receiptsMs: 3_600_000,
  })
  const [save, putAside] = [files.save.bind(files), files.putAside.bind(files)]
  let saves = 0
  files.save = (state) => {
    if (++saves > 1 && saves < 4) throw new Error('ENOSPC')
    save(state)
  }
  let letters = 0
  files.putAside = (letter) => {
    if (++letters < 3) throw new Error('ENOSPC')
    putAside(letter)
  }
  delivery.start()
  await until(() => told.taken.includes(expected.at(-1)!))
  await delivery.stop()
  expect([letters, records > 2, saves > 4]).toEqual([3, true, true])
  expect(files.letterIds()).toEqual([wrong])
  expect(told.taken).toEqual(expected.filter((id) => id !== wrong))
})

/** One slice, handed out once, of a message whose schema nobody knows. */
class StrangeSource implements EventSource {
  private slice: Slice | null
  constructor(
    strange: Buffer,
    readonly schema: (fingerprint: string) => Promise<string | null>,
  ) {
    const message = Buffer.from(strange)
    message.fill(0xab, 2, 10)
    this.slice = {
      ...{ origin: 'partition:0', messages: [message], places: [7], next: 8, base: '7' },
      ...{ full: false, gapless: false },
    }
  }
  async start() {}
  async stop() {}
  async tend() {}
  async next() {
    const { slice } = this
    this.slice = null
    return slice
  }
  async commit() {
    return true
  }
  async lag() {
    return []
  }
  problem() {
    return null
  }
  async *range() {}
}

test('while schemas can’t be asked for, what needs one waits; what stays unreadable is not let go by sending it again', async () => {
  let asked = 0
  const strange = encodeMessage({ kind: 'audit.read' })
  const told = new Told()
  const { delivery, files } = deliveryTo(home, told, {
    source: new StrangeSource(strange, async () => {
      if (++asked < 3) throw new Error('Kafka is away')
      return null
    }),
  })
  delivery.start()
  await until(() => files.letterIds().length === 1)
  const id = randomUUID()
  files.ask({ id, by: 'me', what: 'dead-letters' })
  await until(() => files.answerOf(id)?.done === true)
  expect(files.answerOf(id)).toMatchObject({ sent: 0, aside: 1, leftOut: 0 })
  expect(files.letterIds()).toEqual([uuidText(readEnvelope(strange).id)])
  await delivery.stop()
})

test('while the log takes no receipts they wait, each range of them', async () => {
  const told = new Told()
  let refused = 0
  const ranges: ReceiptRange[] = []
  const { delivery } = deliveryTo(home, told, {
    record: async (fact) => {
      if (fact.type !== 'acknowledged') return
      if (refused < 3) {
        refused++
        // Delivery goes on meanwhile.
        const taken = told.taken.length
        await say(5)
        await until(() => told.taken.length >= taken + 5)
        throw new Error('the log takes nothing')
      }
      ranges.push(...fact.ranges)
    },
  })
  delivery.start()
  await say(5)
  await until(() => ranges.length > 0)
  await delivery.stop()
  expect(refused).toBe(3)
  ranges.sort((one, other) => one.from - other.from)
  expect(ranges[0]!.from).toBe(0)
  for (const [i, { from }] of ranges.slice(1).entries()) expect(from).toBe(ranges[i]!.to)
  expect(ranges.reduce((sum, { acknowledged }) => sum + acknowledged, 0)).toBe(told.taken.length)
})

test('an alert that was not delivered when the process died is said at its next start', async () => {
  const blocked = (subject: string) =>
    recorder.record({ kind: 'command.blocked', who: { ...who, subject, email: null }, path })
  const settings = { type: 'slack', url: { literal: 'https://x' }, from: 'beginning' }
  const o = { settings: { ...settings, batch: { eventsMax: 2 } } }
  const ids = ['ada', 'bea', 'cid', 'dan'].map((subject) => uuidText(blocked(subject)))
  await recorder.recorded('os')
  const told = new Told((_, n) => (n === 1 ? {} : new Promise<never>(() => {})))
  const first = deliveryTo(home, told, o)
  first.delivery.start()
  await until(() => told.batches.length === 2)
  // Never answered: as if the process were gone. What it knows is on disk.
  const other = new Told()
  const second = deliveryTo(home, other, o)
  second.delivery.start()
  await until(() => new Set([...told.taken, ...other.taken]).size >= ids.length)
  await second.delivery.stop()
  expect([...told.taken, ...other.taken]).toEqual(ids)
})

test('a state that a loss of power left unreadable: what is behind the position is delivered', async () => {
  await say(5)
  const told = new Told()
  const first = deliveryTo(home, told, { settings: { from: 'now' } })
  first.delivery.start()
  await until(() => first.delivery.status().counts.before >= 6)
  await first.delivery.stop()
  writeFileSync(`${first.files.directory}/state.json`, '')
  const fresh = await say(3)
  const second = deliveryTo(home, told, { settings: { from: 'now' } })
  second.delivery.start()
  await until(() => told.taken.length >= 3)
  await second.delivery.stop()
  expect(told.taken).toEqual(fresh)
})

test('an outage delays and loses nothing; a restart repeats one batch at most', async () => {
  await say(100)
  const told = new Told(() => {
    throw new Undelivered('away', 'retry')
  })
  const first = deliveryTo(home, told, { settings: { batch: { eventsMax: 10 } } })
  first.delivery.start()
  await until(() => told.batches.length > 3)
  expect(first.delivery.status().problem).toMatchObject({ code: 'CUSTODY-SIEM-001' })
  expect(
    told.batches.every(({ records }) => records[0]!.id === told.batches[0]!.records[0]!.id),
  ).toBe(true)
  await first.delivery.stop(50)
  // It took a batch, and the answer never came.
  let isLost = true
  told.answer = () => {
    if (!isLost) return {}
    isLost = false
    told.taken.push(...told.batches.at(-1)!.records.map(({ id }) => id))
    throw new Undelivered('no answer', 'retry')
  }
  const second = deliveryTo(home, told, { settings: { batch: { eventsMax: 10 } } })
  second.delivery.start()
  await until(() => new Set(told.taken).size >= 101)
  await second.delivery.stop()
  expect([...new Set(told.taken)]).toEqual(await all())
  expect(told.taken.length - 101).toBeLessThanOrEqual(10)
})

test.each([1, 2, 3, 4, 5])(
  'what is acknowledged within a frame is not sent again after a crash (%i)',
  async (n) => {
    for (let i = 0; i < 50; i++) recorder.record({ kind: 'audit.read', who, path })
    await recorder.recorded('os')
    let crash: (() => void) | null = null
    const told = new Told(async (_, batches) => {
      if (batches === n) await new Promise<void>((resolve) => (crash = resolve))
      return {}
    })
    const first = deliveryTo(home, told, { settings: { batch: { eventsMax: 8 } } })
    first.delivery.start()
    await until(() => crash !== null)
    // Never answered: as if the process were gone. What it knows is on disk.
    const before = told.taken.length
    const other = new Told()
    const second = deliveryTo(home, other, { settings: { batch: { eventsMax: 8 } } })
    second.delivery.start()
    await until(() => other.taken.length + before >= 51)
    await second.delivery.stop()
    expect([...told.taken.slice(0, before), ...other.taken]).toEqual(await all())
    crash!()
    await first.delivery.stop(50)
  },
)

test('items that fail by themselves come again alone, after what was asked for', async () => {
  await say(9)
  const told = new Told(({ records }, n) =>
    n === 1 && records.length > 2 ? { again: { indices: [1, 2], reason: 'busy', afterMs: 5 } } : {},
  )
  const { delivery } = deliveryTo(home, told)
  delivery.start()
  await until(() => told.taken.length >= 10)
  await delivery.stop()
  expect(told.batches[1]!.records.map(({ id }) => id)).toEqual(
    [1, 2].map((i) => told.batches[0]!.records[i]!.id),
  )
  expect([...told.taken].sort()).toEqual((await all()).sort())
})

test('a record that is refused is found by halves, put aside with its reason, and can be sent again', async () => {
  const ids = await say(40)
  const wrong = ids[17]!
  const told = new Told(({ records }) => {
    if (records.some(({ id }) => id === wrong)) throw new Undelivered('400: bad', 'refused')
    return {}
  })
  const { delivery, facts, files } = deliveryTo(home, told)
  delivery.start()
  await until(() => told.taken.length >= 40)
  await until(() => files.letterIds().length === 1)
  expect(files.letter(wrong)).toMatchObject({ reason: '400: bad' })
  expect(facts).toContainEqual(expect.objectContaining({ type: 'put-aside', id: wrong }))
  // Refused once more it stays; taken, it goes.
  const id = randomUUID()
  files.ask({ id, by: 'me', what: 'dead-letters' })
  await until(() => files.answerOf(id)?.done === true)
  expect(files.answerOf(id)).toMatchObject({ sent: 0, aside: 1 })
  expect(files.letterIds()).toEqual([wrong])
  told.answer = () => ({})
  const again = randomUUID()
  files.ask({ id: again, by: 'me', what: 'dead-letters' })
  await until(() => files.answerOf(again)?.done === true)
  expect(files.answerOf(again)).toMatchObject({ sent: 1, aside: 0 })
  expect(files.letterIds()).toEqual([])
  await delivery.stop()
  expect([...told.taken].sort()).toEqual((await all()).sort())
})

test('a destination that refuses everything has nothing put aside', async () => {
  await say(20)
  const told = new Told(({ records }) => ({
    refused: records.map((_, index) => ({ index, code: 'X', reason: 'no such index' })),
  }))
  const { delivery, files } = deliveryTo(home, told)
  delivery.start()
  await until(() => told.batches.length >= 3)
  expect(files.letterIds()).toEqual([])
  expect(delivery.status().problem).toMatchObject({ code: 'CUSTODY-SIEM-002' })
  told.answer = () => ({})
  await until(() => told.taken.length >= 21)
  await delivery.stop()
  expect(told.taken).toEqual(await all())
})

test('what can’t be read is put aside, and a record that is too large for its destination too', async () => {
  const large = (
    await say(1, {
      audit: {
        action: 'search',
        subject: 'x'.repeat(5000),
        query: null,
        results: 0,
        durationMicros: 0,
      },
    })
  )[0]!
  await say(3)
  const told = new Told()
  told.limits = { recordBytesMax: 3000 }
  const { delivery, files } = deliveryTo(home, told)
  delivery.start()
  await until(() => told.taken.length >= 4)
  await delivery.stop()
  expect(files.letterIds()).toEqual([large])
  expect(files.letter(large)!.reason).toMatch(/at most 3000/)
})

test('a slow destination holds so much of the log, lets go of the rest, and says which', async () => {
  const told = new Told(() => {
    throw new Undelivered('away', 'retry')
  })
  const { delivery, facts } = deliveryTo(home, told, {
    heldBytesMax: 256 * 1024,
    settings: { batch: { eventsMax: 10 } },
  })
  delivery.start()
  await until(() => told.batches.length > 0)
  while (listSegments(`${home.log}/proxy-g`).length < 8) await say(200)
  // Retention frees what no consumer holds.
  await until(async () => {
    await say(20)
    return (listSegments(`${home.log}/proxy-g`)[0] ?? 0) > 1
  })
  // Told while it is away still.
  await until(() => facts.some(({ type }) => type === 'lost'))
  told.answer = () => ({})
  const last = (await say(1))[0]!
  await until(() => told.taken.includes(last))
  await delivery.stop()
  const lost = facts.filter((fact) => fact.type === 'lost')
  expect(lost.length).toBeGreaterThan(0)
  const gone = lost.reduce((sum, { from, to }) => sum + to - from, 0)
  expect(delivery.status().counts.lost).toBe(gone)
  // What it has and what it was told that it has not is all there ever was.
  const sequence = Number((await read(last))!)
  expect(new Set(told.taken).size + gone).toBe(sequence + 1)
})

test('a destination that is new lets go of no more than it may hold, and says what', async () => {
  await recorder.close()
  recorder = await recorderIn(home, { segmentBytes: 64 * 1024, retentionBytesMax: 1 << 30 })
  while (listSegments(`${home.log}/proxy-g`).length < 8) await say(200)
  const told = new Told()
  const { delivery, facts } = deliveryTo(home, told, { heldBytesMax: 256 * 1024 })
  delivery.start()
  const last = (await say(1))[0]!
  await until(() => told.taken.includes(last) && facts.some(({ type }) => type === 'lost'))
  await delivery.stop()
  const gone = facts.reduce(
    (sum, fact) => sum + (fact.type === 'lost' ? fact.to - fact.from : 0),
    0,
  )
  expect(gone).toBeGreaterThan(0)
  expect(told.taken.length + gone).toBe((await read(last))! + 1)
})

async function read(id: string): Promise<number | null> {
  const reader = openReader({ directory: home.log, recorder: 'proxy-g' })
  for (let read = await reader.read(1 << 20); read; read = await reader.read(1 << 20))
    for (const message of read.messages) {
      const envelope = readEnvelope(message)
      if (uuidText(envelope.id) === id) return envelope.sequence
    }
  return null
}

test('receipts about receipts do not go on for ever', async () => {
  let receipts = 0
  const told = new Told()
  const { delivery } = deliveryTo(home, told, {
    record: async (fact) => {
      if (fact.type !== 'acknowledged') return
      receipts++
      recorder.record({ kind: 'siem.acknowledged' })
      await recorder.recorded('os')
    },
  })
  await say(5)
  delivery.start()
  await until(() =>
    told.batches.some(({ records }) => records.some(({ kind }) => kind === 'siem.acknowledged')),
  )
  const before = receipts
  await new Promise((resolve) => setTimeout(resolve, 3500))
  expect(receipts).toBe(before)
  await delivery.stop()
})

test('from now: what was before is not sent, and counted; a range is sent again when it is asked for', async () => {
  const old = await say(5)
  const told = new Told()
  const { delivery, files } = deliveryTo(home, told, { settings: { from: 'now' } })
  delivery.start()
  await until(() => delivery.status().counts.before >= 6)
  const fresh = await say(3)
  await until(() => told.taken.length >= 3)
  expect(told.taken).toEqual(fresh)
  const id = randomUUID()
  files.ask({ id, by: 'me', what: 'send', fromMicros: 0, toMicros: Date.now() * 1000 + 1e6 })
  await until(() => files.answerOf(id)?.done === true)
  expect(files.answerOf(id)).toMatchObject({ sent: 9 })
  expect(told.taken).toEqual(expect.arrayContaining(old))
  await delivery.stop()
})

test('reconciliation names what is missing, and sends just that', async () => {
  await say(30)
  const told = new Told()
  const { delivery, files } = deliveryTo(home, told)
  told.holdings = {
    async *ids() {
      yield* told.taken
    },
  }
  delivery.start()
  await until(() => told.taken.length >= 31)
  const [gone] = told.taken.splice(11, 1)
  const id = randomUUID()
  const range = { fromMicros: 0, toMicros: Date.now() * 1000 + 1e6 }
  files.ask({ id, by: 'me', what: 'reconcile', lookOnly: true, ...range })
  await until(() => files.answerOf(id)?.done === true)
  expect(files.answerOf(id)).toMatchObject({
    expected: 31,
    held: 30,
    missing: 1,
    named: [gone],
    sent: 0,
  })
  const again = randomUUID()
  files.ask({ id: again, by: 'me', what: 'reconcile', ...range })
  await until(() => files.answerOf(again)?.done === true)
  expect(files.answerOf(again)).toMatchObject({ missing: 1, sent: 1 })
  expect(told.taken.at(-1)).toBe(gone)
  expect(new Set(told.taken).size).toBe(31)
  await delivery.stop()
})

test('what is recorded while it is compared is not missing: it comes by itself', async () => {
  await say(10)
  const told = new Told()
  const { delivery, files } = deliveryTo(home, told)
  told.holdings = {
    async *ids() {
      yield* told.taken
      await say(10)
    },
  }
  delivery.start()
  await until(() => told.taken.length >= 11)
  const id = randomUUID()
  const toMicros = Date.now() * 1000 + 60e6
  files.ask({ id, by: 'me', what: 'reconcile', fromMicros: 0, toMicros })
  await until(() => files.answerOf(id)?.done === true)
  expect(files.answerOf(id)).toMatchObject({ expected: 11, missing: 0, sent: 0 })
  await until(() => told.taken.length >= 21)
  await delivery.stop()
  expect(told.taken).toEqual(await all())
})

test('a destination that is no more keeps nothing from being freed', async () => {
  await say(10)
  const told = new Told()
  const { delivery } = deliveryTo(home, told)
  delivery.start()
  await until(() => told.taken.length >= 11)
  await delivery.stop()
  expect(await forgetDestinations(home.log, ['other'])).toEqual(['one'])
  expect(await forgetDestinations(home.log, ['other'])).toEqual([])
})
