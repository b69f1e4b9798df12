/** What the masking section comes to when Custody starts, and when it is only tried; and how masks are told of. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecrets, type Home, parseConfiguration, prepareHome } from '@custody/kit'
import { createMasking } from '@custody/masking'
import { maskingOf } from './mask'
import { masksText } from './show'

let home: Home
beforeEach(() => {
  home = prepareHome(mkdtempSync(join(tmpdir(), 'custody-mask-')))
})
afterEach(() => rmSync(home.directory, { recursive: true }))

const start = (masking: string) =>
  createMasking(parseConfiguration(`masking: ${masking}`).masking, home, createSecrets(undefined))
const keyOf = async (masking: string) =>
  (await start(masking))!.open({ name: 'shop', labels: {} }, []).key

describe('the start', () => {
  test.each([
    [
      'an unknown detector',
      '{detectors: {use: [email, e-mail]}}',
      /no detector "e-mail"; there are .*email/,
    ],
    [
      'a name that every object has',
      '{detectors: {use: [constructor]}}',
      /no detector "constructor"/,
    ],
    [
      'a pattern that is none',
      '{detectors: {patterns: [{name: a, pattern: "("}]}}',
      /masking: .*a\b/,
    ],
    ['but not a key of 16 bytes', '{key: {literal: sixteen-bytes-..}}', null],
    ['a short key', '{key: {literal: fifteen-bytes..}}', /masking.key has fewer than 16 bytes/],
  ])('%s', async (_what, masking, why) => {
    if (why === null) await start(masking)
    else
      await expect(start(masking)).rejects.toMatchObject({
        code: 'CUSTODY-MASK-005',
        message: expect.stringMatching(why),
      })
  })

  test('makes a key for its owner alone, and keeps to it', async () => {
    const file = join(home.keys, 'masking.key')
    const key = await keyOf('{}')
    expect(key).toHaveLength(32)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const text = readFileSync(file, 'utf8')
    expect(await keyOf('{}')).toEqual(key)
    expect(readFileSync(file, 'utf8')).toBe(text)
    expect((await keyOf('{key: {literal: one of the settings}}')).toString()).toBe(
      'one of the settings',
    )
  })
})

describe('trying it', () => {
  const tried = async (masking: string, withKey: boolean) =>
    (await maskingOf(parseConfiguration(masking), home, withKey))
      ?.open({ name: 'shop', labels: {} }, [])
      .key.toString('hex')

  test('leaves no key behind, and takes the one that there is', async () => {
    expect(await tried('', true)).toBeUndefined()
    const own = await tried('masking: {}', true)
    expect(await tried('masking: {}', true)).not.toBe(own)
    expect(existsSync(join(home.keys, 'masking.key'))).toBe(false)
    const key = (await keyOf('{}')).toString('hex')
    expect(await tried('masking: {}', true)).toBe(key)
    expect(await tried('masking: {}', false)).not.toBe(key)
  })

  test('needs no secret where tokens do not matter', async () => {
    expect(await tried('masking: {key: {env: NOT_SET_ANYWHERE}}', false)).toHaveLength(88)
    await expect(tried('masking: {key: {env: NOT_SET_ANYWHERE}}', true)).rejects.toThrow(/NOT_SET/)
  })
})

describe('masks in words', () => {
  const mask = (rule: string, count: number, more: object = {}) => ({
    rule,
    column: `public.t.${rule}`,
    detector: null,
    action: 'redact',
    count,
    ...more,
  })

  test('by rule and detector, the most first', () => {
    expect(
      masksText([
        mask('detectors', 1, { detector: 'card' }),
        mask('emails', 4),
        mask('emails', 6, { column: 'public.u.email' }),
        mask('detectors', 1, { detector: 'card', column: null }),
      ]),
    ).toBe('masked 12 values (emails 10, detectors:card 2)')
  })

  test('rows left out, what is not kept of the statement, and what was shown are told apart', () => {
    expect(
      masksText([
        mask('emails', 1, { of: 'statement' }),
        mask('names', 1, { of: 'answer' }),
        mask('places', 3, { action: 'drop-row' }),
        mask('b', 2, { action: 'reveal' }),
        mask('a', 2, { action: 'reveal' }),
        mask('a', 9, { action: 'reveal' }),
      ]),
    ).toBe(
      'statement kept without 1 value (emails 1) · masked 1 value (names 1) · left out 3 rows (places 3) · shown in clear: public.t.a, public.t.b',
    )
    expect(masksText([mask('emails', 2)], 'statement')).toBe(
      'statement kept without 2 values (emails 2)',
    )
  })

  test('few words where there are many, and none where there is none', () => {
    expect(masksText(Array.from({ length: 20 }, (_, i) => mask(`r${i}`, 1)))).toMatch(
      /^masked 20 values \(r0 1, .*r7 1, 12 more\)$/,
    )
    expect(masksText([])).toBe('')
    expect(masksText(undefined)).toBe('')
  })
})
