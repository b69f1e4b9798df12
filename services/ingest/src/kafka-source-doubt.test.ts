/** Which events of a slice the store is asked about; the slices are a script. */
import type { Kafka, Slice } from '@custody/event-log-kafka'
import { KafkaSource } from './kafka-source'
import type { Row } from './rows'
import type { EventStore } from './store'

/** Hands out slices of one partition; answers of which sequences the store was asked, which has `known`. */
async function asked(slices: readonly number[][], known: readonly number[] = []) {
  const stored = new Set(known)
  let at = 0
  const consumer = {
    next: async () =>
      ({ partition: 0, offsets: [], messages: [], again: false }) as unknown as Slice,
    assigned: () => [0],
    commit: async () => {},
  }
  const kafka = { topics: { events: 't' }, consumer: () => consumer } as unknown as Kafka
  const source = new KafkaSource({
    ...{ kafka, group: 'g', batchBytesMax: 1e6, batchEventsMax: 1000, lingerMs: 0 },
  })
  const all: number[][] = []
  const store = {
    insertsEnded: async () => {},
    present: async (rows: readonly Row[]) => {
      all[at] = rows.map(({ sequence }) => sequence)
      return new Set(rows.filter(({ sequence }) => stored.has(sequence)))
    },
  } as unknown as EventStore
  for (; at < slices.length; at++) {
    all[at] = []
    const rows = slices[at]!.map((sequence) => ({ recorder: 'a', sequence }) as Row)
    const lot = (await source.next(false))!
    const present = await source.present(lot, rows, store)
    const left = rows.filter((row) => !present.has(row))
    for (const { sequence } of left) stored.add(sequence)
    await source.commit(lot, left)
  }
  return all
}

test('of a recorder of which something new has come it is not asked, as long as its sequence rises', async () => {
  expect(await asked([[1, 2], [3, 4], [5]])).toEqual([[1, 2], [], []])
})

test('what falls behind what was seen is asked for, also when only the next slice has the rest of it', async () => {
  expect(await asked([[10, 11, 12], [10, 11], [12, 13], [14]])).toEqual([
    ...[[10, 11, 12], [10, 11], [12, 13], []],
  ])
})

test('what falls within a slice is asked for, and what was there already counts as seen', async () => {
  expect(await asked([[10], [11, 12, 11], [12], [13]])).toEqual([[10], [11, 12, 11], [12], []])
  expect(await asked([[10, 11], [11, 12], [12]], [11])).toEqual([[10, 11], [11, 12], [12]])
})

test('a log begun anew is asked for once', async () => {
  expect(await asked([[500], [100, 101], [102], [103]])).toEqual([[500], [100, 101], [], []])
})
