/** The whole check on MySQL but for drivers of other languages and dumps; `npm run canary -- --protocol mysql` has those. */
import { runCanary } from './canary'

jest.setTimeout(900_000)

test('no value gets out of a MySQL in any way, and none is kept', async () => {
  const { paths, leaks, unproven, places, findings } = await runCanary({
    protocol: 'mysql',
    short: true,
  })
  expect(findings).toEqual([])
  expect([leaks, unproven]).toEqual([0, 0])
  expect(paths).toBeGreaterThanOrEqual(540)
  expect(places).toBeGreaterThanOrEqual(10)
})

test('nor by what MySQL’s own server has and MariaDB’s has not', async () => {
  const { paths, leaks, unproven, findings } = await runCanary({
    ...{ protocol: 'mysql', server: 'mysql', only: 'MySQL’s own' },
    short: true,
  })
  expect(findings).toEqual([])
  expect([leaks, unproven]).toEqual([0, 0])
  expect(paths).toBeGreaterThanOrEqual(55)
})
