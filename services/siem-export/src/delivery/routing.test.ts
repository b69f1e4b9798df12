/** What of an event one destination gets. */
import { decodeMessage, encodeMessage } from '@custody/schemas'
import { path, settingsOf, who } from '../testing'
import { createRoute, REDACTED } from './routing'

const SECRET = 'tok-1234'

/** Has the secret wherever somebody may have put it. */
const event = decodeMessage(
  encodeMessage({
    ...{ kind: 'command.completed', recorder: 'proxy-g', who, path },
    statement: {
      ...{ language: 'http', interface: 'request', text: `GET /?t=${SECRET}`, textBytes: 18 },
      ...{ fingerprint: 'f', verbs: ['http:get'], understood: false, index: 0, count: 1 },
      textDigest: null,
      parameters: [{ name: 'a', type: 'text', value: SECRET, bytes: 8, cut: false }],
      objects: [{ kind: 'file', name: `/home/${SECRET}`, verb: 'http:get' }],
      problem: `near "${SECRET}"`,
      attributes: { 'x-api-key': SECRET },
    },
    response: {
      ...{ status: 'error', code: '500', message: `no ${SECRET}`, tag: null, rows: 0, bytes: 0 },
      ...{ digest: null, durationMicros: 1, firstByteMicros: null, columns: [], inputBytes: 0 },
      ...{ inputDigest: null, recordedBytes: 0 },
    },
    output: {
      ...{ stream: 'out', offset: 0, data: Buffer.from(SECRET), encoding: 'raw', omittedBytes: 0 },
    },
    audit: {
      ...{ action: 'search', subject: 's', query: `{"q":"${SECRET}"}`, results: 0 },
      durationMicros: 1,
    },
  }),
)

const taken = (redact: object) => {
  const settings = settingsOf({ type: 'http', url: 'http://127.0.0.1:1', redact })
  const found = createRoute(settings, 0).take(event)
  if (typeof found === 'string') throw new Error(found)
  return found
}
const textOf = (value: unknown) =>
  JSON.stringify(value, (_, one) => (one?.type === 'Buffer' ? String(Buffer.from(one.data)) : one))

test('without redaction everything is there, so that what follows can fail', () => {
  expect(textOf(taken({})).split(SECRET)).toHaveLength(9)
})

test('what fits a pattern is nowhere left', () => {
  const found = taken({ patterns: ['tok-[0-9]+'] })
  expect(textOf(found)).not.toContain(SECRET)
  expect(found.statement).toMatchObject({
    text: `GET /?t=${REDACTED}`,
    problem: `near "${REDACTED}"`,
    objects: [{ name: `/home/${REDACTED}` }],
    attributes: { 'x-api-key': REDACTED },
  })
  expect(found.output).toMatchObject({ omittedBytes: 8 })
})

test('fields: a statement goes with what quotes it, who and where only where it was said', () => {
  const { statement, who: person, path: way } = taken({ fields: ['statement', 'email'] })
  expect(statement).toMatchObject({ text: REDACTED, problem: REDACTED })
  expect(person).toMatchObject({ subject: 'ada', email: null, name: 'Ada', groups: ['dba'] })
  expect(way!.clientAddress).toBe('10.1.2.3')
  expect(taken({ fields: ['client-address'] }).path!.clientAddress).toBeNull()
  expect(taken({ fields: ['parameters'] }).statement!.parameters).toEqual([])
})
