/**
 * Objects in an S3-compatible store, one for each batch and hour (or day) of its events:
 *   <prefix>/date=2026-01-31/hour=23/<gateway>-<first event>-<last event>-<count>.jsonl.gz   or .parquet
 * The name follows from what is in it, so that the same batch again is the same object. Requests are signed as AWS has it
 * (signature version 4); the body's digest is part of the signature, so what arrives is what was sent.
 */
import { createHash, createHmac } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzipSync, gzip } from 'node:zlib'
import type { SiemDestinationSettings } from '@custody/kit'
import { type Destination, type Outgoing, Undelivered } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { idIn } from './id-in'
import type { OutboundAnswer } from './outbound'
import { fromParquet, toParquet } from './parquet'

type Settings = Extract<SiemDestinationSettings, { type: 's3' }>

const gzipped = promisify(gzip)
const PUTS_MAX = 4
const HOUR_MICROS = 3_600_000_000

export function createS3(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets, gateway } = context
  const outbound = outboundOf(context)
  const endpoint = settings.endpoint.replace(/\/+$/, '')
  const keys = async () => ({
    id: await secrets.read(settings.accessKeyId),
    secret: await secrets.read(settings.secretAccessKey),
  })

  /** Path style: it works with every store, and needs no certificate for a bucket's own name. */
  async function ask(
    method: 'GET' | 'PUT',
    key: string,
    query: Record<string, string>,
    body: Buffer | undefined,
    signal: AbortSignal,
  ): Promise<OutboundAnswer> {
    const path = `/${settings.bucket}${key === '' ? '' : `/${key.split('/').map(encode).join('/')}`}`
    const { headers, search } = sign({
      ...{ method, path, query, body, at: new Date() },
      host: new URL(endpoint).host,
      region: settings.region,
      keys: await keys(),
    })
    return outbound.ask(`${endpoint}${path}${search}`, {
      method,
      headers,
      ...(body && { body }),
      signal,
    })
  }

  async function put(
    key: string,
    records: readonly Outgoing[],
    signal: AbortSignal,
  ): Promise<void> {
    const body =
      settings.container === 'parquet'
        ? toParquet(records)
        : await gzipped(`${records.map(({ text }) => text).join('\n')}\n`)
    try {
      await ask('PUT', key, {}, body, signal)
    } catch (error) {
      // It is not the records that an object store refuses: their bytes mean nothing to it.
      if (error instanceof Undelivered && error.fault === 'refused')
        throw new Undelivered(error.message, 'setting', undefined, error)
      throw error
    }
  }

  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<string> {
    let token = ''
    do {
      const { body } = await ask(
        'GET',
        '',
        { 'list-type': '2', prefix, ...(token && { 'continuation-token': token }) },
        undefined,
        signal,
      )
      for (const [, key] of body.matchAll(/<Key>([^<]*)<\/Key>/g)) yield unescaped(key!)
      token = /<NextContinuationToken>([^<]*)</.exec(body)?.[1] ?? ''
      token = unescaped(token)
    } while (token)
  }

  return {
    name,
    acknowledges: 'stored',

    async deliver({ records }, signal) {
      const groups = new Map<string, Outgoing[]>()
      for (const record of records) {
        const at = partitionOf(settings, record.timeMicros)
        const group = groups.get(at)
        if (group) group.push(record)
        else groups.set(at, [record])
      }
      const objects = [...groups]
      for (let i = 0; i < objects.length; i += PUTS_MAX)
        await Promise.all(
          objects
            .slice(i, i + PUTS_MAX)
            .map(([at, group]) => put(keyOf(settings, at, gateway, group), group, signal)),
        )
      return {}
    },

    holdings: {
      async *ids(fromMicros, toMicros, signal) {
        const step = settings.partition === 'hour' ? HOUR_MICROS : 24 * HOUR_MICROS
        for (let at = Math.floor(fromMicros / step) * step; at < toMicros; at += step) {
          const prefix = `${settings.prefix}/${partitionOf(settings, at)}/`
          for await (const key of list(prefix, signal)) {
            const { raw } = await ask('GET', key, {}, undefined, signal)
            if (key.endsWith('.parquet')) yield* await fromParquet(raw)
            else if (key.endsWith('.jsonl.gz'))
              for (const line of gunzipSync(raw).toString('utf8').split('\n')) {
                const id = line && idIn(settings.format, line)
                if (id) yield id
              }
          }
        }
      },
    },

    async close() {
      outbound.close()
    },
  }
}

function partitionOf({ partition }: Pick<Settings, 'partition'>, micros: number): string {
  const iso = new Date(Math.floor(micros / 1000)).toISOString()
  const date = `date=${iso.slice(0, 10)}`
  return partition === 'hour' ? `${date}/hour=${iso.slice(11, 13)}` : date
}

function keyOf(
  { prefix, container }: Pick<Settings, 'prefix' | 'container'>,
  at: string,
  gateway: string,
  records: readonly Outgoing[],
): string {
  return `${prefix}/${at}/${gateway}-${records[0]!.id}-${records.at(-1)!.id}-${records.length}.${container}`
}

export interface SignedRequest {
  method: string
  host: string
  path: string
  query: Record<string, string>
  body: Buffer | undefined
  region: string
  keys: { id: string; secret: string }
  at: Date
}

/** AWS Signature Version 4, for the service s3. */
export function sign(r: SignedRequest): { headers: Record<string, string>; search: string } {
  const time = r.at.toISOString().replace(/[-:]|\.\d{3}/g, '')
  const day = time.slice(0, 8)
  const scope = `${day}/${r.region}/s3/aws4_request`
  const search = Object.entries(r.query)
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .sort()
    .join('&')
  const digest = sha256(r.body ?? '')
  const headers: Record<string, string> = {
    host: r.host,
    'x-amz-content-sha256': digest,
    'x-amz-date': time,
  }
  const names = Object.keys(headers).sort()
  const canonical = [
    r.method,
    r.path,
    search,
    ...names.map((header) => `${header}:${headers[header]}`),
    '',
    names.join(';'),
    digest,
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  let key = hmac(`AWS4${r.keys.secret}`, day)
  for (const part of [r.region, 's3', 'aws4_request']) key = hmac(key, part)
  const signature = hmac(key, toSign).toString('hex')
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${r.keys.id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { headers, search: search ? `?${search}` : '' }
}

function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function unescaped(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&apos;/g, "'")
    .replace(/&amp;/g, '&')
}
