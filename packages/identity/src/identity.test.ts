/** Tokens: issued, presented, tampered with, out of date, of somebody else, revoked. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Home, parseConfiguration, prepareHome } from '@custody/kit'
import { SignJWT } from 'jose'
import {
  createTokenVerifier,
  issueToken,
  loadTokenKeys,
  revokeToken,
  signInProviders,
  TTL_SECONDS_MAX,
} from '.'

const directory = mkdtempSync(join(tmpdir(), 'custody-identity-'))
const home: Home = prepareHome(join(directory, 'home'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const keysOf = () => loadTokenKeys(home, 'local')
const verifierOf = () => createTokenVerifier(home, { gateway: 'local' })

test('what was issued is what is verified', async () => {
  const { token, id, expires } = await issueToken(await keysOf(), {
    subject: 'ada',
    email: 'ada@example.com',
    name: 'Ada',
    groups: ['oncall', 'dba'],
    kind: 'service',
    ttlSeconds: 60,
  })
  const { who, expiresMs } = await (await verifierOf()).verify(token)
  expect(who).toMatchObject({
    subject: 'ada',
    issuer: 'custody:local',
    email: 'ada@example.com',
    name: 'Ada',
    groups: ['oncall', 'dba'],
    kind: 'service',
    method: 'custody-token',
    tokenId: id,
  })
  expect(expiresMs).toBe(expires.getTime())
})

test('the signing key is made once and readable by its owner only', async () => {
  const before = readFileSync(join(home.keys, 'token-signing.jwk'), 'utf8')
  await keysOf()
  expect(readFileSync(join(home.keys, 'token-signing.jwk'), 'utf8')).toBe(before)
  expect(statSync(join(home.keys, 'token-signing.jwk')).mode & 0o077).toBe(0)
})

test.each([0, -1, 1.5, TTL_SECONDS_MAX + 1, Number.NaN])(
  'a time to live of %d is refused',
  async (ttlSeconds) => {
    await expect(issueToken(await keysOf(), { subject: 'ada', ttlSeconds })).rejects.toMatchObject({
      code: 'CUSTODY-TOKEN-001',
    })
  },
)

test('a token for nobody is refused', async () => {
  await expect(issueToken(await keysOf(), { subject: '' })).rejects.toMatchObject({
    code: 'CUSTODY-TOKEN-001',
  })
})

test('any changed character makes it no token', async () => {
  const { token } = await issueToken(await keysOf(), { subject: 'ada' })
  const verifier = await verifierOf()
  for (let at = 0; at < token.length; at += 7) {
    const other = token[at] === 'A' ? 'B' : 'A'
    const changed = token.slice(0, at) + other + token.slice(at + 1)
    // The last character of base64url may hold bits that mean nothing.
    if (at === token.length - 1) continue
    await expect(verifier.verify(changed)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-002' })
  }
  for (const nothing of ['', 'x', 'a.b.c', '..', token.split('.').slice(0, 2).join('.')])
    await expect(verifier.verify(nothing)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-002' })
})

test('unsigned, of another algorithm, issuer or audience: no token of this installation', async () => {
  const keys = await keysOf()
  const verifier = await verifierOf()
  const now = Math.floor(Date.now() / 1000)
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = {
    sub: 'ada',
    iss: 'custody:local',
    aud: 'custody',
    jti: 'x',
    iat: now,
    exp: now + 60,
  }
  const refused = (presented: string) =>
    expect(verifier.verify(presented)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-002' })
  await refused(`${part({ alg: 'none' })}.${part(claims)}.`)
  await refused(
    await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from('a'.repeat(32))),
  )
  const signed = (changed: Record<string, unknown>) =>
    new SignJWT({ ...claims, ...changed })
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(keys.privateKey!)
  await refused(await signed({ iss: 'custody:other' }))
  await refused(await signed({ aud: 'somebody' }))
  for (const missing of ['sub', 'jti', 'exp', 'iat'])
    await refused(await signed({ [missing]: undefined }))
  expect((await verifier.verify(await signed({}))).who.subject).toBe('ada')
  await expect(
    verifier.verify(await signed({ iat: now - 100, exp: now - 60 })),
  ).rejects.toMatchObject({
    code: 'CUSTODY-TOKEN-003',
  })
})

test('a token of another installation is none of this one', async () => {
  const other = prepareHome(join(directory, 'other'))
  const { token } = await issueToken(await loadTokenKeys(other, 'local'), { subject: 'ada' })
  await expect((await verifierOf()).verify(token)).rejects.toMatchObject({
    code: 'CUSTODY-TOKEN-002',
  })
})

test('a revocation is seen by a verifier that runs, and takes others with it not', async () => {
  const keys = await keysOf()
  const verifier = await verifierOf()
  const [one, two] = [
    await issueToken(keys, { subject: 'a' }),
    await issueToken(keys, { subject: 'b' }),
  ]
  await verifier.verify(one.token)
  revokeToken(home, one.id)
  await expect(verifier.verify(one.token)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-004' })
  await verifier.verify(two.token)
  revokeToken(home, two.id)
  for (const { token } of [one, two])
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-004' })
})

test('a provider goes by its host, or by its address where realms share one', async () => {
  const { identity } = parseConfiguration(
    JSON.stringify({
      identity: {
        issuers: ['a.example/realms/one', 'a.example/realms/two/', 'b.example/realms/one']
          .map((at) => ({ issuer: `https://${at}`, audiences: ['custody'], clientId: 'custody' }))
          // Nobody is sent there, so it takes nobody's name.
          .concat({ issuer: 'https://b.example/jobs', audiences: ['custody'] } as never),
      },
    }),
  )
  const verifier = await verifierOf()
  expect(signInProviders(identity, verifier, {} as never).map(({ name }) => name)).toEqual([
    'a.example/realms/one',
    'a.example/realms/two',
    'b.example',
  ])
})

describe('keys that several hosts share', () => {
  const issuer = 'acme'
  const files = () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const at = (name: string, text: string) => {
      writeFileSync(join(home.directory, name), text)
      return join(home.directory, name)
    }
    return {
      pem: at('key.pem', String(privateKey.export({ format: 'pem', type: 'pkcs8' }))),
      publicPem: at('key.pub.pem', String(publicKey.export({ format: 'pem', type: 'spki' }))),
      jwk: at('key.jwk', JSON.stringify(privateKey.export({ format: 'jwk' }))),
      publicJwk: at('key.pub.jwk', JSON.stringify(publicKey.export({ format: 'jwk' }))),
    }
  }
  const verifierAt = (gateway: string, file: string) =>
    createTokenVerifier(home, {
      gateway,
      identity: {
        ...{ issuers: [], saml: [], tokenKeys: { issuer, file } },
        sshAuthority: { ttlSecondsMax: 3600 },
      },
    })

  test('one issues, all of the same issuer verify, with the public half alone as well', async () => {
    const { pem, jwk, publicPem, publicJwk } = files()
    for (const file of [pem, jwk]) {
      const keys = await loadTokenKeys(home, 'query-1', { issuer, file })
      const { token } = await issueToken(keys, { subject: 'ada' })
      for (const verifying of [publicPem, publicJwk]) {
        const { who } = await (await verifierAt('proxy-7', verifying)).verify(token)
        expect([who.subject, who.issuer]).toEqual(['ada', 'custody:acme'])
      }
    }
  })

  test('the public half issues nothing, and what is no key is refused without being quoted', async () => {
    const { publicPem } = files()
    const keys = await loadTokenKeys(home, 'local', { file: publicPem })
    await expect(issueToken(keys, { subject: 'ada' })).rejects.toMatchObject({
      code: 'CUSTODY-TOKEN-008',
    })
    const broken = join(home.directory, 'broken')
    writeFileSync(broken, 'hunter2')
    for (const file of [broken, join(home.directory, 'missing')])
      await expect(loadTokenKeys(home, 'local', { file })).rejects.toMatchObject({
        code: 'CUSTODY-TOKEN-008',
        message: expect.not.stringContaining('hunter2'),
      })
    const { privateKey } = generateKeyPairSync('x25519')
    writeFileSync(broken, privateKey.export({ format: 'pem', type: 'pkcs8' }))
    await expect(loadTokenKeys(home, 'local', { file: broken })).rejects.toThrow(/Ed25519/)
  })
})
