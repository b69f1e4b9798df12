/** The whole suite. */
import { runEvasion } from './evasion'

// Databases are made for each attempt; a slow machine must not look like a hole.
jest.setTimeout(900_000)

test('nothing gets past a read-only policy, and nothing ordinary is in its way', async () => {
  const result = await runEvasion()
  expect(result.findings).toEqual([])
  expect(result).toMatchObject({ wronglyAllowed: 0, wronglyBlocked: 0, unproven: 0 })
  expect(result.statements).toBeGreaterThanOrEqual(150)
  expect(result.ordinary).toBeGreaterThanOrEqual(1000)
})
