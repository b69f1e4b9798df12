/** What is left of errors and notices: PostgreSQL's words, names, and what the client has written; nothing of the data. */
import { type Told, withoutData, withoutDataIn, withoutNames, withoutPayload } from './messages'
import { message, readErrorFields } from './wire'

const told = (written = '', secrets: string[] = [], isSensitive = true): Told => ({
  isSensitive,
  written,
  secrets,
  isName: (word) => word === 'email',
})
const clean = (text: string, as = told()) => withoutData(text, as, new Set())

function left(fields: Record<string, string>, as: Told, mask = (_: Buffer): Buffer | null => null) {
  const body = `${Object.entries(fields)
    .map(([code, value]) => code + value)
    .join('\0')}\0\0`
  const bytes = message(0x45, Buffer.from(body))
  const other = withoutDataIn(bytes, 0, bytes.length, as, mask)
  return other === null ? null : Object.fromEntries(readErrorFields(other, 5, other.length))
}

test.each([
  [
    'invalid input syntax for type integer: "Ada"',
    'invalid input syntax for type integer: "[masked]"',
  ],
  [
    'improper relation name (too many dotted names): Quill.a.b.c',
    /^improper relation name \(too many dotted names\): \[masked\]/,
  ],
  ['value "Ada "" Bo" is out of range', 'value "[masked]" is out of range'],
  ['unterminated "Quill', /^unterminated "\[masked\]$/],
  ['it is Ärmel, not found', 'it is [masked], not found'],
  ["can't do that: 4711 at line 12", "can't do that: [masked] at line 12"],
  ['Failing row contains (7, Quill, quill@example.com, null).', 'Failing row contains ([masked]).'],
  ['it is +34 612 345 678', /^it is \+\[masked\]/],
  ['index 65 out of valid range, 0..-1', /^index \[masked\] out of valid range/],
])('what may be data goes: %s', (text, wanted) => {
  const other = clean(Buffer.from(text).toString('latin1'))
  if (typeof wanted === 'string') expect(other).toBe(wanted)
  else expect(other).toMatch(wanted)
  expect(other).not.toMatch(/quill|ada\b|\bbo\b|4711|345|65/i)
})

test('what the client wrote stays, but for constants that are kept out', () => {
  const text = 'column "emial" does not exist'
  expect(clean(text, told('select emial'))).toBe(text)
  expect(clean('invalid input: "Ada"', told("select 'Ada'::int", ['Ada']))).not.toContain('Ada')
})

test('what PostgreSQL counts stays, what code counts goes', () => {
  const long = 'value too long for type character varying(10)'
  expect(clean(long)).toBe(long)
  expect(clean('Key (id)=(9) already exists.', told('insert into c values (9)'))).toBe(
    'Key (id)=(9) already exists.',
  )
  expect(clean('Key (id)=(9) already exists.', told('insert into c values (19)'))).toBe(
    'Key (id)=([masked]) already exists.',
  )
  expect(clean('Key (name)=(active) already exists.')).toBe('Key (name)=([masked]) already exists.')
  expect(clean('Key (a, b)=(1, x) already exists. y) is duplicated.')).toBe(
    'Key (a, b)=([masked]) is duplicated.',
  )
  const digits = Array.from({ length: 10_000 }, (_, i) => String(i).padStart(4, '0')).join(' ')
  expect(
    left(
      { S: 'NOTICE', C: '00000', M: 'it is 4711 12', W: 'PL/pgSQL function f() line 3 at RAISE' },
      told(digits),
    ),
  ).toMatchObject({ M: expect.not.stringMatching(/\d/), W: expect.stringContaining('line 3') })
})

test('names stay where the message gives them as such', () => {
  expect(
    left(
      {
        S: 'ERROR',
        C: '23505',
        M: 'duplicate key value violates unique constraint "c_email_key"',
        D: 'Key (email)=(quill@example.com) already exists.',
        n: 'c_email_key',
        t: 'c',
      },
      told('insert into c(email)'),
    ),
  ).toMatchObject({
    M: 'duplicate key value violates unique constraint "c_email_key"',
    D: expect.stringMatching(/^Key \(email\)=\(\[masked\].*\) already exists\.$/),
    n: 'c_email_key',
  })
})

test('what the database calls its columns is no data', () => {
  const text = 'Perhaps you meant to reference the column "c.email".'
  expect(clean(text.replace('c.', ''))).toBe(text.replace('c.', ''))
})

test('names that code in the database made up go', () => {
  expect(
    left(
      {
        S: 'ERROR',
        C: 'P0001',
        M: 'it is Quill',
        W: 'PL/pgSQL function f() line 1 at RAISE',
        c: 'Quill',
      },
      told(),
    ),
  ).toMatchObject({ M: 'it is [masked]', c: '[masked]' })
})

test('where nothing is masked a message stays as it is, but for what detectors find', () => {
  const fields = { S: 'ERROR', C: '22P02', M: 'bad: "4111111111111111"', D: 'x' }
  expect(left(fields, told('', [], false))).toBeNull()
  expect(
    left(fields, told('', [], false), (text) =>
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

test('names of columns are replaced, what describes them stays', () => {
  const body = Buffer.concat([
    Buffer.from([0, 2]),
    Buffer.from('id\0'),
    Buffer.alloc(18, 1),
    Buffer.from('a@b.example\0'),
    Buffer.alloc(18, 2),
  ])
  const bytes = message(0x54, body)
  const other = withoutNames(bytes, 0, bytes.length, (name) =>
    name.includes('@') ? Buffer.from('x') : null,
  )!
  expect(
    other.equals(
      message(
        0x54,
        Buffer.concat([
          Buffer.from([0, 2]),
          Buffer.from('id\0'),
          Buffer.alloc(18, 1),
          Buffer.from('x\0'),
          Buffer.alloc(18, 2),
        ]),
      ),
    ),
  ).toBe(true)
  expect(withoutNames(bytes, 0, bytes.length, () => null)).toBeNull()
})
