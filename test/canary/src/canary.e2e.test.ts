/**
 * The whole check but for drivers of other languages and dumps (`npm run canary` has those). While the gateway does not mask,
 * nearly every way must leak: a check that finds nothing here would find nothing later.
 */
import { runCanary } from './canary'
import { GATEWAY_MASKS } from './profiles'

jest.setTimeout(600_000)

test('no value gets out in any way, and none is kept', async () => {
  const { paths, leaks, unproven, places, findings, groups, byPlace } = await runCanary({
    short: true,
  })
  expect(findings.filter((line) => line.startsWith('shows nothing'))).toEqual([])
  expect(unproven).toBe(0)
  expect(paths).toBeGreaterThanOrEqual(850)
  expect(places).toBeGreaterThanOrEqual(10)
  if (GATEWAY_MASKS) {
    expect(findings).toEqual([])
    expect(leaks).toBe(0)
    return
  }
  for (const [group, { paths: ways, leaking }] of Object.entries(groups))
    if (group !== 'what the client says') expect([group, leaking]).toEqual([group, ways])
  for (const place of [
    'the events of the log',
    'files of log',
    'tables of the store',
    'what commands say',
    'custody timeline',
    'custody replay',
  ])
    expect([place, byPlace[place]! > 0]).toEqual([place, true])
})
