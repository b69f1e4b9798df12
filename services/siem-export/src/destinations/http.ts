/**
 * Any HTTP receiver: records as lines, as a JSON array or within a template; signed as Standard Webhooks have it, where a
 * secret is given (`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64 of HMAC-SHA256>` over
 * `id.timestamp.body`, before compression). The identifier of a batch is the same whenever it comes again.
 */
import { createHash, createHmac } from 'node:crypto'
import { CustodyError, type SiemDestinationSettings } from '@custody/kit'
import type { Batch, Destination } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { headersOf } from './credentials'

type Settings = Extract<SiemDestinationSettings, { type: 'http' }>

const SECRET_CHARACTERS_MIN = 24

export function createHttp(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets, gateway } = context
  const outbound = outboundOf(context)

  async function headersFor(id: string, body: string): Promise<Record<string, string>> {
    const headers: Record<string, string> = {
      'content-type': settings.body === 'lines' ? 'application/x-ndjson' : 'application/json',
      ...(await headersOf(secrets, settings.headers)),
    }
    if (settings.token) headers.authorization = `Bearer ${await secrets.read(settings.token)}`
    headers['webhook-id'] = id
    if (settings.signingSecret) {
      const timestamp = String(Math.floor(Date.now() / 1000))
      const key = keyOf(name, await secrets.read(settings.signingSecret))
      const signature = createHmac('sha256', key)
        .update(`${id}.${timestamp}.${body}`)
        .digest('base64')
      headers['webhook-timestamp'] = timestamp
      headers['webhook-signature'] = `v1,${signature}`
    }
    return headers
  }

  return {
    name,
    acknowledges: 'stored',
    async deliver(batch, signal) {
      const id = batchId(batch)
      const body = bodyOf(settings, batch, id, gateway)
      await outbound.ask(settings.url, {
        method: settings.method,
        headers: await headersFor(id, body),
        body,
        gzip: settings.gzip,
        signal,
      })
      return {}
    },
    async close() {
      outbound.close()
    },
  }
}

export function batchId({ records }: Pick<Batch, 'records'>): string {
  const digest = createHash('sha256')
  for (const { id } of records) digest.update(id)
  return `custody-${digest.digest('hex').slice(0, 32)}`
}

export function bodyOf(
  { body, template }: Pick<Settings, 'body' | 'template'>,
  { records }: Pick<Batch, 'records'>,
  id: string,
  gateway: string,
): string {
  if (body === 'lines') return `${records.map(({ text }) => text).join('\n')}\n`
  const array = `[${records.map(({ text }) => (text.startsWith('{') ? text : JSON.stringify(text))).join(',')}]`
  if (body === 'array') return array
  const values: Record<string, string> = {
    records: array,
    count: String(records.length),
    batch: id,
    gateway,
  }
  // Once through: what a record says is no template.
  return template!.replace(/\{\{(\w+)\}\}/g, (whole, key: string) => values[key] ?? whole)
}

function keyOf(name: string, secret: string): Buffer {
  if (secret.startsWith('whsec_')) return Buffer.from(secret.slice('whsec_'.length), 'base64')
  if (secret.length < SECRET_CHARACTERS_MIN)
    throw new CustodyError(
      'CUSTODY-SIEM-002',
      `${name}: signingSecret must have ${SECRET_CHARACTERS_MIN} characters or more`,
    )
  return Buffer.from(secret)
}
