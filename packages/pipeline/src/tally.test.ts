/** What tallies say of each other, compared with sets. */
import fc from 'fast-check'
import { addedIn, gapsOf, missingIn, rangesOf } from './compare'
import { BUCKET_EVENTS, Tally } from './tally'

const SEQUENCE = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: BUCKET_EVENTS - 20, max: BUCKET_EVENTS + 20 }),
  fc.integer({ min: 5 * BUCKET_EVENTS, max: 5 * BUCKET_EVENTS + 9 }),
)
const SET = fc.uniqueArray(SEQUENCE, { maxLength: 60 })

function tallyOf(sequences: readonly number[], due: (sequence: number) => boolean): Tally {
  const tally = new Tally()
  for (const sequence of sequences) tally.add(sequence, BigInt(sequence), true, due(sequence))
  return tally
}

const sorted = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b)

test('what is due above and not below is missing, and nothing else', () => {
  fc.assert(
    fc.property(SET, SET, SEQUENCE, (above, below, committed) => {
      const there = new Set(below)
      expect(
        sorted(
          missingIn(
            tallyOf(above, (one) => one < committed),
            tallyOf(below, () => false),
          ),
        ),
      ).toEqual(sorted(above.filter((one) => one < committed && !there.has(one))))
    }),
  )
})

test('what is below and not above is added, from where above begins to where it ends', () => {
  fc.assert(
    fc.property(SET, SET, (above, below) => {
      const tally = tallyOf(above, () => true)
      const there = new Set(above)
      expect(
        sorted(
          addedIn(
            tallyOf(below, () => false),
            tally,
            tally.first,
          ),
        ),
      ).toEqual(
        sorted(below.filter((one) => !there.has(one) && one >= tally.first && one <= tally.last)),
      )
    }),
  )
})

test('a hole is a sequence between the first and the last that no place has', () => {
  fc.assert(
    fc.property(
      SET.filter((one) => one.length > 0),
      SET,
      (one, other) => {
        const all = new Set([...one, ...other])
        const first = Math.min(...all)
        const last = Math.max(...all)
        const holes: number[] = []
        for (let at = first; at <= last; at++) if (!all.has(at)) holes.push(at)
        const tallies = [one, other]
          .filter((each) => each.length > 0)
          .map((each) => tallyOf(each, () => true))
        expect(rangesOf(gapsOf(tallies))).toEqual(rangesOf(holes))
      },
    ),
    { numRuns: 30 },
  )
})

test('a sequence that comes again is not new, and counted', () => {
  const tally = new Tally()
  expect(tally.add(7, 1n, true, true)).toBe(true)
  expect(tally.add(7, 1n, true, true)).toBe(false)
  expect(tally.add(7, 1n, true, true)).toBe(false)
  expect(tally.duplicates.get(7)).toBe(3)
  expect(tally.events).toBe(1)
})

test('ranges', () => {
  expect(rangesOf([5, 3, 4, 9, 4])).toEqual([
    { from: 3, to: 5 },
    { from: 9, to: 9 },
  ])
  expect(rangesOf([])).toEqual([])
})
