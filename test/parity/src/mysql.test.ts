/** The whole corpus of MySQL, in the tests as well. */
import { runMysqlParity } from './mysql'

test('what clients of MySQL see through Custody is what they see without it', async () => {
  const { cases, different, differences, untrue, untruths } = await runMysqlParity({
    server: 'mysql',
  })
  expect(differences).toEqual([])
  expect(different).toBe(0)
  expect(untruths).toEqual([])
  expect(untrue).toBe(0)
  expect(cases).toBeGreaterThanOrEqual(1500)
}, 600_000)

test('what clients of MariaDB see through Custody is what they see without it', async () => {
  const { cases, different, differences, untrue, untruths } = await runMysqlParity()
  expect(differences).toEqual([])
  expect(different).toBe(0)
  expect(untruths).toEqual([])
  expect(untrue).toBe(0)
  expect(cases).toBeGreaterThanOrEqual(1500)
}, 600_000)
