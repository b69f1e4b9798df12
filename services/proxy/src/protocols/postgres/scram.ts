/**
 * Signing in at the target: SCRAM-SHA-256 and -PLUS (RFC 5802, 7677; channel binding tls-server-end-point, RFC 5929)
 * and MD5. Takes messages, gives messages; opens nothing. A password's key is derived once per salt and kept, as a server
 * keeps its own, since deriving it takes milliseconds and every session of a resource needs the same.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const ITERATIONS_MAX = 1_000_000

const derive = promisify(pbkdf2)
const KEYS_MAX = 100
const keys = new Map<string, Promise<Buffer>>()

function saltedPassword(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  const name = createHash('sha256')
    .update(`${iterations}:${salt.toString('base64')}:${password}`)
    .digest('base64')
  let key = keys.get(name)
  if (key === undefined) {
    if (keys.size >= KEYS_MAX) keys.clear()
    key = derive(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
    keys.set(name, key)
  }
  return key
}

export function md5Password(user: string, password: string, salt: Buffer): string {
  const inner = createHash('md5')
    .update(password + user)
    .digest('hex')
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`
}

export class ScramClient {
  private readonly firstBare: string
  private readonly header: string
  private serverSignature: Buffer | null = null
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'

  /** `binding`: hash of the target's certificate where the connection is TLS and the target offers -PLUS. */
  constructor(
    private readonly password: string,
    private readonly binding: Buffer | null,
    tls: boolean,
    private readonly nonce = randomBytes(18).toString('base64'),
    /** The name is the one of the start-up packet; PostgreSQL ignores this one. */
    user = '',
  ) {
    this.firstBare = `n=${user},r=${nonce}`
    this.mechanism = binding ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256'
    // "y": we could bind, but the target did not offer it, so that it notices if somebody took the offer away.
    this.header = binding ? 'p=tls-server-end-point,,' : tls ? 'y,,' : 'n,,'
  }

  first(): string {
    return this.header + this.firstBare
  }

  async final(serverFirst: string): Promise<string> {
    const fields = new Map(serverFirst.split(',').map((field) => [field[0], field.slice(2)]))
    const nonce = fields.get('r') ?? ''
    const salt = Buffer.from(fields.get('s') ?? '', 'base64')
    const iterations = Number(fields.get('i'))
    if (!nonce.startsWith(this.nonce) || nonce.length === this.nonce.length || salt.length === 0)
      throw new Error('the target sent a bad SCRAM challenge')
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > ITERATIONS_MAX)
      throw new Error('the target asks for an impossible number of SCRAM iterations')
    const salted = await saltedPassword(this.password, salt, iterations)
    const clientKey = hmac(salted, 'Client Key')
    const storedKey = createHash('sha256').update(clientKey).digest()
    const binding = Buffer.concat([
      Buffer.from(this.header),
      this.binding ?? Buffer.alloc(0),
    ]).toString('base64')
    const withoutProof = `c=${binding},r=${nonce}`
    const authMessage = `${this.firstBare},${serverFirst},${withoutProof}`
    const signature = hmac(storedKey, authMessage)
    const proof = Buffer.alloc(32)
    for (let i = 0; i < 32; i++) proof[i] = clientKey[i]! ^ signature[i]!
    this.serverSignature = hmac(hmac(salted, 'Server Key'), authMessage)
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Throws unless the target proved that it knows the password too. */
  verify(serverFinal: string): void {
    const got = Buffer.from(/(?:^|,)v=([^,]*)/.exec(serverFinal)?.[1] ?? '', 'base64')
    if (
      this.serverSignature === null ||
      got.length !== 32 ||
      !timingSafeEqual(got, this.serverSignature)
    )
      throw new Error("the target's SCRAM signature is wrong: it does not know the password")
  }
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
