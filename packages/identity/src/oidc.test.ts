/** Tokens of a real OpenID provider: those that are good, and every way in which they are not. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type OidcIssuer, parseConfiguration, prepareHome } from '@custody/kit'
import { type OidcProvider, startOidcProvider } from '@custody/test-support'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createTokenVerifier, Locks } from '.'

const directory = mkdtempSync(join(tmpdir(), 'custody-oidc-'))
const home = prepareHome(join(directory, 'home'))
let provider: OidcProvider

beforeAll(async () => {
  provider = await startOidcProvider()
})
afterAll(async () => {
  await provider.stop()
  rmSync(directory, { recursive: true, force: true })
})

const verifierOf = (issuer: Partial<OidcIssuer> = {}) =>
  createTokenVerifier(home, {
    gateway: 'local',
    identity: parseConfiguration(
      JSON.stringify({
        identity: {
          issuers: [
            {
              issuer: provider.issuer,
              audiences: ['custody-cli', 'urn:custody'],
              claims: { groups: 'groups' },
              ...issuer,
            },
          ],
        },
      }),
    ).identity,
  })

test('a person’s ID token: who, groups, when', async () => {
  const token = await provider.idToken('ada')
  const { who, expiresMs } = await (await verifierOf()).verify(token)
  expect(who).toMatchObject({
    subject: 'ada',
    issuer: provider.issuer,
    email: 'ada@example.com',
    name: 'Ada',
    groups: ['dba', 'sre'],
    kind: 'human',
    method: 'oidc',
    tokenId: expect.any(String),
  })
  expect(Math.abs(Number(who.authenticatedAt) / 1000 - Date.now())).toBeLessThan(60_000)
  expect(expiresMs).toBeGreaterThan(Date.now())
  const prefixed = await (await verifierOf({ groupPrefix: 'corp:' })).verify(token)
  expect(prefixed.who.groups).toEqual(['corp:dba', 'corp:sre'])
})

test('an address that its issuer has not verified is not an identity', async () => {
  const { who } = await (await verifierOf()).verify(await provider.idToken('unverified-eve'))
  expect(who).toMatchObject({ subject: 'unverified-eve', email: null })
})

test('a job’s token is bound by rules', async () => {
  const token = await provider.jobToken()
  const rules = [
    {
      when: { repository: 'acme/*', ref: 'refs/heads/release' },
      groups: ['release'],
      kind: 'service' as const,
    },
    {
      when: { repository: 'acme/*', ref: 'refs/heads/main' },
      groups: ['deploy'],
      kind: 'service' as const,
    },
  ]
  const { who, names } = await (await verifierOf({ rules, user: 'ci' })).verify(token)
  expect(who).toMatchObject({ subject: 'ci', kind: 'service', groups: ['deploy'] })
  expect(names).toEqual(['ci'])
  await expect(
    (await verifierOf({ rules: [{ when: { repository: 'other/*' }, groups: [] }] })).verify(token),
  ).rejects.toMatchObject({
    code: 'CUSTODY-TOKEN-002',
    message: 'the token is not accepted',
    details: { recorded: 'no rule of its issuer fits it' },
  })
})

test('keys are fetched again when the issuer rotates them', async () => {
  const verifier = await verifierOf()
  await verifier.verify(await provider.idToken('ada'))
  const before = await provider.idToken('ada')
  await provider.rotate()
  // Within the cool-down the new key is not known yet; a fresh verifier knows it at once, and no longer the old.
  const after = await provider.idToken('ada')
  const fresh = await verifierOf()
  await fresh.verify(after)
  await expect(fresh.verify(before)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-002' })
  for (let i = 0; ; i++) {
    try {
      await verifier.verify(after)
      break
    } catch (error) {
      if (i > 120) throw error
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
})

describe('bad tokens are refused without saying why, and the record knows', () => {
  const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = () => ({
    iss: provider.issuer,
    aud: 'custody-cli',
    sub: 'mallory',
    iat: Math.floor(Date.now() / 1000),
    exp: Math.floor(Date.now() / 1000) + 600,
  })
  const attempt = async (token: string, issuer: Partial<OidcIssuer> = {}) => {
    const error = await (await verifierOf(issuer)).verify(token).then(
      () => null,
      (one) => one,
    )
    return { code: error?.code, message: error?.message, recorded: error?.details?.recorded }
  }
  const plain = { code: 'CUSTODY-TOKEN-002', message: 'the token is not accepted' }

  test('unsigned', async () => {
    expect(await attempt(`${b64({ alg: 'none' })}.${b64(claims())}.`)).toMatchObject(plain)
  })

  test('signed with a shared secret, or with the public key as one', async () => {
    for (const secret of ['secret', 'ci-secret'])
      expect(
        await attempt(
          await new SignJWT(claims())
            .setProtectedHeader({ alg: 'HS256' })
            .sign(new TextEncoder().encode(secret.padEnd(32, 'x'))),
        ),
      ).toMatchObject(plain)
  })

  test('signed by somebody else, whatever key it brings along', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    for (const header of [
      {},
      { kid: 'x' },
      { jwk },
      { jku: 'http://127.0.0.1:9/keys' },
      { x5u: 'http://127.0.0.1:9/' },
    ])
      expect(
        await attempt(
          await new SignJWT(claims())
            .setProtectedHeader({ alg: 'RS256', ...header } as { alg: string })
            .sign(privateKey),
        ),
      ).toMatchObject(plain)
  })

  test('changed', async () => {
    const [header, , signature] = (await provider.idToken('ada')).split('.')
    expect(
      await attempt(`${header}.${b64({ ...claims(), groups: ['dba'] })}.${signature}`),
    ).toMatchObject({
      ...plain,
      recorded: expect.stringMatching(/signature/),
    })
  })

  test('for another audience', async () => {
    expect(
      await attempt(await provider.idToken('ada'), { audiences: ['somebody-else'] }),
    ).toMatchObject({
      ...plain,
      recorded: expect.stringMatching(/aud/),
    })
  })

  test('living too long', async () => {
    expect(await attempt(await provider.idToken('ada'), { lifetimeSecondsMax: 60 })).toMatchObject({
      ...plain,
      recorded: expect.stringMatching(/lives 600 s, more than lifetimeSecondsMax/),
    })
  })

  test('of an issuer that is not trusted, or that is gone', async () => {
    expect(
      await attempt(await provider.idToken('ada'), { issuer: 'http://127.0.0.1:9' }),
    ).toMatchObject({
      code: 'CUSTODY-TOKEN-002',
      message: 'the token is not accepted',
    })
    const other = await startOidcProvider()
    const token = await other.idToken('ada')
    await other.stop()
    expect(await attempt(token, { issuer: other.issuer })).toMatchObject({
      ...plain,
      recorded: expect.stringMatching(/can't be asked for its keys/),
    })
  })

  test('of somebody who is locked', async () => {
    const verifier = await verifierOf()
    const token = await provider.idToken('ada')
    new Locks(home).add('ADA@example.com', { by: 'test', reason: null, since: '' })
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-005' })
    new Locks(home).remove('ada@example.com')
    await verifier.verify(token)
  })
})

test('issuers without TLS are refused, but for this machine', () => {
  const one = (issuer: string) => () =>
    parseConfiguration(JSON.stringify({ identity: { issuers: [{ issuer, audiences: ['a'] }] } }))
  expect(one('http://id.example.com')).toThrow(/must be an https URL/)
  expect(one('https://id.example.com')).not.toThrow()
  expect(one('http://127.0.0.1:4000')).not.toThrow()
})

describe('what a provider said before', () => {
  const sign = async (claims: Record<string, unknown>, iat: number) => {
    const { privateKey } = keys
    const token = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer(origin)
      .setAudience('custody-cli')
      .setSubject('zoe')
      .setIssuedAt(iat)
      .setExpirationTime(iat + 7200)
      .sign(privateKey)
    return token
  }
  let keys: Awaited<ReturnType<typeof generateKeyPair>>
  let origin: string
  let server: ReturnType<typeof createServer>

  beforeAll(async () => {
    keys = await generateKeyPair('ES256', { extractable: true })
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'ES256' }
    server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify(
          request.url === '/jwks'
            ? { keys: [jwk] }
            : { issuer: origin, jwks_uri: `${origin}/jwks` },
        ),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const now = Math.floor(Date.now() / 1000)
  const verifier = () =>
    verifierOf({
      issuer: origin,
      audiences: ['custody-cli'],
      claims: { groups: 'groups' } as never,
    })

  test('an older token does not bring a group back, however often the newer was seen', async () => {
    const one = await verifier()
    await one.verify(await sign({ groups: ['dev'] }, now - 3600))
    await one.verify(await sign({ groups: ['dev'] }, now))
    const old = await sign({ groups: ['dba', 'dev'] }, now - 1800)
    await expect(one.verify(old)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-007' })
    await expect(one.verify(await sign({ groups: ['dev'] }, now - 1800))).resolves.toBeTruthy()
    const again = await sign({ groups: ['dba', 'dev'] }, now + 1)
    expect((await one.verify(again)).who.groups).toEqual(['dba', 'dev'])
  })

  test('a token without groups says nothing of them', async () => {
    const one = await verifier()
    await one.verify(await sign({}, now + 2))
    await expect(one.verify(await sign({ groups: ['dba'] }, now))).resolves.toBeTruthy()
  })

  test('who is locked by an address is locked without it as well', async () => {
    const one = await verifier()
    const email = { email: 'zoe@example.com', email_verified: true }
    expect((await one.verify(await sign(email, now))).who.email).toBe('zoe@example.com')
    const locks = new Locks(home)
    locks.add('zoe@example.com', { by: 'x', reason: null, since: '' })
    try {
      for (const claims of [{}, { email: 'old@example.com', email_verified: true }, {}])
        await expect(one.verify(await sign(claims, now))).rejects.toMatchObject({
          code: 'CUSTODY-TOKEN-005',
        })
    } finally {
      locks.remove('zoe@example.com')
    }
  })

  test('a token without an identifier has one, however its signature is written', async () => {
    const one = await verifier()
    const token = await sign({ groups: ['dba', 'dev'] }, now + 2)
    const { tokenId } = (await one.verify(token)).who
    const bits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = bits.indexOf(token.at(-1)!)
    const twin = token.slice(0, -1) + bits[last % 2 === 0 ? last + 1 : last - 1]
    const again = await one.verify(twin).catch(() => null)
    expect([null, tokenId]).toContain(again === null ? null : again.who.tokenId)
  })

  test('an address counts where its issuer says that it is verified, or where it is trusted for that', async () => {
    const one = await verifier()
    for (const email_verified of [undefined, false, 'false', 'true', 1])
      expect(
        (await one.verify(await sign({ email: 'eve@example.com', email_verified }, now))).who.email,
      ).toBeNull()
    const trusting = await verifierOf({
      issuer: origin,
      audiences: ['custody-cli'],
      trustEmail: true,
    })
    expect((await trusting.verify(await sign({ email: 'eve@example.com' }, now))).who.email).toBe(
      'eve@example.com',
    )
  })
})
