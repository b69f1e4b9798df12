/** Finds that somebody may see: told, left as they are, and no cover for what others find in them. */
import type { Home, MaskingSettings, Secrets } from '@custody/kit'
import { createMasking, type SessionRules } from './configured'

const CARD = '4111111111111111'
const MAIL = 'ada.lovelace@example.com'

async function rules(detectors: Partial<MaskingSettings['detectors']> = {}): Promise<SessionRules> {
  const settings = {
    rules: [],
    detectors: { action: 'redact', patterns: [], except: [], ...detectors },
    trusted: { functions: [], channels: [] },
    unproven: 'mask',
    copies: 'deny',
    key: { env: 'KEY' },
  } as unknown as MaskingSettings
  const secrets = { read: async () => 'k'.repeat(32) } as unknown as Secrets
  const masking = await createMasking(settings, {} as Home, secrets)
  return masking!.open({ name: 'web', labels: {} }, [])
}

/** `detector text`, with `!` before what is shown. */
function told(one: Pick<SessionRules, 'findText'>, text: string): string[] {
  const bytes = Buffer.from(text)
  return (one.findText(bytes) ?? []).map(
    ({ start, end, detector, isShown }) =>
      `${isShown ? '!' : ''}${detector} ${bytes.toString('utf8', start, end)}`,
  )
}

test('what is shown is told to be, beside what is not', async () => {
  const all = await rules()
  const text = `${MAIL} paid with ${CARD}`
  expect(told(all, text)).toEqual([`email ${MAIL}`, `card ${CARD}`])
  const showing = all.showing(new Set(['email']))
  expect(told(showing, text)).toEqual([`!email ${MAIL}`, `card ${CARD}`])
  expect(told(showing, 'nothing here')).toEqual([])
  expect(told(all.showing(new Set(['email', 'card'])), text)).toEqual([
    `!email ${MAIL}`,
    `!card ${CARD}`,
  ])
  // Others at the same time see what they saw.
  expect(told(all, text)).toEqual([`email ${MAIL}`, `card ${CARD}`])
})

test('what another finds in it is not', async () => {
  const patterns = [{ name: 'customer', pattern: 'customer [0-9]+ .*' }]
  const text = `customer 7 ${MAIL} ${CARD}`
  const showing = (await rules({ patterns })).showing(new Set(['customer']))
  expect(told(showing, text)).toEqual([`email ${MAIL}`, `card ${CARD}`])
})

test('its detectors are those of the settings, patterns too; none where it does not look', async () => {
  const patterns = [{ name: 'customer', pattern: 'customer [0-9]+' }]
  expect((await rules({ use: ['email', 'card'], patterns })).detectors).toEqual([
    'email',
    'card',
    'customer',
  ])
  const elsewhere = await rules({ resources: ['db'] })
  expect([elsewhere.detectors, told(elsewhere.showing(new Set()), MAIL)]).toEqual([[], []])
})
