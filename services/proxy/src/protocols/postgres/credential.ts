/**
 * The ways in which a PostgreSQL client shows who is there: a token as password, a token by OAUTHBEARER (PostgreSQL 18's
 * clients; RFC 7628), or nothing at all and a person who signs in in a browser. Which of them is the client's to say, by
 * the user names `oauth` and `sso` or the start-up setting `custody.sign_in`: the protocol has it that the server asks first.
 * Custody's own start-up settings (`custody.*`) end here; the target never sees them.
 */
import type { Duplex } from 'node:stream'
import { startupOptionWords } from '@custody/postgres-sql'
import { notice } from './refusals'
import type { ByteReader } from './startup'
import { Backend, message, WireError } from './wire'

export type SignInBy = 'password' | 'oauth' | 'browser'

export interface OwnSettings {
  signInBy: SignInBy
  /** What the session is for, as its user says. */
  reason: string | null
  /** Its user wants to see masked values where somebody approves. */
  reveal: boolean
  /** User names that stand for a way in, not for a person. */
  anybody: boolean
}

/** User names that mean a way in, and nobody. */
const USERS: Record<string, SignInBy> = { oauth: 'oauth', sso: 'browser' }
const WAYS = new Set<string>(['password', 'oauth', 'browser'])
const REASON_CHARACTERS_MAX = 1000

/** Takes them out of the start-up parameters, `options` included. */
export function takeOwnSettings(parameters: Map<string, string>): OwnSettings {
  const own = new Map<string, string>()
  const take = (name: string, value: string): boolean => {
    if (!/^custody\./i.test(name)) return false
    own.set(name.toLowerCase().slice('custody.'.length), value)
    return true
  }
  for (const [name, value] of [...parameters]) if (take(name, value)) parameters.delete(name)
  const options = parameters.get('options')
  if (options !== undefined) {
    const kept = startupOptionWords(options).filter(({ name, value }) => !take(name, value))
    const text = kept
      .flatMap(({ words }) => words)
      .map((word) => word.replace(/[\s\\]/g, '\\$&'))
      .join(' ')
    if (text === '') parameters.delete('options')
    else if (own.size > 0) parameters.set('options', text)
  }
  for (const name of own.keys())
    if (name !== 'sign_in' && name !== 'reason' && name !== 'reveal')
      throw new WireError(
        `custody.${name}: there are custody.sign_in, custody.reason and custody.reveal`,
      )
  const reveal = own.get('reveal')
  if (reveal !== undefined && !/^(on|off)$/i.test(reveal))
    throw new WireError(`custody.reveal: on or off, not ${JSON.stringify(reveal)}`)
  const asked = own.get('sign_in')
  if (asked !== undefined && !WAYS.has(asked))
    throw new WireError(`custody.sign_in: password, oauth or browser, not ${JSON.stringify(asked)}`)
  const user = parameters.get('user') ?? ''
  const byUser = Object.hasOwn(USERS, user) ? USERS[user]! : null
  return {
    signInBy: (asked as SignInBy | undefined) ?? byUser ?? 'password',
    reason: own.get('reason')?.trim().slice(0, REASON_CHARACTERS_MAX) || null,
    reveal: reveal?.toLowerCase() === 'on',
    anybody: byUser !== null,
  }
}

const PASSWORD = 0x70

/** AuthenticationCleartextPassword and the answer to it. Only over TLS or loopback. */
export async function askPassword(
  stream: Duplex,
  reader: ByteReader,
  bytesMax: number,
): Promise<string> {
  stream.write(message(Backend.authentication, Buffer.from([0, 0, 0, 3])))
  const body = await answerOf(reader, bytesMax)
  const end = body.indexOf(0)
  return body.toString('utf8', 0, end < 0 ? body.length : end)
}

/**
 * A bearer token by SASL, or null where the client has none and was told where to get one: it then comes again.
 * `discovery`: the issuer's openid-configuration, for clients that fetch a token themselves.
 */
export async function askBearer(
  stream: Duplex,
  reader: ByteReader,
  bytesMax: number,
  discovery: { url: string; scope: string } | null,
): Promise<string | null> {
  const sasl = (code: number, data: Buffer | string) => {
    const head = Buffer.alloc(4)
    head.writeInt32BE(code)
    return message(Backend.authentication, Buffer.concat([head, Buffer.from(data)]))
  }
  stream.write(sasl(10, 'OAUTHBEARER\0\0'))
  const body = await answerOf(reader, bytesMax)
  const end = body.indexOf(0)
  const mechanism = body.toString('latin1', 0, Math.max(end, 0))
  if (mechanism !== 'OAUTHBEARER' || body.length < end + 5)
    throw new WireError(`SASL mechanism ${JSON.stringify(mechanism.slice(0, 64))} was not offered`)
  const length = body.readInt32BE(end + 1)
  if (length !== body.length - end - 5) throw new WireError('a SASL answer of the wrong length')
  const token = bearerOf(body.toString('utf8', end + 5))
  if (token !== '') return token
  // RFC 7628, 3.2.2 and 3.2.3: why, then the client's acknowledgement, then the end.
  const status = {
    status: 'invalid_token',
    ...(discovery && { scope: discovery.scope, 'openid-configuration': discovery.url }),
  }
  stream.write(sasl(11, JSON.stringify(status)))
  await answerOf(reader, bytesMax)
  return null
}

/** gs2-header kvsep *(key=value kvsep) kvsep; separators are 0x01 (RFC 7628, 3.1). */
function bearerOf(first: string): string {
  const parts = first.split('\x01')
  // No channel binding: `n` or `y`. An authzid would be another's name.
  if (parts.length < 4 || !/^[ny],,$/.test(parts[0]!) || parts.at(-1) !== '' || parts.at(-2) !== '')
    throw new WireError('not the beginning of OAUTHBEARER')
  const auth = parts.slice(1, -2).filter((one) => one.startsWith('auth='))
  if (auth.length !== 1) throw new WireError('OAUTHBEARER without exactly one auth')
  const value = auth[0]!.slice('auth='.length)
  const match = /^bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(value)
  if (value !== '' && !match) throw new WireError('OAUTHBEARER: no bearer token')
  return match?.[1] ?? ''
}

/** AuthenticationOk; from here on notices are shown by clients, earlier they are an error to them. */
export function admit(stream: Duplex): void {
  stream.write(message(Backend.authentication, Buffer.alloc(4)))
}

export function tellNotice(stream: Duplex, text: string, hint?: string): void {
  stream.write(notice(text, hint))
}

async function answerOf(reader: ByteReader, bytesMax: number): Promise<Buffer> {
  const { type, body } = await reader.message(bytesMax)
  if (type !== PASSWORD)
    throw new WireError(`message type 0x${type.toString(16)} where a credential was asked for`)
  return body
}
