/** The whole corpus of SSH, in the tests as well. */
import { runSshParity } from './ssh'

test('what OpenSSH’s clients see through Custody is what they see without it', async () => {
  const { cases, different, differences, untrue, untruths } = await runSshParity()
  expect(differences).toEqual([])
  expect(different).toBe(0)
  expect(untruths).toEqual([])
  expect(untrue).toBe(0)
  expect(cases).toBeGreaterThanOrEqual(100)
}, 600_000)
