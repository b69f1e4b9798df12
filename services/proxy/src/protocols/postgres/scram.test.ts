/** SCRAM against the RFC's own exchange; the rest of signing in is tested against real servers. */
import { md5Password, ScramClient } from './scram'

// RFC 7677, section 3.
const NONCE = 'rOprNGfwEbeRWgbNEkqO'
const SERVER_FIRST =
  'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'

test('the exchange of RFC 7677', async () => {
  const client = new ScramClient('pencil', null, false, NONCE, 'user')
  expect(client.first()).toBe('n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
  expect(await client.final(SERVER_FIRST)).toBe(
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  )
  expect(() => client.verify('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).not.toThrow()
})

test('a target that does not know the password is found out', async () => {
  const client = new ScramClient('pencil', null, false, NONCE, 'user')
  expect(() => client.verify('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toThrow()
  await client.final(SERVER_FIRST)
  for (const answer of [
    'v=AAAA',
    'v=',
    '',
    'e=other-error',
    `v=${Buffer.alloc(32).toString('base64')}`,
  ])
    expect(() => client.verify(answer)).toThrow(/does not know the password/)
})

test.each([
  ['another nonce', 'r=somethingelse,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'],
  ['our nonce alone', `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
  ['no salt', `r=${NONCE}x,s=,i=4096`],
  ['no iterations', `r=${NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==`],
  ['too many iterations', `r=${NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100000000`],
  ['nothing', ''],
])('a challenge with %s is refused', async (_what, challenge) => {
  await expect(new ScramClient('pencil', null, false, NONCE).final(challenge)).rejects.toThrow()
})

test('channel binding is in the header, and its absence over TLS is told', () => {
  expect(new ScramClient('p', Buffer.alloc(32), true, NONCE).first()).toMatch(
    /^p=tls-server-end-point,,/,
  )
  expect(new ScramClient('p', null, true, NONCE).first()).toMatch(/^y,,/)
})

test('md5 as PostgreSQL has it: md5(md5(password + user) + salt)', () => {
  expect(md5Password('user', 'password', Buffer.from([1, 2, 3, 4]))).toMatch(/^md5[0-9a-f]{32}$/)
  expect(md5Password('postgres', 'postgres', Buffer.from('93d3d2a7', 'hex'))).toBe(
    `md5${require('node:crypto').createHash('md5').update(require('node:crypto').createHash('md5').update('postgrespostgres').digest('hex')).update(Buffer.from('93d3d2a7', 'hex')).digest('hex')}`,
  )
})
