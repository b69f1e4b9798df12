/**
 * From the first byte to ReadyForQuery: with the client (TLS, start-up packet, credential) and with the target (TLS,
 * start-up packet, its own credential). Ends with both sides at the same point of the protocol.
 * Refuses to let the client see or choose the target's credential, and to read more than a start-up may have.
 */
import { createHash, type X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type SecureContext, TLSSocket } from 'node:tls'
import {
  CustodyError,
  isCustodyError,
  type PostgresResource,
  type Refusal,
  type Secrets,
} from '@custody/kit'
import { connectTarget, startTls } from '../../upstream'
import { md5Password, ScramClient } from './scram'
import {
  Backend,
  CANCEL_REQUEST,
  cstring,
  GSSENC_REQUEST,
  message,
  readErrorFields,
  readStartupParameters,
  SSL_REQUEST,
  startupMessage,
  WireError,
} from './wire'

/** PostgreSQL's own limit for start-up packets. */
const STARTUP_BYTES_MAX = 10_000
/** What a target may say while signing in; settings are short. */
const SIGN_IN_BYTES_MAX = 1024 * 1024

/** Reads exact counts of bytes, and gives back what it read too much. Nothing else may read the socket meanwhile. */
export class ByteReader {
  private held: Buffer = Buffer.alloc(0)
  private wake: (() => void) | null = null
  private failure: Error | null = null
  private readonly onData = (chunk: Buffer) => {
    this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk])
    if (this.held.length > SIGN_IN_BYTES_MAX) this.socket.pause()
    this.wake?.()
  }
  private readonly onEnd = () =>
    this.fail(new WireError('the connection was closed during sign-in'))
  private readonly onError = (error: Error) => this.fail(error)

  constructor(readonly socket: Duplex) {
    socket.on('data', this.onData)
    socket.on('end', this.onEnd)
    socket.on('close', this.onEnd)
    socket.on('error', this.onError)
    // An earlier reader may have left it paused.
    socket.resume()
  }

  async read(bytes: number): Promise<Buffer> {
    while (this.held.length < bytes) {
      if (this.failure) throw this.failure
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
      this.wake = null
    }
    const taken = this.held.subarray(0, bytes)
    this.held = this.held.subarray(bytes)
    return taken
  }

  /** The first byte, left where it is. */
  async peek(): Promise<number> {
    const first = await this.read(1)
    this.held = Buffer.concat([first, this.held])
    return first[0]!
  }

  /** A typed message's type and body. */
  async message(bytesMax: number): Promise<{ type: number; body: Buffer }> {
    const head = await this.read(5)
    const length = head.readInt32BE(1)
    if (length < 4 || length > bytesMax)
      throw new WireError(`a message of ${length} bytes during sign-in`)
    return { type: head[0]!, body: await this.read(length - 4) }
  }

  /** Stops reading; what was read too much is handed over. The socket stays paused. */
  release(): Buffer {
    this.socket.pause()
    this.socket.off('data', this.onData)
    this.socket.off('end', this.onEnd)
    this.socket.off('close', this.onEnd)
    this.socket.off('error', this.onError)
    return this.held
  }

  private fail(error: Error): void {
    this.failure ??= error
    this.wake?.()
  }
}

export type Greeting =
  | { kind: 'cancel'; stream: Duplex; pid: number; secret: Buffer }
  | {
      kind: 'startup'
      stream: Duplex
      reader: ByteReader
      parameters: Map<string, string>
      tls: TLSSocket | null
    }

/** Negotiates encryption and reads the start-up packet. */
export async function greet(socket: Socket, tls: SecureContext | null): Promise<Greeting> {
  let stream: Duplex = socket
  let secure: TLSSocket | null = null
  let reader = new ByteReader(socket)
  // PostgreSQL 17's direct TLS: the client begins with a ClientHello instead of asking.
  if (tls && (await reader.peek()) === 0x16) {
    secure = await acceptTls(reader, socket, tls)
    stream = secure
    reader = new ByteReader(secure)
  }
  for (let asked = 0; ; asked++) {
    const length = (await reader.read(4)).readInt32BE(0)
    if (length < 8 || length > STARTUP_BYTES_MAX)
      throw new WireError(`a start-up packet of ${length} bytes`)
    const body = Buffer.from(await reader.read(length - 4))
    const code = body.readInt32BE(0)
    if ((code === SSL_REQUEST || code === GSSENC_REQUEST) && asked < 2) {
      if (code === GSSENC_REQUEST || secure !== null || tls === null) {
        stream.write('N')
        continue
      }
      socket.write('S')
      secure = await acceptTls(reader, socket, tls)
      stream = secure
      reader = new ByteReader(secure)
      continue
    }
    if (code === CANCEL_REQUEST) {
      reader.release()
      if (body.length < 12) throw new WireError('a cancel request without a key')
      return { kind: 'cancel', stream, pid: body.readInt32BE(4), secret: body.subarray(8) }
    }
    if (code >>> 16 !== 3)
      throw new WireError(`protocol version ${code >>> 16}.${code & 0xffff}: only 3 is spoken here`)
    const parameters = readStartupParameters(body, 4, body.length)
    const unknown = [...parameters.keys()].filter((name) => name.startsWith('_pq_.'))
    if ((code & 0xffff) > 0 || unknown.length > 0) {
      // NegotiateProtocolVersion: newest minor version, then the options that are not known here.
      const head = Buffer.alloc(8)
      head.writeInt32BE(196608, 0)
      head.writeInt32BE(unknown.length, 4)
      stream.write(
        message(Backend.negotiateProtocolVersion, Buffer.concat([head, ...unknown.map(cstring)])),
      )
      for (const name of unknown) parameters.delete(name)
    }
    return { kind: 'startup', stream, reader, parameters, tls: secure }
  }
}

function acceptTls(
  reader: ByteReader,
  socket: Socket,
  secureContext: SecureContext,
): Promise<TLSSocket> {
  const early = reader.release()
  if (early.length > 0 && early[0] !== 0x16) throw new WireError('bytes before TLS began')
  if (early.length > 0) socket.unshift(early)
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext,
    ALPNProtocols: ['postgresql'],
  })
  return new Promise((resolve, reject) => {
    const failed = (error?: Error) =>
      reject(error ?? new WireError('the connection was closed during the TLS handshake'))
    secure.once('error', failed)
    secure.once('close', failed)
    secure.once('secure', () => {
      secure.off('error', failed)
      secure.off('close', failed)
      resolve(secure)
    })
  })
}

export interface SignedIn {
  stream: Duplex
  tls: TLSSocket | null
  /** Settings that the target reported. */
  parameters: Map<string, string>
  pid: number
  secret: Buffer
  /** What the target said from AuthenticationOk on, ReadyForQuery included, with the cancel key replaced by ours. */
  welcome: Buffer
  /** Bytes read beyond that. */
  rest: Buffer
}

/** An error with which the target itself refused; passed on as it is, since it holds no secret of ours. */
export class TargetRefusedError extends Error {
  constructor(
    readonly response: Buffer,
    readonly fields: Map<string, string>,
  ) {
    super(fields.get('M') ?? 'refused')
  }
}

/** Opens and secures a connection to the target. */
export async function reachTarget(
  resource: PostgresResource,
  connectMsMax: number,
): Promise<{ stream: Duplex; tls: TLSSocket | null }> {
  const socket = await connectTarget(resource.address, connectMsMax)
  if (resource.tls === 'disable') return { stream: socket, tls: null }
  const ask = Buffer.alloc(8)
  ask.writeInt32BE(8, 0)
  ask.writeInt32BE(SSL_REQUEST, 4)
  socket.write(ask)
  const reader = new ByteReader(socket)
  const timer = setTimeout(
    () => socket.destroy(new Error(`no answer within ${connectMsMax} ms`)),
    connectMsMax,
  )
  try {
    const answer = (await reader.read(1))[0]
    const early = reader.release()
    // What comes in clear with the answer is not the target's (CVE-2021-23222).
    if (early.length > 0) throw new WireError('the target sent bytes before TLS began')
    if (answer === 0x53) {
      const tls = await startTls(
        socket,
        resource.address,
        resource.tls,
        resource.tlsCa,
        connectMsMax,
        ['postgresql'],
      )
      return { stream: tls, tls }
    }
    if (resource.tls === 'prefer') return { stream: socket, tls: null }
    throw new CustodyError(
      'CUSTODY-TARGET-002',
      `the target ${resource.address} does not speak TLS, and the resource asks for ${resource.tls}`,
    )
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Signs in at the target with the resource's own account, whose password is read anew for each sign-in, and once more where
 * the target refuses it and it has changed meanwhile. `clientSecret` is the cancel key that the client will know.
 */
export async function signIn(
  resource: PostgresResource,
  database: string,
  asked: ReadonlyMap<string, string>,
  clientSecret: Buffer,
  connectMsMax: number,
  secrets: Secrets,
): Promise<SignedIn> {
  const attempt = async (password: string | null): Promise<SignedIn> => {
    const { stream, tls } = await reachTarget(resource, connectMsMax)
    const timer = setTimeout(
      () => stream.destroy(new Error(`no sign-in within ${connectMsMax} ms`)),
      connectMsMax,
    )
    try {
      const parameters = new Map(asked)
      parameters.set('user', resource.account)
      parameters.set('database', database)
      stream.write(startupMessage(parameters))
      const reader = new ByteReader(stream)
      await authenticate(stream, reader, resource, tls, password)
      return await welcome(stream, reader, tls, clientSecret)
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

/**
 * 28P01 is about the password. 28000 is about the role, the database and where we come from as well: the database is what
 * a client chooses, so it must not make a good password count as a wrong one.
 */
function refusalOf(error: unknown): Refusal | null {
  const code = error instanceof TargetRefusedError ? error.fields.get('C') : undefined
  return code === '28P01' ? 'wrong' : code === '28000' ? 'unclear' : null
}

async function authenticate(
  stream: Duplex,
  reader: ByteReader,
  resource: PostgresResource,
  tls: TLSSocket | null,
  password: string | null,
): Promise<void> {
  const need = (): string => {
    if (password === null)
      throw new CustodyError(
        'CUSTODY-TARGET-004',
        `the target asks for a password and the resource has none`,
      )
    return password
  }
  let scram: ScramClient | null = null
  const answer = (body: Buffer) => stream.write(message(0x70, body))
  for (;;) {
    const { type, body } = await reader.message(SIGN_IN_BYTES_MAX)
    if (type === Backend.errorResponse) refuse(body, password)
    if (type === Backend.noticeResponse || type === Backend.negotiateProtocolVersion) continue
    if (type !== Backend.authentication)
      throw new WireError(`the target sent message type 0x${type.toString(16)} while signing in`)
    const method = body.readInt32BE(0)
    switch (method) {
      case 0:
        return
      case 3:
        answer(cstring(need()))
        break
      case 5:
        answer(cstring(md5Password(resource.account, need(), body.subarray(4, 8))))
        break
      case 10: {
        const mechanisms = body.toString('latin1', 4).split('\0')
        const binding = tls && mechanisms.includes('SCRAM-SHA-256-PLUS') ? endPointHash(tls) : null
        if (!mechanisms.includes('SCRAM-SHA-256') && binding === null)
          throw new CustodyError(
            'CUSTODY-TARGET-004',
            `the target offers only ${mechanisms.filter(Boolean).join(', ')}`,
          )
        scram = new ScramClient(need(), binding, tls !== null)
        const first = Buffer.from(scram.first())
        const length = Buffer.alloc(4)
        length.writeInt32BE(first.length)
        answer(Buffer.concat([cstring(scram.mechanism), length, first]))
        break
      }
      case 11:
        if (!scram) throw new WireError('a SCRAM challenge that was not begun')
        answer(Buffer.from(await scram.final(body.toString('utf8', 4))))
        break
      case 12:
        if (!scram) throw new WireError('a SCRAM end that was not begun')
        scram.verify(body.toString('utf8', 4))
        break
      default:
        throw new CustodyError(
          'CUSTODY-TARGET-004',
          `the target asks for authentication method ${method}, which is not supported (SCRAM, md5 and password are)`,
        )
    }
  }
}

function refuse(body: Buffer, password: string | null = null): never {
  // It may have been given in clear text, and is not to be repeated to the client or in the record.
  if (password && body.includes(password))
    throw new CustodyError(
      'CUSTODY-TARGET-004',
      'the target refused the sign-in; its words are withheld, since they hold the credential',
    )
  throw new TargetRefusedError(
    message(Backend.errorResponse, body),
    readErrorFields(body, 0, body.length),
  )
}

/** tls-server-end-point: hash of the certificate by its own signature's hash, SHA-256 for MD5 and SHA-1 (RFC 5929, 4.1). */
function endPointHash(tls: TLSSocket): Buffer | null {
  const certificate = tls.getPeerX509Certificate?.() as
    | (X509Certificate & { signatureAlgorithm?: string })
    | undefined
  if (!certificate) return null
  const algorithm = /sha(384|512)/i.exec(
    certificate.signatureAlgorithm ?? signatureAlgorithmOf(certificate.raw),
  )?.[1]
  return createHash(algorithm ? `sha${algorithm}` : 'sha256')
    .update(certificate.raw)
    .digest()
}

/** Object identifiers of the signature algorithms that don't hash with SHA-256 (DER). */
function signatureAlgorithmOf(der: Buffer): string {
  const has = (hex: string) => der.includes(Buffer.from(hex, 'hex'))
  if (has('2a864886f70d01010c') || has('2a8648ce3d040303')) return 'sha384'
  if (has('2a864886f70d01010d') || has('2a8648ce3d040304')) return 'sha512'
  return 'sha256'
}

async function welcome(
  stream: Duplex,
  reader: ByteReader,
  tls: TLSSocket | null,
  clientSecret: Buffer,
): Promise<SignedIn> {
  const parts: Buffer[] = [message(Backend.authentication, Buffer.alloc(4))]
  const parameters = new Map<string, string>()
  let pid = 0
  let secret: Buffer = Buffer.alloc(4)
  for (;;) {
    const { type, body } = await reader.message(SIGN_IN_BYTES_MAX)
    if (type === Backend.errorResponse) refuse(body)
    if (type === Backend.parameterStatus) {
      const zero = body.indexOf(0)
      parameters.set(
        body.toString('utf8', 0, zero),
        body.toString('utf8', zero + 1, body.length - 1),
      )
    }
    if (type === Backend.backendKeyData) {
      pid = body.readInt32BE(0)
      secret = Buffer.from(body.subarray(4))
      parts.push(message(type, Buffer.concat([body.subarray(0, 4), clientSecret])))
    } else parts.push(message(type, body))
    if (type === Backend.readyForQuery)
      return {
        stream,
        tls,
        parameters,
        pid,
        secret,
        welcome: Buffer.concat(parts),
        rest: reader.release(),
      }
  }
}
