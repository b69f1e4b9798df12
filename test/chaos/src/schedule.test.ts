import { seeded } from '@custody/test-support'
import { type FaultKind, plan } from './schedule'

const kinds: FaultKind[] = [
  { name: 'kill a', part: 'a', durationMs: [0, 1000] },
  { name: 'pause a', part: 'a', durationMs: [500, 5000] },
  { name: 'kill b', part: 'b', durationMs: [0, 1000], weight: 2 },
  { name: 'cut a–b', part: 'a–b', durationMs: [500, 5000] },
]

test.each([1, 2, 3, 40, 977])(
  'a plan of seed %i is the same again, and keeps its bounds',
  (seed) => {
    const make = () =>
      plan({ kinds, faults: 50, spanMs: 60_000, random: seeded(seed), togetherMax: 2 })
    const planned = make()
    expect(make()).toEqual(planned)
    expect(planned).toHaveLength(50)
    for (const [i, fault] of planned.entries()) {
      const [min, max] = fault.kind.durationMs
      expect(fault.durationMs).toBeGreaterThanOrEqual(min)
      expect(fault.durationMs).toBeLessThanOrEqual(max)
      if (i > 0) expect(fault.atMs).toBeGreaterThanOrEqual(planned[i - 1]!.atMs)
      const under = planned.slice(0, i).filter((one) => one.atMs + one.durationMs > fault.atMs)
      expect(under.length).toBeLessThan(2)
      expect(under.filter((one) => one.kind.part === fault.kind.part)).toEqual([])
    }
  },
)

test('every kind comes once before one comes again, as often as it weighs', () => {
  const planned = plan({ kinds, faults: 10, spanMs: 60_000, random: seeded(5) })
  const names = planned.slice(0, 5).map(({ kind }) => kind.name)
  expect(names.toSorted()).toEqual(['cut a–b', 'kill a', 'kill b', 'kill b', 'pause a'])
})

test('other seeds make other plans', () => {
  const of = (seed: number) => plan({ kinds, faults: 10, spanMs: 60_000, random: seeded(seed) })
  expect(of(1)).not.toEqual(of(2))
})
