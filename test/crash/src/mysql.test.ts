/** The short form of `npm run crash -- --protocol mysql`. */
import { runMysqlCrash } from './mysql'

test('killed at any moment, nothing ran at MariaDB unrecorded and nothing was shown unrecorded', async () => {
  const result = await runMysqlCrash({ kills: 5, seed: 7, liveMsMax: 1500 })
  expect(result).toMatchObject({
    kills: 5,
    missing: 0,
    unacknowledgedReleased: 0,
    duplicates: 0,
    died: 0,
    findings: [],
  })
  // That the load was real, however slow the machine, and that crashes left commands open.
  expect(result.statements).toBeGreaterThan(result.kills)
  expect(result.released).toBeGreaterThan(0)
  expect(result.outcomeUnknown).toBeGreaterThan(0)
}, 600_000)
