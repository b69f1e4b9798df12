/**
 * Tokens for SASL OAUTHBEARER, by the client's own credentials (RFC 6749, 4.4): asked for once, kept until shortly before
 * they expire. Refuses to follow redirects and to show a token.
 */
import { CustodyError, type KafkaSettings, type Secrets } from '@custody/kit'

export interface Tokens {
  token(): Promise<string>
  /** A broker did not take it. */
  refused(): void
}

const ANSWER_MS_MAX = 10_000
/** Where the answer does not say how long a token lives. */
const LIFE_SECONDS_DEFAULT = 300

export function createTokens({ sasl }: KafkaSettings, secrets: Secrets): Tokens | null {
  if (sasl?.mechanism !== 'oauthbearer') return null
  let kept: { token: string; untilMs: number } | null = null
  let asking: Promise<string> | null = null

  async function ask(secret: string): Promise<string> {
    if (sasl?.mechanism !== 'oauthbearer') throw new TypeError('no token here')
    const encoded = [sasl.clientId, secret].map(encodeURIComponent).join(':')
    let response: Response
    let answer: { access_token?: unknown; expires_in?: unknown; error?: unknown }
    try {
      response = await fetch(sasl.tokenUrl, {
        method: 'POST',
        redirect: 'error',
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        headers: {
          authorization: `Basic ${Buffer.from(encoded).toString('base64')}`,
          'content-type': 'application/x-www-form-urlencoded',
          accept: 'application/json',
        },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          ...(sasl.scope && { scope: sasl.scope }),
        }).toString(),
      })
      answer = (await response.json()) as typeof answer
    } catch (cause) {
      throw new CustodyError('CUSTODY-KAFKA-002', `no token from ${sasl.tokenUrl}`, { cause })
    }
    if (!response.ok || typeof answer.access_token !== 'string')
      throw new CustodyError(
        'CUSTODY-KAFKA-002',
        `no token from ${sasl.tokenUrl}: ${response.status} ${typeof answer.error === 'string' ? answer.error : ''}`,
      )
    const seconds = Number(answer.expires_in) || LIFE_SECONDS_DEFAULT
    kept = { token: answer.access_token, untilMs: Date.now() + seconds * 800 }
    return answer.access_token
  }

  return {
    async token() {
      if (kept && Date.now() < kept.untilMs) return kept.token
      const { clientSecret } = sasl
      asking ??= secrets
        .use(clientSecret, ask, (error) => (/ 40[01] /.test(String(error)) ? 'wrong' : null))
        .finally(() => {
          asking = null
        })
      return await asking
    },
    refused() {
      kept = null
    },
  }
}
