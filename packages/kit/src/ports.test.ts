/** Addresses that are listened on, as ones to go to. */
import { urlOf } from './ports'

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
