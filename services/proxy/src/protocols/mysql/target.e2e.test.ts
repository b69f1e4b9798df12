/**
 * Signing in at targets: a real MariaDB with and without TLS, and, since no MySQL server is to be had from the registries, a
 * simulator of the server's side of caching_sha2_password, sha256_password and mysql_clear_password.
 */
import { constants, createHash, generateKeyPairSync, privateDecrypt } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { createSecrets, type MysqlResource, parseConfiguration } from '@custody/kit'
import { columnDefinition } from '@custody/mysql-values'
import { certificateFor, type MysqlServer, startMysql } from '@custody/test-support'
import { PacketChannel } from './channel'
import { signIn } from './target'
import {
  Capability,
  cstring,
  errPayload,
  greetingPayload,
  okPayload,
  readHandshakeResponse,
} from './wire'

const PASSWORD = 'correct horse battery staple'
const secrets = createSecrets(undefined)
const wanted = {
  ...{ capabilities: Capability.deprecateEof, mariadbCapabilities: 0, packetBytesMax: 1 << 24 },
  ...{ collation: 45, database: 'shop', attributes: new Map<string, string>() },
}

function resourceOf(written: string): MysqlResource {
  return parseConfiguration(`resources: {shop: ${written}}`).resources.shop as MysqlResource
}

const at = (address: string, settings: object = {}) =>
  resourceOf(
    JSON.stringify({
      ...{ protocol: 'mysql', address, account: 'svc', password: { literal: PASSWORD } },
      ...settings,
    }),
  )

const sha256 = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest()

describe('a real MariaDB', () => {
  let server: MysqlServer
  beforeAll(async () => {
    server = await startMysql({
      tls: true,
      ed25519: true,
      sql: `create user signer@'127.0.0.1' identified via ed25519 using password('${PASSWORD}'); grant all on shop.* to signer@'127.0.0.1'`,
    })
  })
  afterAll(() => server?.stop())

  test.each([
    ['disable', false],
    ['prefer', true],
    ['require', true],
  ])('tls: %s', async (tls, isSecure) => {
    const found = await signIn(resourceOf(server.resource({ tls })), wanted, 5000, secrets)
    expect(found.tls !== null).toBe(isSecure)
    expect(found.variables).toMatchObject({ isTracked: true, charset: 'utf8mb4' })
    expect(found.variables.sqlMode).toContain('STRICT_TRANS_TABLES')
    found.stream.destroy()
  })

  test('client_ed25519, with a password of any length', async () => {
    const account = { account: 'signer', password: { literal: PASSWORD } }
    const found = await signIn(resourceOf(server.resource(account)), wanted, 5000, secrets)
    found.stream.destroy()
    const wrong = { account: 'signer', password: { literal: `${PASSWORD}!` } }
    await expect(
      signIn(resourceOf(server.resource(wrong)), wanted, 5000, secrets),
    ).rejects.toMatchObject({ fields: { errno: 1045 } })
  })

  test('verify-full asks for a certificate that is trusted', async () => {
    const resource = resourceOf(server.resource({ tls: 'verify-full' }))
    await expect(signIn(resource, wanted, 5000, secrets)).rejects.toMatchObject({
      code: 'CUSTODY-TARGET-002',
    })
  })

  test('a wrong password is the target’s own refusal', async () => {
    const resource = resourceOf(server.resource({ password: { literal: 'wrong' } }))
    await expect(signIn(resource, wanted, 5000, secrets)).rejects.toMatchObject({
      fields: { errno: 1045, sqlstate: '28000' },
    })
  })
})

// ── the simulator ────────────────────────────────────────────────────────────────────────────────────────────────

interface Simulated {
  greeted: string
  /** Switched to. */
  plugin?: string
  tls?: boolean
  /** Of caching_sha2_password. */
  isCached?: boolean
}

const nonce = Buffer.from('abcdefghij0123456789')
const rsa = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

function decrypted(bytes: Buffer): string {
  const mixed = privateDecrypt(
    { key: rsa.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING },
    bytes,
  )
  return Buffer.from(mixed.map((byte, i) => byte ^ nonce[i % nonce.length]!)).toString()
}

async function simulate(socket: Socket, o: Simulated): Promise<void> {
  let channel = new PacketChannel(socket)
  channel.send(
    greetingPayload({
      ...{ version: '8.4.0-simulated', threadId: 7, nonce, mariadbCapabilities: 0 },
      capabilities: (0x1bff7fdf & ~Capability.ssl) | (o.tls ? Capability.ssl : 0),
      ...{ collation: 255, status: 2, plugin: o.greeted },
    }),
  )
  let said = await channel.read()
  if (said.length === 32) {
    const early = channel.release()
    if (early.length > 0) socket.unshift(early)
    const { certificate, key } = await certificateFor()
    const secure = new TLSSocket(socket, {
      isServer: true,
      secureContext: createSecureContext({ cert: certificate, key }),
    })
    channel = new PacketChannel(secure, channel.sequence)
    said = await channel.read()
  }
  const response = readHandshakeResponse(said)
  let { auth } = response
  let { plugin } = response
  if (o.plugin !== undefined && o.plugin !== plugin) {
    plugin = o.plugin
    channel.send(Buffer.concat([Buffer.from([0xfe]), cstring(plugin), nonce, Buffer.alloc(1)]))
    auth = Buffer.from(await channel.read())
  }
  const isRight = await judge(channel, plugin, auth, o)
  channel.send(
    isRight && response.user === 'svc'
      ? okPayload(2)
      : errPayload(1045, '28000', `Access denied, by ${plugin}`),
  )
  // The questions about the session.
  for (;;) {
    channel.sequence = 0
    const question = (await channel.read()).toString('latin1')
    const values = question.includes('SELECT')
      ? [
          'STRICT_TRANS_TABLES',
          'utf8mb4',
          'sql_mode,character_set_client,session_track_system_variables',
        ]
      : null
    if (values === null) channel.send(okPayload(2))
    else {
      channel.send(Buffer.from([values.length]))
      for (const name of values) channel.send(columnDefinition({ name }))
      channel.send(
        Buffer.concat(values.map((one) => Buffer.from(`${String.fromCharCode(one.length)}${one}`))),
      )
      channel.send(Buffer.from([0xfe, 0, 0, 2, 0, 0, 0]))
    }
  }
}

async function judge(
  channel: PacketChannel,
  plugin: string,
  auth: Buffer,
  o: Simulated,
): Promise<boolean> {
  const password = Buffer.from(PASSWORD)
  if (plugin === 'mysql_clear_password') return auth.toString() === `${PASSWORD}\0`
  if (plugin === 'sha256_password') {
    if (o.tls) return auth.toString() === `${PASSWORD}\0`
    expect([...auth]).toEqual([1])
    channel.send(Buffer.concat([Buffer.from([1]), Buffer.from(rsa.publicKey)]))
    return decrypted(Buffer.from(await channel.read())) === `${PASSWORD}\0`
  }
  if (plugin !== 'caching_sha2_password') return false
  const stored = sha256(sha256(password))
  const mask = sha256(stored, nonce)
  const once = Buffer.from(auth.map((byte, i) => byte ^ mask[i]!))
  if (!sha256(once).equals(stored)) return false
  if (o.isCached) {
    channel.send(Buffer.from([1, 3]))
    return true
  }
  channel.send(Buffer.from([1, 4]))
  const full = Buffer.from(await channel.read())
  if (o.tls) return full.toString() === `${PASSWORD}\0`
  expect([...full]).toEqual([2])
  channel.send(Buffer.concat([Buffer.from([1]), Buffer.from(rsa.publicKey)]))
  return decrypted(Buffer.from(await channel.read())) === `${PASSWORD}\0`
}

describe('a simulator, called one', () => {
  let listener: Server
  let simulated: Simulated
  beforeAll(async () => {
    listener = createServer((socket) => {
      socket.on('error', () => {})
      simulate(socket, simulated).catch(() => socket.destroy())
    })
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => new Promise((resolve) => listener.close(resolve)))

  const attempt = async (o: Simulated, settings: object = {}) => {
    simulated = o
    const { port } = listener.address() as { port: number }
    const found = await signIn(at(`127.0.0.1:${port}`, settings), wanted, 5000, secrets)
    found.stream.destroy()
    return found
  }

  test.each<[string, Simulated]>([
    ['caching_sha2_password, known there', { greeted: 'caching_sha2_password', isCached: true }],
    ['caching_sha2_password, in full by TLS', { greeted: 'caching_sha2_password', tls: true }],
    ['caching_sha2_password, in full by its key', { greeted: 'caching_sha2_password' }],
    [
      'caching_sha2_password, switched to',
      { greeted: 'mysql_native_password', plugin: 'caching_sha2_password', isCached: true },
    ],
    ['sha256_password by its key', { greeted: 'mysql_native_password', plugin: 'sha256_password' }],
    [
      'sha256_password by TLS',
      { greeted: 'mysql_native_password', plugin: 'sha256_password', tls: true },
    ],
    [
      'mysql_clear_password by TLS',
      { greeted: 'caching_sha2_password', plugin: 'mysql_clear_password', tls: true },
    ],
  ])('%s', async (_what, o) => {
    const found = await attempt(o)
    expect(found.greeting.version).toBe('8.4.0-simulated')
    expect(found.variables).toMatchObject({ sqlMode: 'STRICT_TRANS_TABLES', isTracked: true })
  })

  test('a password never goes in clear text without TLS', async () => {
    await expect(
      attempt({ greeted: 'caching_sha2_password', plugin: 'mysql_clear_password' }),
    ).rejects.toMatchObject({ code: 'CUSTODY-TARGET-004' })
  })

  test('nor by a plug-in that is not known', async () => {
    await expect(
      attempt({ greeted: 'caching_sha2_password', plugin: 'auth_gssapi_client' }),
    ).rejects.toMatchObject({ code: 'CUSTODY-TARGET-004' })
  })

  test('a target without TLS is none for a resource that asks for it', async () => {
    await expect(
      attempt({ greeted: 'caching_sha2_password' }, { tls: 'require' }),
    ).rejects.toMatchObject({ code: 'CUSTODY-TARGET-002' })
  })
})
