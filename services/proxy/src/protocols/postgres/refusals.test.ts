/** What drivers see of a refusal: severity, SQLSTATE and, in the hint, our code. */
import { CustodyError } from '@custody/kit'
import { commandRefused, notice, sessionEnded, signInRefused } from './refusals'
import { Backend, readErrorFields } from './wire'

const IDLE = 0x49

/** Its type, and the fields that matter. */
function read(bytes: Buffer) {
  const end = 1 + bytes.readInt32BE(1)
  const fields = readErrorFields(bytes, 5, end)
  const [severity, sqlstate, text, hint] = ['S', 'C', 'M', 'H'].map((one) => fields.get(one))
  return { type: bytes[0], severity, sqlstate, text, hint, rest: bytes.subarray(end) }
}

test.each([
  ['CUSTODY-ACCESS-001', '28P01'],
  ['CUSTODY-ACCESS-003', '53300'],
  ['CUSTODY-LOG-003', '53100'],
  ['CUSTODY-PG-005', '08P01'],
] as const)('whoever is not let in for %s is told %s', (code, sqlstate) => {
  expect(read(signInRefused(new CustodyError(code, 'no')))).toMatchObject({
    ...{ type: Backend.errorResponse, severity: 'FATAL', sqlstate, text: 'custody: no' },
    hint: expect.stringMatching(new RegExp(`^${code}: .`)),
  })
})

test('an error of nobody’s is one of the protocol', () => {
  const refused = {
    severity: 'FATAL',
    sqlstate: '08P01',
    hint: 'CUSTODY-PG-003: see docs/errors.md',
  }
  expect(read(signInRefused(new Error('odd')))).toMatchObject({ ...refused, text: 'custody: odd' })
  const system = Object.assign(new Error('gone'), { code: 'ECONNRESET' })
  expect(read(signInRefused(system))).toMatchObject(refused)
})

test.each([
  ['CUSTODY-POLICY-002', '42501'],
  ['CUSTODY-POLICY-005', '57014'],
  ['CUSTODY-REPLICATION-001', '58030'],
  ['CUSTODY-LOG-001', '53100'],
])('a command that is refused for %s ends with %s', (code, sqlstate) => {
  const refused = read(commandRefused(code, 'no', null))
  expect(refused).toMatchObject({
    ...{ type: Backend.errorResponse, severity: 'ERROR', sqlstate },
    ...{ text: 'custody refused the command: no', hint: `${code}: see docs/errors.md` },
  })
  expect(refused.rest).toHaveLength(0)
})

test('where the client waits for ReadyForQuery, it follows', () => {
  const { rest } = read(commandRefused('CUSTODY-POLICY-002', 'no', IDLE))
  expect([...rest]).toEqual([Backend.readyForQuery, 0, 0, 0, 5, IDLE])
})

test.each([
  ['CUSTODY-SESSION-001', undefined, '57P05'],
  ['CUSTODY-SESSION-002', undefined, '08006'],
  ['CUSTODY-TARGET-003', undefined, '08006'],
  ['CUSTODY-PG-004', undefined, '08P01'],
  ['CUSTODY-LOG', undefined, '08000'],
  ['CUSTODY-LOG-003', '53100', '53100'],
])('a session that ends for %s says so', (code, asked, sqlstate) => {
  expect(read(sessionEnded(code, 'over', asked))).toMatchObject({
    ...{ severity: 'FATAL', sqlstate, text: 'custody: over', hint: code },
  })
})

test('a notice is no error', () => {
  expect(read(notice('waiting', 'for bo'))).toMatchObject({
    ...{ type: Backend.noticeResponse, severity: 'NOTICE', sqlstate: '00000' },
    ...{ text: 'waiting', hint: 'for bo' },
  })
  expect(read(notice('waiting')).hint).toBeUndefined()
})
