/** Certificates against ssh-keygen's own, and changed at every byte. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareHome } from '@custody/kit'
import { holderOf, issueUserCertificate, loadSshAuthority } from './authority'
import { parseCertificate, verifyHostCertificate, verifyUserCertificate } from './certificate'
import { publicKeyBlob, readPublicKey, verifySignature } from './keys'
import { write } from './wire'

const directory = mkdtempSync(join(tmpdir(), 'custody-certificates-'))
const at = (name: string) => join(directory, name)
const keygen = (...words: string[]) =>
  execFileSync('ssh-keygen', words, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
const key = (name: string, type = 'ed25519', bits: string[] = []) => {
  keygen('-q', '-t', type, ...bits, '-N', '', '-f', at(name))
  return readFileSync(at(`${name}.pub`), 'utf8')
}
const blobOf = (name: string) =>
  Buffer.from(readFileSync(at(name), 'utf8').split(' ')[1]!, 'base64')
const now = Date.now()
afterAll(() => rmSync(directory, { recursive: true }))

const WHO = {
  subject: 'ada',
  issuer: 'custody:local',
  email: 'a@b.c',
  name: null,
  groups: ['dev'],
  kind: 'human',
  authenticatedAt: 5,
}

test('what we make, ssh-keygen reads; and who holds it comes back', () => {
  const authority = loadSshAuthority(prepareHome(at('home')))
  const issued = issueUserCertificate(authority, {
    publicKey: key('one'),
    who: WHO,
    madeOf: 'a b',
    ttlSeconds: 60,
    sourceAddress: '10.0.0.0/8',
  })
  writeFileSync(at('one-cert.pub'), issued.certificate)
  const shown = keygen('-L', '-f', at('one-cert.pub'))
  expect(shown).toContain('Key ID: "ada"')
  expect(shown).toContain(`Serial: ${issued.serial}`)
  expect(shown).toContain('source-address 10.0.0.0/8')
  expect(shown).toContain('permit-pty')
  const certificate = parseCertificate(blobOf('one-cert.pub'))
  expect(holderOf(certificate)).toMatchObject({
    who: { ...WHO, tokenId: issued.id, method: 'ssh-certificate' },
    madeOf: 'a b',
  })
  expect(verifyUserCertificate(certificate, [authority.blob], '10.1.2.3', now)).toMatchObject({
    problem: null,
  })
  expect(
    verifyUserCertificate(certificate, [authority.blob], '::ffff:10.1.2.3', now),
  ).toMatchObject({ problem: null })
  for (const address of ['11.1.2.3', '::1', ''])
    expect(verifyUserCertificate(certificate, [authority.blob], address, now).problem).toContain(
      'other source',
    )
})

test.each([
  ['ed25519', []],
  ['ecdsa', ['-b', '256']],
  ['ecdsa', ['-b', '384']],
  ['ecdsa', ['-b', '521']],
  ['rsa', ['-b', '3072']],
] as const)(
  'of ssh-keygen, by an authority of type %s %p: whole it is taken, changed at any byte it is not',
  (type, bits) => {
    const name = `ca-${type}${bits.join('')}`
    const authority = publicKeyBlob(key(name, type, [...bits]))
    key(`user-${name}`)
    keygen('-q', '-s', at(name), '-I', 'id', '-n', 'ada', at(`user-${name}.pub`))
    const blob = blobOf(`user-${name}-cert.pub`)
    const check = (bytes: Buffer) => {
      try {
        return verifyUserCertificate(parseCertificate(bytes), [authority], '127.0.0.1', now).problem
      } catch {
        return 'unreadable'
      }
    }
    expect(check(blob)).toBeNull()
    for (let i = 0; i < blob.length; i++) {
      const changed = Buffer.from(blob)
      changed[i]! ^= 1 << (i % 8)
      if (check(changed) === null) throw new Error(`changed at byte ${i} and taken`)
    }
    for (let i = 0; i < blob.length; i++)
      if (check(blob.subarray(0, i)) === null) throw new Error(`cut at ${i} and taken`)
    expect(check(Buffer.concat([blob, Buffer.alloc(1)]))).toBe('unreadable')
  },
)

test('hosts: names and patterns, and no user’s', () => {
  const authority = publicKeyBlob(key('host-ca'))
  const made = (words: string[], name: string) => {
    key(name)
    keygen('-q', '-s', at('host-ca'), '-I', 'h', ...words, at(`${name}.pub`))
    return parseCertificate(blobOf(`${name}-cert.pub`))
  }
  const host = made(['-h', '-n', 'web.example,*.db.example,10.0.0.?'], 'host-one')
  for (const name of ['web.example', 'WEB.example', 'one.db.example', '10.0.0.7'])
    expect(verifyHostCertificate(host, [authority], name, now)).toBeNull()
  for (const name of ['webXexample', 'web.example.evil', 'db.example', '10.0.0.77', ''])
    expect(verifyHostCertificate(host, [authority], name, now)).toContain('it is for')
  expect(
    verifyHostCertificate(
      made(['-n', 'web.example'], 'host-user'),
      [authority],
      'web.example',
      now,
    ),
  ).toContain('of a user')
  expect(verifyHostCertificate(host, [], 'web.example', now)).toContain('no authority')
})

test('keys and signatures that are not taken', () => {
  expect(() => publicKeyBlob(key('short', 'rsa', ['-b', '1024']))).toThrow('1024 bits')
  expect(() => readPublicKey(write('ssh-dss', 'x'))).toThrow('not known here')
  expect(() => publicKeyBlob('ssh-ed25519 AAAA')).toThrow()
  const blob = publicKeyBlob(key('sig'))
  expect(verifySignature(blob, Buffer.from('x'), write('ssh-rsa', Buffer.alloc(64)))).toBe(false)
  expect(verifySignature(blob, Buffer.from('x'), Buffer.alloc(3))).toBe(false)
})
