/** What of the log in Kafka needs no broker: partitions, metadata, duplicates, shares, routes, what topics must promise. */
import { randomBytes } from 'node:crypto'
import { parseConfiguration } from '@custody/kit'
import { type Envelope, encodeMessage, readEnvelope } from '@custody/schemas'
import fc from 'fast-check'
import { decodeMetadata, encodeMetadata, METADATA_BYTES_MAX } from './commit-metadata'
import { Duplicates } from './duplicates'
import {
  decodeAssignment,
  encodeAssignment,
  encodeSubscription,
  ownedOf,
  share,
  shareWhole,
} from './membership'
import { murmur2, partitionOf } from './murmur2'
import { eventKey, ROUTES, routeOf, standingKey, topicsFor } from './routing'
import { shortcomings, wantedTopics } from './topics'

const settings = parseConfiguration('kafka: {brokers: ["h:1"], partitions: 6}').kafka!

describe('partitions', () => {
  // Of Kafka's own tests (org.apache.kafka.common.utils.UtilsTest).
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('murmur2 of %s', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash)
  })

  test('any key has one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 999 }), (key, n) => {
        const partition = partitionOf(key, n)
        expect(Number.isInteger(partition) && partition >= 0 && partition < n).toBe(true)
      }),
    )
  })
})

describe('what is noted beside a commit', () => {
  const recorder = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)
  const seen = fc.record({
    recorder,
    sequence: fc.maxSafeNat(),
    micros: fc.maxSafeNat(),
  })

  test('is read as it was written, recorders seen last first, within what Kafka takes', () => {
    fc.assert(
      fc.property(
        fc.option(fc.bigInt({ min: 0n, max: 2n ** 53n - 1n })),
        fc.array(seen, { maxLength: 60 }),
        (upTo, all) => {
          const text = encodeMetadata({ upTo, seen: all })
          expect(text.length).toBeLessThanOrEqual(METADATA_BYTES_MAX)
          const read = decodeMetadata(text)!
          expect(read.upTo).toBe(upTo)
          expect(read.seen).toEqual(all.slice(0, read.seen.length))
          if (text.length < METADATA_BYTES_MAX - 200) expect(read.seen).toHaveLength(all.length)
        },
      ),
    )
  })

  test('of others it is nothing, whatever it is', () => {
    for (const text of [null, '', 'x', 'custody1', 'custody1 !', 'custody1 5 a:b', 'custody2 5'])
      expect(decodeMetadata(text)).toBeNull()
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        for (const one of [text, `custody1 ${text}`]) {
          const read = decodeMetadata(one)
          if (read !== null) expect(encodeMetadata(read).startsWith('custody1 ')).toBe(true)
        }
      }),
    )
  })
})

describe('duplicates', () => {
  const envelope = (recorder: string, sequence: number, time: number) =>
    ({ recorder, sequence, time }) as Envelope

  test('only what was there before is one, however a shipper began again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 30 }), { maxLength: 20 }),
        fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 60 }),
        (backs, recorders) => {
          const duplicates = new Duplicates()
          const next = new Map<string, number>()
          const passed: string[] = []
          for (const [i, recorder] of recorders.entries()) {
            const at = next.get(recorder) ?? 0
            next.set(recorder, at + 1)
            // Sent again from some way back, in order, as after a crash.
            const from = Math.max(0, at - (backs[i] ?? 0))
            for (let sequence = from; sequence <= at; sequence++)
              if (!duplicates.isDuplicate(envelope(recorder, sequence, sequence)))
                passed.push(`${recorder}${sequence}`)
          }
          expect(new Set(passed).size).toBe(passed.length)
          expect(passed).toHaveLength(recorders.length)
        },
      ),
    )
  })

  test('nor however its recorder’s clock was put, even where another goes on from what was noted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 40 }),
        fc.array(fc.nat({ max: 40 }), { maxLength: 20 }),
        fc.array(fc.boolean(), { maxLength: 20 }),
        (times, backs, hands) => {
          let duplicates = new Duplicates()
          const passed: number[] = []
          for (const [at] of times.entries()) {
            if (hands[at]) {
              const noted = encodeMetadata({ upTo: null, seen: duplicates.known() })
              duplicates = new Duplicates(decodeMetadata(noted)!.seen)
            }
            for (let i = Math.max(0, at - (backs[at] ?? 0)); i <= at; i++)
              if (!duplicates.isDuplicate(envelope('a', i, times[i]!))) passed.push(i)
          }
          expect(passed).toEqual([...times.keys()])
        },
      ),
    )
  })

  test('whoever goes on from what was noted tells the same', () => {
    const first = new Duplicates()
    for (let i = 0; i < 5; i++) first.isDuplicate(envelope('a', i, i))
    const second = new Duplicates(first.known())
    expect(second.isDuplicate(envelope('a', 4, 4))).toBe(true)
    expect(second.isDuplicate(envelope('a', 5, 5))).toBe(false)
  })

  test('a recorder whose log was begun anew is none', () => {
    const duplicates = new Duplicates()
    expect(duplicates.isDuplicate(envelope('a', 100, 100))).toBe(false)
    expect(duplicates.isDuplicate(envelope('a', 0, 200))).toBe(false)
    expect(duplicates.isDuplicate(envelope('a', 1, 201))).toBe(false)
    expect(duplicates.isDuplicate(envelope('a', 1, 201))).toBe(true)
  })
})

describe('sharing partitions', () => {
  const members = fc
    .uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 9 })
    .chain((ids) =>
      fc.tuple(
        fc.constant(ids),
        fc.array(fc.array(fc.integer({ min: -2, max: 40 }), { maxLength: 12 }), {
          minLength: ids.length,
          maxLength: ids.length,
        }),
      ),
    )

  test('everything once, evenly, whatever members say that they have', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), members, (count, [ids, owned]) => {
        const shares = share(count, new Map(ids.map((id, i) => [id, owned[i]!])))
        const all = [...shares.values()].flat().sort((a, b) => a - b)
        expect(all).toEqual(Array.from({ length: count }, (_, i) => i))
        const sizes = [...shares.values()].map(({ length }) => length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('one more member takes what must move and no more', () => {
    const shares = share(
      12,
      new Map([
        ['a', [0, 1, 2, 3, 4, 5]],
        ['b', [6, 7, 8, 9, 10, 11]],
        ['c', []],
      ]),
    )
    expect(shares.get('a')).toEqual([0, 1, 2, 3])
    expect(shares.get('b')).toEqual([6, 7, 8, 9])
    expect(shares.get('c')).toEqual([4, 5, 10, 11])
  })

  test('whole: one has all of them, and keeps them whoever comes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), members, (count, [ids]) => {
        const none = shareWhole(count, new Map(ids.map((id) => [id, []])))
        const all = Array.from({ length: count }, (_, i) => i)
        const [one] = [...none].find(([, partitions]) => partitions.length > 0)!
        expect([...none.values()].flat()).toEqual(all)
        expect([...none.keys()].sort()).toEqual([...ids].sort())
        expect(shareWhole(count, new Map([...none, ['', []], ['zzz', []]])).get(one)).toEqual(all)
      }),
    )
  })

  test('messages of the group are read as they were written; others’ bytes are nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5000 }), { maxLength: 50 }), (partitions) => {
        expect(ownedOf(encodeSubscription('custody.events', partitions))).toEqual(partitions)
        expect(decodeAssignment(encodeAssignment('custody.events', partitions))).toEqual(partitions)
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(Array.isArray(ownedOf(Buffer.from(bytes)))).toBe(true)
      }),
    )
  })
})

describe('routes', () => {
  const message = (kind: string, more: object = {}) => encodeMessage({ kind, ...more })

  test('kinds that somebody acts on, and no others', () => {
    expect(ROUTES.filter(({ to }) => to === 'standing').map(({ kind }) => kind)).toEqual([
      'access.locked',
      'access.unlocked',
      'access.token-revoked',
      'access.sign-out',
      'recorder.started',
    ])
    expect(routeOf('approval.answered')).toBe('control')
    expect(routeOf('session.kill')).toBe('control')
    expect(routeOf('access.locked')).toBe('standing')
    expect(routeOf('command.started')).toBeNull()
    expect(routeOf('session.killed')).toBeNull()
  })

  test('a session’s events have one key; others go by their recorder', () => {
    const session = randomBytes(16)
    expect(eventKey(readEnvelope(message('x', { session })))).toEqual(session)
    expect(eventKey(readEnvelope(message('x', { recorder: 'proxy-a' }))).toString()).toBe('proxy-a')
  })

  test('standing events are keyed by whom they are about', () => {
    const key = (kind: string, access: object, attributes: Record<string, string> = {}) => {
      const bytes = message(kind, {
        access: { action: 'x', outcome: 'success', ...access },
        lifecycle: { state: 'changed', attributes },
      })
      return standingKey(bytes, readEnvelope(bytes)).toString()
    }
    // By what is said, not by how it is worded.
    const reason = 'Ada: gone: for good'
    expect(key('access.locked', { reason }, { identity: 'Ada: gone' })).toBe('identity:ada: gone')
    expect(key('access.unlocked', {}, { identity: 'ada' })).toBe('identity:ada')
    expect(key('access.token-revoked', { tokenId: 't1' })).toBe('token:t1')
    // Signing out is less than revoking, and does not take its place.
    expect(key('access.sign-out', { tokenId: 't1' }, { alone: 'true' })).toBe('token:t1:alone')
    expect(key('access.token-revoked', {})).toMatch(/^event:/)
    // Who has a recorder's name, for as long as there are recorders.
    const started = message('recorder.started', { recorder: 'proxy-a' })
    expect(standingKey(started, readEnvelope(started)).toString()).toBe('recorder:proxy-a')
  })
})

describe('what a topic must promise', () => {
  const [events] = wantedTopics(topicsFor('custody'), settings)
  const good = {
    partitions: 6,
    replicas: 3,
    configuration: new Map(Object.entries(events!.configuration)),
  }
  const less = (more: object) => shortcomings(events!, settings, { ...good, ...more }).problems
  const configured = (name: string, value: string) =>
    less({ configuration: new Map([...good.configuration, [name, value]]) })

  test('one as Custody makes it has no shortcomings', () => {
    expect(shortcomings(events!, settings, good)).toEqual({ problems: [], warnings: [] })
  })

  test('each that is less is named', () => {
    expect(less({ partitions: 5 })).toEqual(['has 5 partitions, not 6'])
    expect(less({ partitions: 7 })).toEqual([])
    expect(less({ replicas: 2 })).toEqual(['has 2 replicas, not 3'])
    expect(configured('min.insync.replicas', '1')).toHaveLength(1)
    expect(configured('unclean.leader.election.enable', 'true')).toHaveLength(1)
    expect(configured('cleanup.policy', 'compact')).toHaveLength(1)
    expect(configured('retention.ms', '1000')).toHaveLength(1)
    expect(configured('retention.ms', '-1')).toEqual([])
    expect(configured('retention.bytes', '1000000')).toHaveLength(1)
    expect(configured('max.message.bytes', '1048588')).toHaveLength(1)
  })
})
