/**
 * Google SecOps by its ingestion API: UDM events (`/v2/udmevents:batchCreate`), or any other format as raw logs
 * (`/v2/unstructuredlogentries:batchCreate`). Signed in as a service account, whose key signs the request for a token (RFC 7523).
 */
import { createSign } from 'node:crypto'
import type { SiemDestinationSettings } from '@custody/kit'
import { type Destination, type Outgoing, Undelivered } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { KeptToken } from './credentials'

type Settings = Extract<SiemDestinationSettings, { type: 'secops' }>

const SCOPE = 'https://www.googleapis.com/auth/malachite-ingestion'
const TOKEN_SECONDS = 3600
/** Of 1 MB. */
const BYTES_MAX = 450_000
const LOG_TYPE = 'CUSTODY'

interface ServiceAccount {
  client_email: string
  private_key: string
  token_uri?: string
}

export function createSecops(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const base = settings.url.replace(/\/+$/, '')
  const token = new KeptToken(name, async (signal) => {
    const account = accountIn(name, await secrets.read(settings.serviceAccount))
    const url = account.token_uri ?? 'https://oauth2.googleapis.com/token'
    return outbound.ask(url, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: assertionOf(account, url, Math.floor(Date.now() / 1000)),
      }).toString(),
      signal,
    })
  })

  return {
    name,
    acknowledges: 'stored',
    limits: { bytesMax: BYTES_MAX, recordBytesMax: BYTES_MAX },
    async deliver({ records }, signal) {
      const isUdm = settings.format === 'udm'
      try {
        await outbound.ask(
          `${base}/v2/${isUdm ? 'udmevents' : 'unstructuredlogentries'}:batchCreate`,
          {
            headers: {
              'content-type': 'application/json',
              authorization: `Bearer ${await token.bearer(signal)}`,
            },
            body: isUdm
              ? `{"customer_id":"${settings.customerId}","events":[${records.map(({ text }) => text).join(',')}]}`
              : rawBodyOf(records, settings.customerId),
            gzip: settings.gzip,
            signal,
          },
        )
      } catch (error) {
        token.refused(error)
        throw error
      }
      return {}
    },
    async close() {
      outbound.close()
    },
  }
}

function rawBodyOf(records: readonly Outgoing[], customerId: string): string {
  return JSON.stringify({
    customer_id: customerId,
    log_type: LOG_TYPE,
    entries: records.map(({ text, timeMicros }) => ({
      log_text: text,
      ts_epoch_microseconds: timeMicros,
    })),
  })
}

function accountIn(name: string, json: string): ServiceAccount {
  try {
    const account = JSON.parse(json) as ServiceAccount
    if (typeof account.client_email === 'string' && typeof account.private_key === 'string')
      return account
  } catch {}
  throw new Undelivered(`${name}: serviceAccount is no JSON key of a service account`, 'setting')
}

export function assertionOf(account: ServiceAccount, audience: string, now: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({
    iss: account.client_email,
    scope: SCOPE,
    aud: audience,
    iat: now,
    exp: now + TOKEN_SECONDS,
  })}`
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(account.private_key, 'base64url')}`
}
