/** Which request is answered now, whatever fails, copies, is refused by us or is never sent. */
import type { Command } from './evidence'
import { endsWithReady, Kind, PIPELINE_REQUESTS_MAX, type Request, Requests } from './requests'
import { WireError } from './wire'

/** Only which one it is matters here. */
function command(): Command {
  return { columns: undefined } as Command
}

/** Sends the requests, ten bytes each, and gives them back. */
function send(requests: Requests, ...kinds: Kind[]): Request[] {
  return kinds.map((kind) => {
    const hasCommand = kind === Kind.execute || kind === Kind.query
    const one = requests.make(kind, hasCommand ? [command()] : undefined)
    if (!one.isPassedOver) requests.add(one, sent)
    sent += 10
    if (kind === Kind.sync || kind === Kind.query) requests.endGroup()
    return one
  })
}

let sent = 0

beforeEach(() => {
  sent = 0
})

/** Kinds of what is left, as they are answered. */
function left(requests: Requests): Kind[] {
  const kinds: Kind[] = []
  while (!requests.isEmpty) {
    const one = requests.takeLocal() ?? requests.head()
    if (one === undefined) break
    kinds.push(one.kind)
    if (one.kind !== Kind.local) requests.shift()
  }
  return kinds
}

test('answers fit the requests in their order, and nothing else', () => {
  const requests = new Requests()
  const [parse, , execute] = send(requests, Kind.parse, Kind.bind, Kind.execute, Kind.sync)
  expect(requests.isIdle).toBe(false)
  expect(() => requests.answered(Kind.bind)).toThrow(WireError)
  expect(requests.answered(Kind.parse)).toBe(parse)
  expect(requests.command()).toBeUndefined()
  // Its rows may come at once with the answer to Bind.
  expect(requests.pending()).toBe(execute!.commands[0])
  requests.answered(Kind.bind)
  expect(requests.command()).toBe(execute!.commands[0])
  requests.shift()
  expect(requests.pending()).toBeNull()
  requests.shift()
  expect(requests.isIdle).toBe(true)
  expect(() => requests.answered(Kind.sync)).toThrow(WireError)
})

test('many requests ahead are answered one by one, and too many are refused', () => {
  const requests = new Requests()
  const all = send(requests, ...Array<Kind>(PIPELINE_REQUESTS_MAX).fill(Kind.execute))
  expect(() => send(requests, Kind.execute)).toThrow(WireError)
  for (const one of all.slice(0, 5000)) {
    expect(requests.head()).toBe(one)
    requests.shift()
  }
  send(requests, Kind.sync)
  expect(requests.newestCommand).toBe(all.at(-1)!.commands[0])
})

test('what follows an error is passed over up to Sync, and our own answers with it', () => {
  const requests = new Requests()
  const sentAhead = send(
    requests,
    ...[Kind.parse, Kind.local, Kind.bind, Kind.execute, Kind.sync, Kind.parse],
  )
  expect(requests.hasLocal).toBe(true)
  expect(requests.skipToSync()).toEqual([sentAhead[0], sentAhead[2], sentAhead[3]])
  expect(requests.hasLocal).toBe(false)
  expect(requests.isSkipping).toBe(false)
  expect(requests.head()).toBe(sentAhead[4])
})

test('without a Sync what is to come is passed over, until one comes', () => {
  const requests = new Requests()
  send(requests, Kind.parse, Kind.query)
  expect(requests.awaitsReady).toBe(true)
  expect(requests.skipToSync()).toHaveLength(2)
  // The target reads no query now: it says nothing until Sync.
  expect([requests.awaitsReady, requests.isSkipping, requests.isIdle]).toEqual([false, true, false])
  const [late, query] = send(requests, Kind.parse, Kind.query)
  expect([late!.isPassedOver, query!.isPassedOver, requests.isEmpty]).toEqual([true, true, true])
  expect(send(requests, Kind.sync, Kind.parse).map(({ isPassedOver }) => isPassedOver)).toEqual([
    false,
    false,
  ])
  expect(left(requests)).toEqual([Kind.sync, Kind.parse])
})

test('groups end with Sync and with a query', () => {
  const requests = new Requests()
  const groups = send(requests, Kind.parse, Kind.sync, Kind.query, Kind.parse).map(
    ({ group }) => group,
  )
  expect(groups).toEqual([0, 0, 1, 2])
  expect(requests.isInGroup).toBe(true)
  send(requests, Kind.sync)
  expect(requests.isInGroup).toBe(false)
  const ending = [Kind.parse, Kind.sync, Kind.query, Kind.functionCall, Kind.local].filter((kind) =>
    endsWithReady(requests.make(kind)),
  )
  expect(ending).toEqual([Kind.sync, Kind.query, Kind.functionCall])
})

test('our own answers have their turn between those of the target', () => {
  const requests = new Requests()
  const [first, local, second] = send(requests, Kind.query, Kind.local, Kind.query)
  expect(requests.takeLocal()).toBeNull()
  expect(requests.head()).toBe(first)
  requests.shift()
  expect(requests.isLocalNext).toBe(true)
  expect(requests.takeLocal()).toBe(local)
  expect(requests.hasLocal).toBe(false)
  expect(requests.head()).toBe(second)
})

test('what was not sent from some byte on is not asked', () => {
  const requests = new Requests()
  const all = send(requests, Kind.query, Kind.parse, Kind.local, Kind.execute, Kind.sync)
  expect(requests.retract(20)).toEqual(all.slice(2))
  expect(requests.hasLocal).toBe(false)
  expect(requests.isInGroup).toBe(true)
  expect(left(requests)).toEqual([Kind.query, Kind.parse])
  expect(requests.retract(0)).toEqual([])
  send(requests, Kind.query)
  requests.retract(0)
  expect([requests.isEmpty, requests.isInGroup]).toEqual([true, false])
})

test.each<[string, Kind[], boolean, Kind[]]>([
  ['sent before its data is not read', [Kind.sync, Kind.copyMark, Kind.sync], false, [Kind.sync]],
  ['sent behind it is', [Kind.copyMark, Kind.sync, Kind.query], false, [Kind.sync, Kind.query]],
  [
    'is read where no data came and it ended well',
    [Kind.sync, Kind.query],
    false,
    [Kind.sync, Kind.query],
  ],
  ['is not read where it failed before any data', [Kind.sync, Kind.query], true, [Kind.query]],
])('a Sync of COPY %s', (_, kinds, failed, expected) => {
  const requests = new Requests()
  send(requests, Kind.execute, ...kinds)
  requests.shift()
  requests.dropIgnoredSyncs(failed)
  expect(left(requests)).toEqual(expected)
})

test('marks are passed, and the newest command is the one that data belongs to', () => {
  const requests = new Requests()
  const [, , newest] = send(requests, Kind.execute, Kind.copyMark, Kind.execute, Kind.sync)
  expect(requests.newestCommand).toBe(newest!.commands[0])
  requests.shift()
  expect(requests.head()).toBe(newest)
  expect(new Requests().newestCommand).toBeNull()
})

test('columns that are described reach executes of that statement that are under way, up to Sync', () => {
  const requests = new Requests()
  const [describe, same, other, , later] = send(
    requests,
    ...[Kind.describe, Kind.execute, Kind.execute, Kind.sync, Kind.execute],
  )
  const prepared = {} as NonNullable<Request['prepared']>
  for (const one of [describe, same, later]) one!.prepared = prepared
  const columns = [{ name: 'a', type: 'text' }]
  requests.describe(prepared, columns)
  expect([same, other, later].map((one) => one!.commands[0]!.columns)).toEqual([
    columns,
    undefined,
    undefined,
  ])
})
