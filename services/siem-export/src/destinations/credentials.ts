/** How a destination says who it is: names and passwords, headers whose values may be secrets, tokens that are asked for. */
import type { Secret, Secrets } from '@custody/kit'
import { Undelivered } from '../delivery/destination'
import { jsonOf, type OutboundAnswer } from './outbound'

const TOKEN_EARLY_MS = 5 * 60_000

/** Of `authorization` (RFC 7617). */
export async function basic(secrets: Secrets, user: string, password?: Secret): Promise<string> {
  const account = `${user}:${password ? await secrets.read(password) : ''}`
  return `Basic ${Buffer.from(account).toString('base64')}`
}

/** Names in lower case, so that none is there twice. */
export async function headersOf(
  secrets: Secrets,
  headers: Readonly<Record<string, string | Secret>>,
): Promise<Record<string, string>> {
  const read: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers))
    read[name.toLowerCase()] = typeof value === 'string' ? value : await secrets.read(value)
  return read
}

/** A token (RFC 6749), asked for with `ask` and kept until shortly before it ends. */
export class KeptToken {
  private token: { value: string; untilMs: number } | null = null

  constructor(
    private readonly name: string,
    private readonly ask: (signal: AbortSignal) => Promise<OutboundAnswer>,
  ) {}

  async bearer(signal: AbortSignal): Promise<string> {
    if (this.token && Date.now() < this.token.untilMs) return this.token.value
    const answer = await this.ask(signal).catch((error) => {
      // A sign-in that is refused says nothing of the records.
      if (error instanceof Undelivered && error.fault === 'refused')
        throw new Undelivered(`${this.name}: the sign-in was refused`, 'setting', undefined, error)
      throw error
    })
    const { access_token: value, expires_in: seconds = 0 } = jsonOf<{
      access_token?: string
      expires_in?: number
    }>(this.name, answer)
    if (!value) throw new Undelivered(`${this.name}: the sign-in gave no token`, 'setting')
    this.token = { value, untilMs: Date.now() + seconds * 1000 - TOKEN_EARLY_MS }
    return value
  }

  /** It may have been revoked: the next try has another one. */
  refused(error: unknown): void {
    if (error instanceof Undelivered && error.fault === 'setting') this.token = null
  }
}
