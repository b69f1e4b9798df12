/** What all channels have in common: text that is seen as it is, and is cut without harm. */
import { parseConfiguration } from '@custody/kit'
import { cut, line, visible } from './channel'
import { createLinks } from './links'
import { retryAfterMs } from './outbound'
import { World } from './testing/world'

test('characters that hide or turn text around are seen', () => {
  expect(visible('a\u202eb\u200bc\u0000d\u{e0041}\ue000\u2028')).toBe(
    'a\\u{202e}b\\u{200b}c\\u{0}d\\u{e0041}\\u{e000}\\u{2028}',
  )
  expect(visible('select\r\n\t1 -- ÄÖ 漢 🎉')).toBe('select\n\t1 -- ÄÖ 漢 🎉')
  expect(line('a\n\n b\u202ec')).toBe('a b\\u{202e}c')
})

test('a cut never halves a character, and says that it is one', () => {
  expect(cut('🎉🎉🎉', 4)).toEqual({ text: '🎉…', cut: true })
  expect(cut('🎉🎉', 4)).toEqual({ text: '🎉🎉', cut: false })
  for (let most = 2; most < 40; most++) {
    const { text } = cut('a🎉'.repeat(20), most)
    expect(text.length).toBeLessThanOrEqual(most)
    expect(Buffer.from(text).toString()).toBe(text)
  }
})

test('Retry-After in seconds, as a date, and as neither', () => {
  expect(retryAfterMs('2')).toBe(2000)
  expect(retryAfterMs('999999999')).toBe(15 * 60_000)
  expect(retryAfterMs(new Date(Date.now() + 5000).toUTCString())).toBeGreaterThan(3000)
  expect(retryAfterMs(new Date(0).toUTCString())).toBe(0)
  expect(retryAfterMs('soon')).toBeUndefined()
  expect(retryAfterMs(null)).toBeUndefined()
})

test('a link is opened by who sealed it, and by no other key, and not when any bit of it is another', async () => {
  const world = await World.make('')
  const links = createLinks(world.home)
  const link = {
    channel: 'email',
    request: '01a1fcb8-0000-7000-8000-000000000001',
    email: 'bob@example.com',
  }
  const token = links.seal(link)
  expect(links.open(token)).toEqual(link)
  expect(Buffer.from(token, 'base64url').includes('bob')).toBe(false)
  const bytes = Buffer.from(token, 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const other = Buffer.from(bytes)
    other[bit >> 3]! ^= 1 << (bit & 7)
    expect(() => links.open(other.toString('base64url'))).toThrow('none of ours')
  }
  for (const wrong of ['', 'x', '%', 'A'.repeat(2000)])
    expect(() => links.open(wrong)).toThrow('none of ours')
  await world.end()
})

test.each([
  ['url: "http://example.com/x"', /must be an https URL/],
  ['url: "https://user:secret@example.com/x"', /must be an https URL/],
  ['url: "ftp://127.0.0.1/x"', /must be an https URL/],
  ['url: "https://example.com/x", extra: 1', /unknown setting/],
])('a channel with %s is refused', (field, why) => {
  const text = `approvals: {channels: [{type: webhook, secret: {env: X}, ${field}}]}`
  expect(() => parseConfiguration(text)).toThrow(why)
})
