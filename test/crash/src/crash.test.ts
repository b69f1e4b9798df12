/** The short form of `npm run crash`. */
import { runCrash } from './crash'

test('killed at any moment, nothing ran unrecorded and nothing was shown unrecorded', async () => {
  const result = await runCrash({ kills: 6, seed: 7, liveMsMax: 1500 })
  expect(result).toMatchObject({
    kills: 6,
    missing: 0,
    unacknowledgedReleased: 0,
    duplicates: 0,
    notStored: 0,
    invented: 0,
    died: 0,
    findings: [],
  })
  // That the load was real, however slow the machine, and that crashes left commands open: it lives long enough for that.
  expect(result.statements).toBeGreaterThan(result.kills)
  expect(result.released).toBeGreaterThan(0)
  expect(result.outcomeUnknown).toBeGreaterThan(0)
})
