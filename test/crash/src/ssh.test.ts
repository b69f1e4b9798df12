/** The short form of `npm run crash -- --protocol ssh`. */
import { runSshCrash } from './ssh'

test('killed at any moment, no command ran unrecorded and no end was shown unrecorded', async () => {
  const result = await runSshCrash({ kills: 5, seed: 7, liveMsMax: 2500 })
  expect(result).toMatchObject({
    kills: 5,
    missing: 0,
    unacknowledgedReleased: 0,
    duplicates: 0,
    died: 0,
    findings: [],
  })
  expect(result.statements).toBeGreaterThan(result.kills)
  expect(result.released).toBeGreaterThan(0)
}, 600_000)
