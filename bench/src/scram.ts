/** Just enough of SCRAM-SHA-256 (RFC 7677) and password sign-in for the bench's own idle connections. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()

function message(body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head[0] = 0x70
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

export class ScramClient {
  private readonly bare = `n=,r=${randomBytes(18).toString('base64')}`

  constructor(private readonly password: string) {}

  /** What to say to an Authentication message, or null. */
  answer(body: Buffer): Buffer | null {
    switch (body.readInt32BE(0)) {
      case 3:
        return message(Buffer.from(`${this.password}\0`))
      case 10: {
        const first = Buffer.from(`n,,${this.bare}`)
        const length = Buffer.alloc(4)
        length.writeInt32BE(first.length)
        return message(Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, first]))
      }
      case 11: {
        const challenge = body.toString('utf8', 4)
        const fields = new Map(challenge.split(',').map((one) => [one[0], one.slice(2)]))
        const salted = pbkdf2Sync(
          this.password,
          Buffer.from(fields.get('s')!, 'base64'),
          Number(fields.get('i')),
          32,
          'sha256',
        )
        const clientKey = hmac(salted, 'Client Key')
        const without = `c=biws,r=${fields.get('r')}`
        const signature = hmac(
          createHash('sha256').update(clientKey).digest(),
          `${this.bare},${challenge},${without}`,
        )
        const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!))
        return message(Buffer.from(`${without},p=${proof.toString('base64')}`))
      }
      default:
        return null
    }
  }
}
