/** All attempts over SSH, in the tests as well. */
import { runSshEvasion } from './ssh'

test('nothing is changed over SSH by who may only look, and looking goes as without', async () => {
  const { findings, ...counts } = await runSshEvasion()
  expect(findings).toEqual([])
  expect(counts).toMatchObject({ wronglyAllowed: 0, unproven: 0, wronglyBlocked: 0 })
  expect(counts.statements).toBeGreaterThanOrEqual(150)
  expect(counts.ordinary).toBeGreaterThanOrEqual(35)
}, 900_000)
