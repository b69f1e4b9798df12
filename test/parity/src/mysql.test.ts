/** The whole corpus of MySQL, in the tests as well. */
import { runMysqlParity } from './mysql'

test.each([
  ['MariaDB', 'mariadb'],
  ['MySQL', 'mysql'],
] as const)(
  'what clients of %s see through Custody is what they see without it',
  async (_name, server) => {
    const { cases, different, differences, untrue, untruths } = await runMysqlParity({ server })
    expect(differences).toEqual([])
    expect(different).toBe(0)
    expect(untruths).toEqual([])
    expect(untrue).toBe(0)
    expect(cases).toBeGreaterThanOrEqual(1500)
  },
  600_000,
)
