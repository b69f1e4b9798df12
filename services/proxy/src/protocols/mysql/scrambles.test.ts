/** Proofs of passwords against what others compute: Node's own Ed25519, and the servers' side of each plug-in. */
import {
  constants,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  privateDecrypt,
  sign,
} from 'node:crypto'
import {
  cachingSha2,
  ed25519Password,
  encryptedPassword,
  nativePassword,
  switchedNonce,
} from './scrambles'

const nonce = Buffer.from('abcdefghij0123456789')
const hash = (algorithm: string, ...parts: Buffer[]) =>
  createHash(algorithm).update(Buffer.concat(parts)).digest()
const xor = (one: Buffer, other: Buffer) => Buffer.from(one.map((byte, i) => byte ^ other[i]!))

test('mysql_native_password: the server finds its own hash in it', () => {
  const stored = hash('sha1', hash('sha1', Buffer.from('secret')))
  const answer = nativePassword('secret', nonce)
  const once = xor(answer, hash('sha1', nonce, stored))
  expect(hash('sha1', once).equals(stored)).toBe(true)
  expect(nativePassword('', nonce)).toHaveLength(0)
})

test('caching_sha2_password: the same', () => {
  const stored = hash('sha256', hash('sha256', Buffer.from('secret')))
  const once = xor(cachingSha2('secret', nonce), hash('sha256', stored, nonce))
  expect(hash('sha256', once).equals(stored)).toBe(true)
})

test('encrypted for the target’s key, and for no smaller one', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const mixed = privateDecrypt(
    { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING },
    encryptedPassword('correct horse', nonce, publicKey),
  )
  const plain = Buffer.from(mixed.map((byte, i) => byte ^ nonce[i % nonce.length]!))
  expect(plain.toString()).toBe('correct horse\0')
  expect(() => encryptedPassword('x'.repeat(300), nonce, publicKey)).toThrow()
})

test('client_ed25519: with a password of 32 bytes it is Ed25519 itself', () => {
  const password = 'a password of exactly 32 bytes!!'
  const der = Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from(password),
  ])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const challenge = Buffer.from('0123456789abcdef0123456789abcdef')
  expect(ed25519Password(password, challenge).equals(sign(null, challenge, key))).toBe(true)
  expect(ed25519Password('of another length', challenge)).toHaveLength(64)
})

test('the nonce of a switch: what ends it is none of it, and what it ends in is', () => {
  const nonce = Buffer.from('abcdefghij0123456789')
  const ended = Buffer.concat([nonce, Buffer.alloc(1)])
  expect(switchedNonce('mysql_native_password', ended).equals(nonce)).toBe(true)
  expect(switchedNonce('caching_sha2_password', nonce).equals(nonce)).toBe(true)
  const challenge = Buffer.concat([Buffer.alloc(31, 7), Buffer.alloc(1)])
  expect(switchedNonce('client_ed25519', challenge).equals(challenge)).toBe(true)
})
