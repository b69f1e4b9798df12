/** What is left of errors and notices: PostgreSQL's words, names, and what the client has written; nothing of the data. */
import { type Told, withoutData, withoutDataIn, withoutPayload } from './messages'
import { message, readErrorFields } from './wire'

const told = (sensitive: Told['sensitive'], written = '', secrets: string[] = []): Told => ({
  sensitive,
  written,
  secrets,
})

function left(fields: Record<string, string>, as: Told, mask = (_: Buffer): Buffer | null => null) {
  const body = `${Object.entries(fields)
    .map(([code, value]) => code + value)
    .join('\0')}\0\0`
  const bytes = message(0x45, Buffer.from(body))
  const other = withoutDataIn(bytes, 0, bytes.length, as, mask)
  return other === null ? null : Object.fromEntries(readErrorFields(other, 5, other.length))
}

test('values between quotation marks go, those that the client wrote stay', () => {
  expect(
    withoutData(
      'invalid input syntax for type integer: "Ada"',
      told('data', 'select name::int from c'),
      new Set(),
    ),
  ).toBe('invalid input syntax for type integer: "[masked]"')
  expect(
    withoutData('column "emial" does not exist', told('data', 'select emial'), new Set()),
  ).toBe('column "emial" does not exist')
  expect(withoutData('x "a" b "unclosed Ada', told('data'), new Set())).not.toContain('Ada')
  expect(withoutData('x "Ada "" Bo" y', told('data'), new Set())).not.toMatch(/Ada|Bo/)
})

test('what the client wrote is no excuse for a constant that is kept out', () => {
  const secret = told('data', "select 'Ada'::int", ['Ada'])
  expect(withoutData('invalid input syntax: "Ada"', secret, new Set())).not.toContain('Ada')
})

test('names stay where the message gives them as such; details go', () => {
  expect(
    left(
      {
        S: 'ERROR',
        C: '23505',
        M: 'duplicate key value violates unique constraint "c_email_key"',
        D: 'Key (email)=(ada@example.com) already exists.',
        n: 'c_email_key',
        t: 'c',
      },
      told('data'),
    ),
  ).toEqual({
    S: 'ERROR',
    C: '23505',
    M: 'duplicate key value violates unique constraint "c_email_key"',
    n: 'c_email_key',
    t: 'c',
  })
})

test('what code in the database says is left out whole', () => {
  expect(
    left(
      {
        S: 'NOTICE',
        C: '00000',
        M: 'it is Ada',
        W: 'PL/pgSQL function f() line 1 at RAISE',
        c: 'Ada',
      },
      told('code'),
    ),
  ).toEqual({ S: 'NOTICE', C: '00000', M: 'SQLSTATE 00000: [masked]' })
  expect(left({ S: 'ERROR', C: 'P0001', M: 'Ada' }, told('code'))).toMatchObject({
    M: 'raised by code in the database: [masked]',
  })
  expect(
    left({ S: 'NOTICE', C: '00000', M: 'relation "t" already exists, skipping' }, told('code')),
  ).toBeNull()
})

test('where nothing is sensitive a message stays as it is, but for what detectors find', () => {
  const fields = { S: 'ERROR', C: '22P02', M: 'bad: "4111111111111111"', D: 'x' }
  expect(left(fields, told('none'))).toBeNull()
  expect(
    left(fields, told('none'), (text) =>
      text.includes('4111') ? Buffer.from('bad: "[masked]"') : null,
    ),
  ).toMatchObject({ M: 'bad: "[masked]"', D: 'x' })
})

test('payloads are replaced, channels stay', () => {
  const bytes = message(0x41, Buffer.from('\0\0\0\x07news\0Ada\0'))
  const other = withoutPayload(bytes, 0, bytes.length, () => Buffer.from('[masked]'))
  expect(other!.toString('latin1', 5)).toBe('\0\0\0\x07news\0[masked]\0')
  expect(withoutPayload(bytes, 0, bytes.length, () => null)).toBeNull()
})
