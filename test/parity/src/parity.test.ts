/** The whole corpus, in the tests as well: it takes seconds. */
import { runParity } from './parity'

test('what comes back through Custody is what comes back without it, byte for byte', async () => {
  const { cases, different, differences, untrue, untruths } = await runParity()
  expect(differences).toEqual([])
  expect(different).toBe(0)
  // And the record holds exactly what the client got, command by command.
  expect(untruths).toEqual([])
  expect(untrue).toBe(0)
  expect(cases).toBeGreaterThanOrEqual(200)
})
