/**
 * Signs in at a target with the resource's own account: TLS as the resource asks for, whatever account plug-in the target
 * has, and then what must be known of the session from its beginning. Ends with a connection that waits for a command.
 * Refuses to give the password away in clear text but over TLS, and to show it to anybody.
 */
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import {
  CustodyError,
  isCustodyError,
  type MysqlResource,
  type Refusal,
  type Secrets,
} from '@custody/kit'
import { RowPlaces } from '@custody/mysql-values'
import { connectTarget, startTls } from '../../upstream'
import { Answer, ColumnMemory, Seen, type Shape } from './answers'
import { PacketChannel } from './channel'
import {
  cachingSha2,
  ed25519Password,
  encryptedPassword,
  nativePassword,
  switchedNonce,
} from './scrambles'
import {
  Capability,
  Command,
  cstring,
  EOF,
  ERR,
  type ErrFields,
  Fields,
  type HandshakeResponse,
  HEADER_BYTES,
  handshakeHead,
  handshakeResponsePayload,
  MariadbCapability,
  OK,
  packet,
  readErr,
  readGreeting,
  readOk,
  type ServerGreeting,
  WireError,
} from './wire'

/** What the relay can follow; nothing else is agreed on with either side. */
export const CAPABILITIES =
  (Capability.longPassword |
    Capability.foundRows |
    Capability.longFlag |
    Capability.connectWithDb |
    Capability.noSchema |
    Capability.odbc |
    Capability.localFiles |
    Capability.ignoreSpace |
    Capability.protocol41 |
    Capability.interactive |
    Capability.ignoreSigpipe |
    Capability.transactions |
    Capability.reserved |
    Capability.secureConnection |
    Capability.multiStatements |
    Capability.multiResults |
    Capability.psMultiResults |
    Capability.pluginAuth |
    Capability.connectAttributes |
    Capability.authLenenc |
    Capability.sessionTrack |
    Capability.deprecateEof |
    Capability.queryAttributes) >>>
  0
export const MARIADB_CAPABILITIES =
  MariadbCapability.progress |
  MariadbCapability.bulk |
  MariadbCapability.extendedMetadata |
  MariadbCapability.bulkUnitResults

/** Always asked for, whatever the client can do. */
const OWN_CAPABILITIES =
  Capability.protocol41 |
  Capability.secureConnection |
  Capability.pluginAuth |
  Capability.authLenenc |
  Capability.connectWithDb |
  Capability.connectAttributes |
  Capability.sessionTrack |
  Capability.transactions |
  Capability.longFlag

/** What the relay must know of a session to read its statements as the target does. */
export interface SessionVariables {
  sqlMode: string
  /** That the client's texts are in. */
  charset: string
  /** The target tells of its changes. */
  isTracked: boolean
  /** Of which it tells because we asked it to; the client did not. */
  added: readonly string[]
}

export interface SignedIn {
  stream: Duplex
  tls: TLSSocket | null
  greeting: ServerGreeting
  /** Agreed on with the target. */
  capabilities: number
  mariadbCapabilities: number
  status: number
  variables: SessionVariables
  rest: Buffer
}

/** What both sides of a connection can do. */
export interface Agreed {
  capabilities: number
  mariadbCapabilities: number
}

/** What the client's session shall be like. */
export interface Wanted {
  capabilities: number
  mariadbCapabilities: number
  packetBytesMax: number
  collation: number
  database: string
  attributes: ReadonlyMap<string, string>
}

/** The target's own words. */
export class TargetRefusedError extends Error {
  constructor(readonly fields: ErrFields) {
    super(fields.message)
  }
}

export async function signIn(
  resource: MysqlResource,
  wanted: Wanted,
  connectMsMax: number,
  secrets: Secrets,
): Promise<SignedIn> {
  const attempt = async (password: string | null): Promise<SignedIn> => {
    const socket = await connectTarget(resource.address, connectMsMax)
    let stream: Duplex = socket
    const timer = setTimeout(
      () => stream.destroy(new Error(`no sign-in within ${connectMsMax} ms`)),
      connectMsMax,
    )
    try {
      let channel = new PacketChannel(socket)
      const first = await channel.read()
      if (first[0] === ERR) throw new TargetRefusedError(readErr(first, 0, first.length))
      const greeting = readGreeting(first)
      const agreed = agree(greeting, wanted)
      let tls: TLSSocket | null = null
      if (resource.tls !== 'disable' && greeting.capabilities & Capability.ssl) {
        agreed.capabilities |= Capability.ssl
        channel.send(handshakeHead(agreed))
        const early = channel.release()
        // What comes in clear before TLS is not the target's.
        if (early.length > 0) throw new WireError('the target sent bytes before TLS began')
        tls = await startTls(
          socket,
          resource.address,
          resource.tls,
          resource.tlsCa,
          connectMsMax,
          [],
        )
        stream = tls
        channel = new PacketChannel(tls, channel.sequence)
      } else if (resource.tls === 'require' || resource.tls === 'verify-full')
        throw new CustodyError(
          'CUSTODY-TARGET-002',
          `the target ${resource.address} does not speak TLS, and the resource asks for ${resource.tls}`,
        )
      const status = await authenticate(channel, resource, greeting, agreed, password, tls !== null)
      const variables = await firstVariables(channel, agreed)
      return {
        ...{ stream, tls, greeting, status, variables },
        capabilities: agreed.capabilities,
        mariadbCapabilities: agreed.mariadbCapabilities,
        rest: channel.release(),
      }
    } catch (error) {
      stream.destroy()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
  if (!resource.password) return attempt(null)
  try {
    return await secrets.use(resource.password, attempt, refusalOf)
  } catch (error) {
    throw isCustodyError(error) && /^CUSTODY-(CONFIG|VAULT)-/.test(error.code)
      ? // Where the secret is kept is for the record and the log, not for the client.
        new CustodyError('CUSTODY-SECRET-001', 'the credential for the target can’t be read', {
          cause: error,
          details: { recorded: `${error.code}: ${error.message}` },
        })
      : error
  }
}

/** 1045 is about the account and its password; 1698 about how the account may sign in. */
function refusalOf(error: unknown): Refusal | null {
  const errno = error instanceof TargetRefusedError ? error.fields.errno : 0
  return errno === 1045 ? 'wrong' : errno === 1698 ? 'unclear' : null
}

function agree(greeting: ServerGreeting, wanted: Wanted): HandshakeResponse {
  const isMariadb = (greeting.capabilities & Capability.longPassword) === 0
  let capabilities = (wanted.capabilities & CAPABILITIES) | OWN_CAPABILITIES
  // MariaDB's own ones are spoken of where this bit is not set.
  if (wanted.database === '') capabilities &= ~Capability.connectWithDb
  if (isMariadb) capabilities &= ~Capability.longPassword
  else capabilities |= Capability.longPassword
  capabilities &= greeting.capabilities | Capability.longPassword
  return {
    ...{ user: '', auth: Buffer.alloc(0), plugin: '', zstdLevel: 0 },
    packetBytesMax: wanted.packetBytesMax,
    collation: wanted.collation,
    database: wanted.database,
    attributes: new Map(wanted.attributes),
    capabilities: capabilities >>> 0,
    mariadbCapabilities: isMariadb
      ? wanted.mariadbCapabilities & MARIADB_CAPABILITIES & greeting.mariadbCapabilities
      : 0,
  }
}

async function authenticate(
  channel: PacketChannel,
  resource: MysqlResource,
  greeting: ServerGreeting,
  agreed: HandshakeResponse,
  password: string | null,
  isSecure: boolean,
): Promise<number> {
  let { plugin, nonce } = greeting
  const secret = password ?? ''
  // A plug-in that would need more than one step is begun by the target itself.
  if (plugin !== 'mysql_native_password' && plugin !== 'caching_sha2_password')
    plugin = 'mysql_native_password'
  agreed.user = resource.account
  agreed.plugin = plugin
  agreed.auth = answerTo(plugin, secret, nonce, isSecure)
  channel.send(handshakeResponsePayload(agreed))
  for (;;) {
    const said = await channel.read()
    switch (said[0]) {
      case OK:
        return readOk(said, 0, said.length).status
      case ERR:
        throw refused(said, password)
      case EOF: {
        if (said.length === 1)
          throw new CustodyError(
            'CUSTODY-TARGET-004',
            'the target asks for a password as of before MySQL 4.1',
          )
        const f = new Fields(said, 1, said.length)
        plugin = f.cstring()
        nonce = switchedNonce(plugin, f.rest())
        channel.send(answerTo(plugin, secret, nonce, isSecure))
        break
      }
      case 1:
        await further(channel, said.subarray(1), plugin, secret, nonce, isSecure)
        break
      default:
        throw new WireError('the target said something else while signing in')
    }
  }
}

const FULL = 4
const FAST_DONE = 3
const ASK_KEY = Buffer.from([2])
const ASK_KEY_SHA256 = Buffer.from([1])

function answerTo(plugin: string, password: string, nonce: Buffer, isSecure: boolean): Buffer {
  switch (plugin) {
    case 'mysql_native_password':
      return nativePassword(password, nonce)
    case 'caching_sha2_password':
      return cachingSha2(password, nonce)
    case 'client_ed25519':
      return ed25519Password(password, nonce)
    case 'sha256_password':
      if (password === '') return Buffer.alloc(1)
      return isSecure ? cstring(password) : ASK_KEY_SHA256
    case 'mysql_clear_password':
      if (isSecure) return cstring(password)
      throw new CustodyError(
        'CUSTODY-TARGET-004',
        'the target asks for the password in clear text, and the connection to it has no TLS',
      )
    default:
      throw new CustodyError(
        'CUSTODY-TARGET-004',
        `the target asks for the account plug-in ${JSON.stringify(plugin)}, which is not supported (mysql_native_password, caching_sha2_password, sha256_password, client_ed25519 and mysql_clear_password are)`,
      )
  }
}

/** What a plug-in says beyond its first word. */
async function further(
  channel: PacketChannel,
  said: Buffer,
  plugin: string,
  password: string,
  nonce: Buffer,
  isSecure: boolean,
): Promise<void> {
  if (plugin === 'caching_sha2_password') {
    if (said[0] === FAST_DONE) return
    if (said[0] === FULL) {
      channel.send(isSecure ? cstring(password) : ASK_KEY)
      return
    }
  } else if (plugin !== 'sha256_password')
    throw new WireError(`the target goes on where ${plugin} is over`)
  if (isSecure) throw new WireError('the target sent a key that nobody asked for')
  try {
    channel.send(encryptedPassword(password, nonce, said.toString('latin1')))
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-TARGET-004',
      'the target’s key can’t encrypt the password; let the resource use TLS',
      { cause },
    )
  }
}

function refused(said: Buffer, password: string | null): Error {
  // It may have been given in clear text, and is not to be repeated to the client or in the record.
  if (password && said.includes(password))
    return new CustodyError(
      'CUSTODY-TARGET-004',
      'the target refused the sign-in; its words are withheld, since they hold the credential',
    )
  return new TargetRefusedError(readErr(said, 0, said.length))
}

// ── what is known of the session ─────────────────────────────────────────────────────────────────────────────────

export const VARIABLES_QUERY = 'SELECT @@session.sql_mode, @@session.character_set_client'
export const TRACKED_QUERY = `${VARIABLES_QUERY}, @@session.session_track_system_variables`
/** Those whose changes the target is to tell. */
const FOLLOWED = ['sql_mode', 'character_set_client', 'session_track_system_variables']

/** The statement that makes the target tell of them, or null where it does already. */
export function trackingStatement(tracked: string): { sql: string; added: string[] } | null {
  const names = tracked
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  const added = names.includes('*') ? [] : FOLLOWED.filter((name) => !names.includes(name))
  if (added.length === 0) return null
  const all = [...names.filter(Boolean), ...added].join(',')
  return { sql: `SET SESSION session_track_system_variables='${all.replaceAll("'", '')}'`, added }
}

async function firstVariables(channel: PacketChannel, agreed: Agreed): Promise<SessionVariables> {
  const tracks = (agreed.capabilities & Capability.sessionTrack) !== 0
  let row = await ask(channel, tracks ? TRACKED_QUERY : VARIABLES_QUERY, agreed)
  if (row === null && tracks) row = await ask(channel, VARIABLES_QUERY, agreed)
  if (row === null)
    throw new CustodyError(
      'CUSTODY-TARGET-004',
      'the target does not say what sql_mode is in force',
    )
  const [sqlMode = '', charset = '', tracked] = row
  let isTracked = false
  let added: readonly string[] = []
  if (tracked !== undefined) {
    const statement = trackingStatement(tracked)
    isTracked = statement === null || (await ask(channel, statement.sql, agreed)) !== null
    added = statement?.added ?? []
  }
  return { sqlMode, charset, isTracked, added }
}

/** The values of the first row (none for a statement without rows); null: the target refused it. */
async function ask(channel: PacketChannel, sql: string, agreed: Agreed): Promise<string[] | null> {
  channel.sequence = 0
  channel.send(ownQuery(sql, agreed.capabilities))
  const reader = new OwnAnswer(agreed)
  while (!reader.answer.isOver) {
    const payload = await channel.read()
    const whole = Buffer.concat([Buffer.alloc(HEADER_BYTES), payload])
    reader.take(whole, 0, whole.length)
  }
  return reader.values
}

/** One statement on a connection of its own. */
export async function runAlone(
  resource: MysqlResource,
  sql: string,
  connectMsMax: number,
  secrets: Secrets,
): Promise<void> {
  const { stream, capabilities, mariadbCapabilities } = await signIn(
    resource,
    {
      ...{ capabilities: 0, mariadbCapabilities: 0, packetBytesMax: 1 << 24, collation: 45 },
      ...{ database: '', attributes: new Map() },
    },
    connectMsMax,
    secrets,
  )
  const timer = setTimeout(() => stream.destroy(), connectMsMax)
  try {
    await ask(new PacketChannel(stream), sql, { capabilities, mariadbCapabilities })
    stream.end(packet(0, Buffer.from([Command.quit])))
  } finally {
    clearTimeout(timer)
    stream.on('error', () => {})
    stream.resume()
  }
}

/** COM_QUERY of our own: without attributes, where some could be. */
export function ownQuery(sql: string, capabilities: number): Buffer {
  const attributes = capabilities & Capability.queryAttributes ? [0, 1] : []
  return Buffer.concat([Buffer.from([Command.query, ...attributes]), Buffer.from(sql)])
}

/** The answer to a question of our own. */
export class OwnAnswer {
  readonly answer: Answer
  /** Of the first row; none for what has no rows; null where the target refused. */
  values: string[] | null = []

  constructor(agreed: Agreed, shape: Shape = 'text') {
    this.answer = new Answer(shape, answerSettings(agreed), new ColumnMemory())
  }

  take(bytes: Buffer, at: number, end: number): void {
    const seen = this.answer.take(bytes, at, end)
    if (seen === Seen.error) this.values = null
    else if (seen === Seen.file) throw new WireError('a file where none was spoken of')
    else if (seen === Seen.row && this.values?.length === 0) {
      const places = new RowPlaces(
        this.answer.columns.map(({ type }) => type),
        false,
      )
      places.read(bytes, at + HEADER_BYTES, end)
      this.values = this.answer.columns.map((_, i) =>
        places.starts[i]! < 0 ? '' : bytes.toString('utf8', places.starts[i]!, places.ends[i]!),
      )
    }
  }
}

export function answerSettings({ capabilities, mariadbCapabilities }: Agreed) {
  return {
    deprecateEof: (capabilities & Capability.deprecateEof) !== 0,
    extendedMetadata: (mariadbCapabilities & MariadbCapability.extendedMetadata) !== 0,
  }
}
