/** Addresses that are listened on, as ones to go to. */
import { createServer } from 'node:net'
import { freePort, listen, urlOf } from './ports'

test.each([
  ['127.0.0.1', 'http://127.0.0.1:1'],
  ['db.internal', 'http://db.internal:1'],
  ['0.0.0.0', 'http://127.0.0.1:1'],
  ['::', 'http://[::1]:1'],
  ['::1', 'http://[::1]:1'],
  ['fd00::2', 'http://[fd00::2]:1'],
])('%s is reached at %s', (host, url) => {
  expect(urlOf(host, 1)).toBe(url)
})

test('a free port can be listened on, and is none that systems give away by chance', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()))
  expect(new Set(ports).size).toBeGreaterThan(15)
  for (const port of ports) {
    expect(port).toBeGreaterThanOrEqual(20_000)
    expect(port).toBeLessThan(32_768)
  }
  const server = createServer()
  expect(await listen(server, { host: '127.0.0.1', port: ports[0]!, setting: 'test' })).toBe(
    ports[0],
  )
  await new Promise((resolve) => server.close(resolve))
})
