/** The short form of `npm run evasion -- --protocol mysql`: of the attempts each twelfth, and of what is ordinary. */
import { runMysqlEvasion } from './mysql'

test('nothing gets past a read-only policy at MariaDB, and nothing ordinary is in its way', async () => {
  const result = await runMysqlEvasion({ everyNth: 12 })
  expect(result.findings).toEqual([])
  expect(result).toMatchObject({ wronglyAllowed: 0, wronglyBlocked: 0, unproven: 0 })
  expect(result.statements).toBeGreaterThanOrEqual(50)
  expect(result.ordinary).toBeGreaterThanOrEqual(120)
}, 600_000)

test('nor at MySQL, where most of them mean the same', async () => {
  const result = await runMysqlEvasion({ everyNth: 12, server: 'mysql' })
  expect(result.findings).toEqual([])
  expect(result).toMatchObject({ wronglyAllowed: 0, wronglyBlocked: 0, unproven: 0 })
  expect(result.statements - result.elsewhere!).toBeGreaterThanOrEqual(30)
  expect(result.ordinary).toBeGreaterThanOrEqual(120)
}, 600_000)
