/**
 * The ways in which a MySQL client shows who is there: a Custody token as password, which must come in clear text to be
 * verified, so only through TLS, or on this very machine; or nothing, and a person who signs in in a browser (`sso`, with
 * clients that know MariaDB's `dialog`).
 *
 * Clients are greeted with caching_sha2_password, whose full form carries the password, and which nearly all have. Those that
 * begin with another plug-in are switched. Its fast form, which proves a password without showing it, is never offered.
 * Custody's own settings end here; the target never sees them.
 */
import { constants, generateKeyPair, privateDecrypt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CustodyError, type Home, writeFileAtomic } from '@custody/kit'
import { cstring, type HandshakeResponse, WireError } from './wire'

export const GREETED_PLUGIN = 'caching_sha2_password'
const CLEAR = 'mysql_clear_password'
const DIALOG = 'dialog'
/** MariaDB's client library sends a password in clear text without being asked to allow it, as other drivers do over TLS. */
const LIBMARIADB = /^libmariadb/i
/**
 * Connector/J reads the full form wrongly where a server says that it is older than 5.5.16, as MariaDB's do up to version 10;
 * with MariaDB's drivers the other plug-in is an optional one.
 */
const RATHER_CLEAR = /^(libmariadb|MariaDB|MySQL Connector\/J)/i
/** The user name that means a way in, and nobody. */
export const BROWSER_USER = 'sso'
const REASON_CHARACTERS_MAX = 1000

export interface OwnSettings {
  /** What the session is for, as its user says. */
  reason: string | null
  /** Its user wants to see masked values where somebody approves. */
  reveal: boolean
}

/** Whom a client connects as, and to what. */
export interface Asked {
  resourceName: string
  /** Null: the resource's own. */
  database: string | null
  own: OwnSettings
}

/**
 * The database's name as a client gives it: `resource`, `resource/database`, and Custody's own settings behind a question
 * mark. They may be connection attributes as well: `custody_reason`, `custody_reveal`. Takes them out of those.
 */
export function readAsked(named: string, attributes: Map<string, string>): Asked {
  const question = named.indexOf('?')
  const place = question < 0 ? named : named.slice(0, question)
  const own = new Map<string, string>()
  for (const [name, value] of [...attributes])
    if (/^custody_/i.test(name)) {
      attributes.delete(name)
      own.set(name.toLowerCase().slice('custody_'.length), value)
    }
  if (question >= 0)
    for (const [name, value] of new URLSearchParams(named.slice(question + 1)))
      own.set(name.toLowerCase(), value)
  for (const name of own.keys())
    if (name !== 'reason' && name !== 'reveal')
      throw new WireError(`${name}: there are reason and reveal`)
  const reveal = own.get('reveal')
  if (reveal !== undefined && !/^(on|off)$/i.test(reveal))
    throw new WireError(`reveal: on or off, not ${JSON.stringify(reveal)}`)
  const slash = place.indexOf('/')
  return {
    resourceName: slash < 0 ? place : place.slice(0, slash),
    database: slash < 0 ? null : place.slice(slash + 1),
    own: {
      reason: own.get('reason')?.trim().slice(0, REASON_CHARACTERS_MAX) || null,
      reveal: reveal?.toLowerCase() === 'on',
    },
  }
}

/** Packets in turn. */
export interface Turns {
  read(): Promise<Buffer>
  send(payload: Buffer): void
}

export interface Presenting {
  channel: Turns
  /** As the client began: its plug-in, and its answer to the nonce. */
  plugin: string
  auth: Buffer
  attributes: ReadonlyMap<string, string>
  nonce: Buffer
  isSecure: boolean
  key: RsaKey
}

/** The token, by whatever plug-in the client has. */
export async function askToken(p: Presenting): Promise<string> {
  const { channel } = p
  let { plugin, auth } = p
  const client = p.attributes.get('_client_name') ?? ''
  // Without TLS the other way is encryption with a key that the client can't know to be ours, and has to be allowed there.
  const wanted = (p.isSecure ? RATHER_CLEAR : LIBMARIADB).test(client) ? CLEAR : GREETED_PLUGIN
  if (plugin !== CLEAR && plugin !== wanted) {
    plugin = wanted
    auth = await switchTo(channel, plugin, p.nonce)
  }
  if (plugin === CLEAR) return untilZero(auth)
  if (auth.length === 0 || (auth.length === 1 && auth[0] === 0))
    throw new CustodyError('CUSTODY-ACCESS-001', 'no token was presented as password')
  channel.send(Buffer.from([1, 4]))
  const answer = await channel.read()
  if (p.isSecure) return untilZero(answer)
  // Clients take a connection without TLS for insecure, on whatever machine.
  if (answer.length !== 1 || answer[0] !== 2)
    throw new WireError('neither a password nor a question for a key')
  const key = await p.key.get()
  channel.send(Buffer.concat([Buffer.from([1]), Buffer.from(key.publicPem)]))
  const encrypted = await channel.read()
  return untilZero(key.decrypt(Buffer.from(encrypted), p.nonce))
}

/** AuthSwitchRequest and the answer to it. */
async function switchTo(channel: Turns, plugin: string, nonce: Buffer): Promise<Buffer> {
  channel.send(Buffer.concat([Buffer.from([0xfe]), cstring(plugin), nonce, Buffer.alloc(1)]))
  return Buffer.from(await channel.read())
}

/** MariaDB's dialog: a question that its client shows, and an answer that a person types; an empty one will do. */
export async function showDialog(channel: Turns, text: string): Promise<void> {
  // 2: an ordinary question; 1 more: the last one.
  const question = Buffer.concat([Buffer.from([3]), Buffer.from(text)])
  channel.send(Buffer.concat([Buffer.from([0xfe]), cstring(DIALOG), question]))
  await channel.read()
}

export function isForBrowser({ user }: Pick<HandshakeResponse, 'user'>): boolean {
  return user === BROWSER_USER
}

function untilZero(bytes: Buffer): string {
  const zero = bytes.indexOf(0)
  return bytes.toString('utf8', 0, zero < 0 ? bytes.length : zero)
}

/** Room for 470 bytes; a token is of about 400. It takes seconds to find, and twice as many bits a minute. */
const KEY_BITS = 4096

/** The key by which clients on this very machine may send a token without TLS. Made once, and kept. */
export class RsaKey {
  private made: Promise<{
    publicPem: string
    decrypt(bytes: Buffer, nonce: Buffer): Buffer
  }> | null = null

  constructor(private readonly home: Home) {
    // Clients would not wait so long.
    this.get().catch(() => {})
  }

  get() {
    this.made ??= this.load()
    return this.made
  }

  private async load() {
    const file = join(this.home.keys, 'mysql-rsa.key')
    const publicFile = join(this.home.keys, 'mysql-rsa.pub')
    if (!existsSync(file)) {
      const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', {
        modulusLength: KEY_BITS,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      })
      writeFileAtomic(file, privateKey, 0o600)
      writeFileAtomic(publicFile, publicKey)
    }
    const key = readFileSync(file, 'utf8')
    return {
      publicPem: readFileSync(publicFile, 'utf8'),
      decrypt: (bytes: Buffer, nonce: Buffer) => {
        try {
          const mixed = privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING }, bytes)
          return Buffer.from(mixed.map((byte, i) => byte ^ nonce[i % nonce.length]!))
        } catch {
          throw new CustodyError(
            'CUSTODY-ACCESS-001',
            'the password was not encrypted for this key',
          )
        }
      },
    }
  }
}
