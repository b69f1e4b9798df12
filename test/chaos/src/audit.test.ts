/** The audit is only worth something if it can fail: each kind of loss, at each place, is made on purpose and has to be named. */
import { type Audit, audit, type Entry, type Evidence, holds } from './audit'

interface World {
  log: Map<string, Entry[]>
  kafka: Map<number, Entry[]>
  store: Entry[]
  target: Set<string>
  released: Set<string>
  refused: Set<string>
  held: Set<string>
  approved: Set<string>
}

/** Two sessions of one recorder, one statement each, and one of a second recorder; all as it should be. */
function world(): World {
  const log = new Map<string, Entry[]>()
  const kafka = new Map<number, Entry[]>([
    [0, []],
    [1, []],
  ])
  const store: Entry[] = []
  let n = 0
  const add = (recorder: string, session: string | null, ordinal: number, more: Partial<Entry>) => {
    const mine = log.get(recorder) ?? []
    log.set(recorder, mine)
    const id = (++n).toString(16).padStart(32, '0')
    const entry: Entry = {
      id,
      recorder,
      sequence: mine.length,
      session,
      ordinal,
      kind: 'session.opened',
      command: null,
      previous: mine.at(-1)?.digest ?? 'zeros',
      digest: `digest of ${id}`,
      tags: [],
      status: null,
      ...more,
    }
    mine.push(entry)
    kafka.get(session === 's2' ? 1 : 0)!.push({ ...entry })
    store.push({ ...entry, digest: null })
    return id
  }
  add('proxy-a', null, -1, { kind: 'recorder.started' })
  add('proxy-a', 's1', 0, {})
  add('proxy-a', 's2', 0, {})
  const one = add('proxy-a', 's1', 1, { kind: 'command.started', tags: ['ct-1-1-x'] })
  const two = add('proxy-a', 's2', 1, { kind: 'command.started', tags: ['ct-2-1-x'] })
  add('proxy-a', 's1', 2, { kind: 'command.completed', command: one, status: 'ok' })
  add('proxy-a', 's2', 2, { kind: 'command.completed', command: two, status: 'ok' })
  add('proxy-a', 's1', 3, { kind: 'session.closed' })
  add('query-a', null, -1, { kind: 'recorder.started' })
  add('query-a', null, -1, { kind: 'audit.read' })
  return {
    log,
    kafka,
    store,
    target: new Set(['ct-1-1-x', 'ct-2-1-x']),
    released: new Set(['ct-1-1-x', 'ct-2-1-x']),
    refused: new Set(['ct-r-1-x', 'ct-h-1-x']),
    held: new Set(['ct-h-1-x']),
    approved: new Set(),
  }
}

function judge(change: (w: World) => void): Audit {
  const w = world()
  change(w)
  return audit(w satisfies Evidence)
}

/** What is wrong, by place and problem. */
function said(a: Audit): string[] {
  return [...new Set(a.findings.map(({ place, problem }) => `${place}: ${problem}`))].sort()
}

const proxy = (w: World) => w.log.get('proxy-a')!
const remove = <T>(from: T[], at: number) => void from.splice(at, 1)
const again = <T>(of: T[], at: number) => void of.splice(at, 0, { ...of[at]! })
const swap = <T>(of: T[], a: number, b: number) => {
  ;[of[a], of[b]] = [of[b]!, of[a]!]
}

test('nothing is found where nothing is wrong', () => {
  const a = judge(() => {})
  expect(a.findings).toEqual([])
  expect(holds(a)).toBe(true)
  expect(a).toMatchObject({
    log: { events: 10, lost: 0, duplicated: 0, reordered: 0, changed: 0 },
    kafka: { events: 10, lost: 0, duplicated: 0, reordered: 0, changed: 0 },
    store: { events: 10, lost: 0, duplicated: 0, reordered: 0, changed: 0 },
    statements: 2,
    released: 2,
  })
})

test('without Kafka nothing is asked of it', () => {
  const a = audit({ ...world(), kafka: null })
  expect([a.kafka, a.findings]).toEqual([null, []])
})

describe('an event is removed', () => {
  // Each of them, the first and the last as well.
  test.each([0, 1, 2, 3, 4, 5, 6, 7])('from the local log, number %i', (n) => {
    const a = judge((w) => remove(proxy(w), n))
    expect(a.log.lost).toBe(1)
    expect(a.findings.filter(({ problem }) => problem === 'lost')).toEqual([
      { place: 'log', problem: 'lost', detail: expect.stringContaining(`proxy-a ${n} `) },
    ])
    expect(holds(a)).toBe(false)
  })

  test.each([
    [0, 0],
    [0, 3],
    [1, 0],
    [1, 2],
  ])('from Kafka, partition %i, place %i', (partition, at) => {
    let gone = ''
    const a = judge((w) => {
      gone = w.kafka.get(partition)![at]!.id
      remove(w.kafka.get(partition)!, at)
    })
    expect(a.findings).toEqual([
      { place: 'kafka', problem: 'lost', detail: expect.stringContaining(gone) },
    ])
    expect([a.kafka!.lost, holds(a)]).toEqual([1, false])
  })

  test.each([0, 2, 7, 9])('from the store, number %i', (n) => {
    let gone = ''
    const a = judge((w) => {
      gone = w.store[n]!.id
      remove(w.store, n)
    })
    expect(a.findings.filter(({ problem }) => problem === 'lost')).toEqual([
      { place: 'store', problem: 'lost', detail: expect.stringContaining(gone) },
    ])
    expect([a.store.lost, holds(a)]).toEqual([1, false])
  })

  test('everywhere: its neighbours still know of it', () => {
    const a = judge((w) => {
      remove(proxy(w), 4)
      remove(w.kafka.get(1)!, 1)
      remove(w.store, 4)
    })
    expect(a.findings).toContainEqual({
      place: 'log',
      problem: 'lost',
      detail: 'proxy-a 4, which no place has',
    })
    // And so do the target and the client.
    expect(a).toMatchObject({
      unrecordedLog: 1,
      unrecordedStore: 1,
      unrecordedReleasedLog: 1,
      unrecordedReleasedStore: 1,
    })
    expect(holds(a)).toBe(false)
  })

  test('what retention freed is not lost', () => {
    const w = world()
    w.log.set('proxy-a', w.log.get('proxy-a')!.slice(3))
    const a = audit({ ...w, freed: new Map([['proxy-a', 3]]) })
    expect(a.log.lost).toBe(0)
    expect(a.findings).toEqual([])
  })
})

describe('an event is there twice', () => {
  test.each([0, 3, 7])('in the local log, number %i', (n) => {
    const a = judge((w) => again(proxy(w), n))
    expect(a.log.duplicated).toBe(1)
    expect(said(a)).toContain('log: duplicated')
    expect(holds(a)).toBe(false)
  })

  test.each([
    ['beside the first', 1],
    ['behind later ones', 5],
  ])('in Kafka, %s: counted, no promise broken', (_, at) => {
    const a = judge((w) => {
      const queue = w.kafka.get(0)!
      queue.splice(at + 1, 0, { ...queue[1]! })
    })
    expect(a.kafka).toMatchObject({ duplicated: 1, lost: 0, reordered: 0 })
    expect(said(a)).toEqual(['kafka: duplicated'])
    expect(holds(a)).toBe(true)
  })

  test.each([0, 4, 9])('in the store, number %i', (n) => {
    let twice = ''
    const a = judge((w) => {
      twice = w.store[n]!.id
      again(w.store, n)
    })
    expect(a.store.duplicated).toBe(1)
    expect(a.findings).toEqual([
      { place: 'store', problem: 'duplicated', detail: expect.stringContaining(twice) },
    ])
    expect(holds(a)).toBe(false)
  })
})

describe('two events are swapped', () => {
  test('in the local log', () => {
    const a = judge((w) => swap(proxy(w), 3, 4))
    expect(a.log.reordered).toBe(1)
    expect(said(a)).toContain('log: reordered')
    expect(holds(a)).toBe(false)
  })

  test('in the local log, within one session', () => {
    const a = judge((w) => swap(proxy(w), 3, 5))
    expect(a.log.reordered).toBeGreaterThan(0)
    expect(holds(a)).toBe(false)
  })

  test('in Kafka', () => {
    const a = judge((w) => swap(w.kafka.get(1)!, 1, 2))
    expect(a.kafka).toMatchObject({ reordered: 1, lost: 0, duplicated: 0 })
    expect(said(a)).toEqual(['kafka: reordered'])
    expect(holds(a)).toBe(false)
  })

  test('in the store: each says it is the other', () => {
    const a = judge((w) => {
      const [one, other] = [w.store[3]!, w.store[4]!]
      w.store[3] = { ...one, sequence: other.sequence }
      w.store[4] = { ...other, sequence: one.sequence }
    })
    expect(a.store.reordered).toBe(2)
    expect(said(a)).toContain('store: reordered')
    expect(holds(a)).toBe(false)
  })

  test('a session that goes on in another partition', () => {
    const a = judge((w) => w.kafka.get(0)!.push(w.kafka.get(1)!.pop()!))
    expect(a.kafka!.reordered).toBe(1)
    expect(a.findings[0]!.detail).toMatch(/its session began in partition 1/)
    expect(holds(a)).toBe(false)
  })

  test('an event that is late in its own recorder, of no session', () => {
    const a = judge((w) => {
      const queue = w.kafka.get(0)!
      const at = queue.findIndex(({ kind }) => kind === 'audit.read')
      swap(queue, at, at - 1)
    })
    expect([a.kafka!.reordered, holds(a)]).toEqual([1, false])
  })
})

describe('an event is changed', () => {
  test('in the local log: what follows it does not fit', () => {
    const a = judge((w) => {
      proxy(w)[3] = { ...proxy(w)[3]!, digest: 'another' }
    })
    expect(a.log.changed).toBe(1)
    expect(said(a)).toEqual(['kafka: changed', 'log: changed'])
    expect(holds(a)).toBe(false)
  })

  test('in Kafka', () => {
    const a = judge((w) => {
      w.kafka.get(1)![1] = { ...w.kafka.get(1)![1]!, digest: 'another' }
    })
    expect([said(a), holds(a)]).toEqual([['kafka: changed'], false])
  })

  test.each([
    ['kind', 'command.completed'],
    ['session', 's9'],
    ['previous', 'another'],
    ['tags', ['ct-9-9-x']],
  ] as const)('in the store: its %s', (field, value) => {
    const a = judge((w) => {
      w.store[3] = { ...w.store[3]!, [field]: value }
    })
    expect(said(a)).toContain('store: changed')
    expect(holds(a)).toBe(false)
  })

  test('two events with one place in the chain', () => {
    const a = judge((w) => {
      w.store.push({ ...w.store[9]!, id: 'f'.repeat(32), previous: 'another' })
    })
    expect(said(a)).toContain('log: changed')
    expect(holds(a)).toBe(false)
  })
})

describe('what ran and what was seen', () => {
  test('ran, and nothing has an event of it', () => {
    const a = judge((w) => w.target.add('ct-9-9-x'))
    expect(a).toMatchObject({ unrecordedLog: 1, unrecordedStore: 1 })
    expect(holds(a)).toBe(false)
  })

  test('seen to complete, and recovery says that the outcome is unknown', () => {
    const a = judge((w) => {
      for (const entries of [proxy(w), w.kafka.get(0)!, w.store])
        for (const entry of entries)
          if (entry.session === 's1' && entry.status === 'ok') entry.status = 'unknown'
    })
    expect(a).toMatchObject({ unrecordedReleasedLog: 1, outcomeUnknown: 1 })
    expect(holds(a)).toBe(false)
  })

  test('refused, and ran', () => {
    const a = judge((w) => w.target.add('ct-r-1-x'))
    expect(a.refusedButRan).toBe(1)
    expect(said(a)).toContain('target: untrue')
    expect(holds(a)).toBe(false)
  })

  test('held, never approved, and ran', () => {
    const a = judge((w) => w.target.add('ct-h-1-x'))
    expect([a.heldButRan, holds(a)]).toEqual([1, false])
  })

  test('completed by the record, and never ran', () => {
    const a = judge((w) => w.target.delete('ct-1-1-x'))
    expect([a.completedButNotRun, holds(a)]).toEqual([1, false])
  })
})

test('of many findings the first are told and all are counted', () => {
  const a = judge((w) => w.store.splice(0, 8))
  expect([a.store.lost, a.findingsCut]).toEqual([8, false])
  const many = judge((w) => {
    for (let i = 0; i < 100; i++) w.store.push({ ...w.store[0]! })
  })
  expect([many.store.duplicated, many.findings.length, many.findingsCut]).toEqual([100, 20, true])
  expect(holds(many)).toBe(false)
})
