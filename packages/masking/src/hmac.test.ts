/** The same as Node's own. */
import { createHmac, randomBytes } from 'node:crypto'
import { hmacSha256 } from './hmac'

test('gives what Node’s own gives, for keys and texts of any length', () => {
  for (const bytes of [1, 16, 32, 63, 64, 65, 200]) {
    const key = randomBytes(bytes)
    for (const text of ['', 'a', 'Ärmel 日本', 'x'.repeat(100), 'y'.repeat(5000), 'short'])
      expect(hmacSha256(key, text)).toEqual(createHmac('sha256', key).update(text).digest())
  }
})
