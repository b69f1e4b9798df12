/** The short form of `npm run chaos`: a few faults of as many kinds, in a system with all its parts. */
import { keeps, runChaos } from './chaos'

test('faults everywhere: nothing is lost, nothing is there twice, nothing is out of order', async () => {
  const result = await runChaos({ form: 'cluster', faults: 10, seconds: 40, seed: 7, clients: 4 })
  expect(result).toMatchObject({
    findings: [],
    faults: 10,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    changed: 0,
    unrecorded: 0,
    unrecordedReleased: 0,
    refusedButRan: 0,
    heldButRan: 0,
    completedButNotRun: 0,
    deadLetters: 0,
  })
  expect(keeps(result)).toBe(true)
  // That there was something to lose, whatever the machine.
  expect(result.kinds).toBeGreaterThanOrEqual(6)
  expect(result.released).toBeGreaterThan(result.faults)
  expect(result.events).toBeGreaterThan(result.released)
}, 900_000)
