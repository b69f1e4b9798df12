/**
 * Settings of `siem`: where events go besides the store, in which form, and which of them. One entry per kind of destination,
 * beside what every destination has. configuration.ts puts them into the whole; opens nothing and reads no secret.
 */
import { z } from 'zod'
import type { Secret } from './secret'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

/** What these settings share with others; configuration.ts owns it. */
export interface SettingParts {
  name: z.ZodType<string, string>
  address: z.ZodType<string, string>
  url: z.ZodType<string, string>
  email: z.ZodType<string, string>
  secret: z.ZodType<Secret, unknown>
}

const kinds = z
  .array(
    z
      .string()
      .max(100)
      .regex(/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$/, 'must be a kind of event, or its beginning'),
  )
  .max(200)
const someGlobs = z.array(z.string().min(1).max(200)).min(1).max(1000)
const severity = z.enum(['informational', 'low', 'medium', 'high', 'critical'])
const headerName = z.string().regex(/^[A-Za-z0-9-]{1,100}$/, 'must be the name of a header')
const text = (charactersMax: number) => z.string().min(1).max(charactersMax)

/** Sides of TLS, the same for all. Verification can't be turned off. */
const tls = z
  .strictObject({
    /** Authorities that the receiver's certificate must come from; the system's own when not given. */
    ca: text(4096).optional(),
    /** Ours, where the receiver wants to know who sends. */
    certificate: text(4096).optional(),
    key: text(4096).optional(),
    serverName: text(253).optional(),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    message: 'certificate and key come together',
  })

const ALERT_KINDS = [
  'blocked',
  'approval-asked',
  'approval-expired',
  'masks',
  'sign-in-refused',
  'break-glass',
  'evidence-gap',
  'policy',
  'detection',
] as const
export type AlertKind = (typeof ALERT_KINDS)[number]

export function siemSettings<Sasl extends z.ZodType>({
  name,
  address,
  url,
  email,
  secret,
  kafkaSasl,
}: SettingParts & { kafkaSasl: Sasl }) {
  /** What every destination has. */
  const every = {
    format: z.enum(['json', 'ocsf', 'ecs', 'cef', 'leef', 'timesketch', 'udm']),
    /** Where a new destination begins: with the first event still there, with what is recorded from now on, or at a time. */
    from: z
      .string()
      .refine(isMoment, {
        message: 'must be beginning, now or a time with its zone, such as 2026-01-31T12:00:00Z',
      })
      .default('beginning'),
    filter: z
      .strictObject({
        /** Kinds, or their beginnings; all where nothing is said. */
        kinds: kinds.min(1).optional(),
        exceptKinds: kinds.default([]),
        /** Names; * and ? stand for anything. What is about no resource always goes. */
        resources: someGlobs.optional(),
        /** Subjects, e-mail addresses, group:<name>; * and ? stand for anything. What is about nobody always goes. */
        identities: someGlobs.optional(),
        severity: severity.default('informational'),
      })
      .prefault({}),
    redact: z
      .strictObject({
        fields: z
          .array(
            z.enum([
              'statement',
              'parameters',
              'output',
              'error-message',
              'email',
              'name',
              'groups',
              'client-address',
              'comment',
            ]),
          )
          .max(20)
          .default([]),
        /** RE2; what fits is replaced in statements, their objects and attributes, parameters, messages, comments and questions. */
        patterns: z.array(text(1000)).max(100).default([]),
      })
      .prefault({}),
    /** Only where asked for, and counted: of these kinds so large a share of the sessions is kept. */
    sample: z
      .array(z.strictObject({ kinds: kinds.min(1), keep: z.number().min(0).max(1) }))
      .max(100)
      .default([]),
    batch: z
      .strictObject({
        eventsMax: z.int().positive().max(50_000).default(2000),
        bytesMax: z
          .int()
          .min(KiB)
          .max(64 * MiB)
          .default(4 * MiB),
        /** A batch that is not full waits so long for more. */
        lingerMs: z.int().min(0).max(600_000).default(500),
      })
      .prefault({}),
    /** Longest wait for one answer. */
    requestMsMax: z.int().min(100).max(600_000).default(30_000),
    /** Waits for it before the log is freed, even if commands are refused then because the log is full. */
    required: z.boolean().default(false),
    /** Of `output` events, the pieces of what was seen or sent. */
    outputs: z.enum(['none', 'summary', 'data']).default('summary'),
    /** Longest text of a command in a record; 0 leaves it to the format. */
    statementBytesMax: z
      .int()
      .min(0)
      .max(64 * MiB)
      .default(0),
    ocsf: z
      .strictObject({
        version: z.enum(['1.8.0', '1.9.0']).default('1.8.0'),
        /** The profile record_integrity of 1.9.0: digests of the chain. */
        recordIntegrity: z.boolean().default(false),
      })
      .prefault({}),
    ecsVersion: z.enum(['8.11.0', '9.4.0']).default('9.4.0'),
    tls: tls.optional(),
    /** Addresses of cloud metadata services are refused otherwise. */
    allowMetadataAddresses: z.boolean().default(false),
  }
  const headers = z.record(headerName, z.union([z.string().max(4096), secret])).default({})
  /** The words of an alert are its channel's own: what forms records would have no effect there, and is refused. */
  const formless = <T>(setting: z.ZodType<T>) =>
    z
      .undefined({ error: 'is not for alert channels, whose messages have a form of their own' })
      .optional()
      .transform((): T => setting.parse(undefined))
  /** What alert channels have besides. */
  const alert = {
    ...every,
    format: formless(every.format.default('json')),
    outputs: formless(every.outputs),
    statementBytesMax: formless(every.statementBytesMax),
    ocsf: formless(every.ocsf),
    ecsVersion: formless(every.ecsVersion),
    batch: z
      .strictObject({
        eventsMax: z.int().positive().max(50_000).default(500),
        bytesMax: z
          .int()
          .min(KiB)
          .max(64 * MiB)
          .default(4 * MiB),
        lingerMs: z.int().min(0).max(600_000).default(0),
      })
      .prefault({}),
    from: every.from.default('now'),
    alerts: z
      .strictObject({
        on: z
          .array(z.enum(ALERT_KINDS))
          .min(1)
          .default([...ALERT_KINDS]),
        /** A command that masks at least so many values. */
        masksMin: z.int().positive().default(1000),
        /** The same alert about the same is said once in so long; how often it came is said when it is over. */
        repeatSeconds: z.int().min(0).max(86_400).default(300),
        /** More than this become one that counts them. */
        perMinuteMax: z.int().positive().max(1000).default(20),
      })
      .prefault({}),
  }

  const destination = z.discriminatedUnion(
    'type',
    [
      z.strictObject({
        type: z.literal('syslog'),
        ...every,
        format: every.format.default('cef'),
        address,
        /** `udp`: whether it arrives can't be known. */
        transport: z.enum(['tcp', 'tls', 'udp']).default('tls'),
        /** Private enterprise number of the structured data. */
        enterprise: z.int().positive().default(32_473),
        facility: z.int().min(0).max(23).default(13),
        appName: z
          .string()
          .regex(/^[\x21-\x7e]{1,48}$/, 'must be 1 to 48 printable characters')
          .default('custody'),
        /** Longest record of CEF and LEEF, of which the least important is left out then; 0 leaves it to the format. */
        recordBytesMax: z
          .int()
          .min(0)
          .max(16 * MiB)
          .default(0),
        /** Each batch on a connection of its own, which the receiver closes when it has read all of it. */
        confirm: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('elasticsearch'),
        ...every,
        format: every.format.default('ecs'),
        /** Of any node; they take turns, and one that fails is left out for a while. */
        urls: z.array(url).min(1).max(100),
        index: text(255).optional(),
        dataStream: text(255).optional(),
        apiKey: secret.optional(),
        user: text(256).optional(),
        password: secret.optional(),
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('http'),
        ...every,
        format: every.format.default('json'),
        url,
        method: z.enum(['POST', 'PUT']).default('POST'),
        /** Records as lines, as a JSON array, or in `template`. */
        body: z.enum(['lines', 'array', 'template']).default('lines'),
        /** `{{records}}` is the array; `{{count}}`, `{{batch}}` (an identifier) and `{{gateway}}` besides. */
        template: text(64 * KiB).optional(),
        headers,
        /** Signs each request (Standard Webhooks): `whsec_` and base64, or any text of 24 characters or more. */
        signingSecret: secret.optional(),
        token: secret.optional(),
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('kafka'),
        ...every,
        format: every.format.default('json'),
        brokers: z.array(address).min(1).max(100),
        topic: z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, 'must be the name of a topic'),
        sasl: kafkaSasl.optional(),
        compression: z.enum(['none', 'gzip', 'snappy', 'lz4']).default('lz4'),
      }),
      z.strictObject({
        type: z.literal('s3'),
        ...every,
        format: every.format.default('json'),
        endpoint: url,
        bucket: z
          .string()
          .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket'),
        region: text(100).default('us-east-1'),
        prefix: z
          .string()
          .regex(/^[A-Za-z0-9_=-]+(\/[A-Za-z0-9_=-]+)*$/, 'must be parts between single slashes')
          .max(200)
          .default('custody'),
        container: z.enum(['jsonl.gz', 'parquet']).default('jsonl.gz'),
        /** Objects are partitioned by the day or hour of their events. */
        partition: z.enum(['day', 'hour']).default('hour'),
        accessKeyId: secret,
        secretAccessKey: secret,
        batch: z
          .strictObject({
            eventsMax: z.int().positive().max(50_000).default(50_000),
            bytesMax: z
              .int()
              .min(KiB)
              .max(64 * MiB)
              .default(32 * MiB),
            lingerMs: z.int().min(0).max(600_000).default(60_000),
          })
          .prefault({}),
      }),
      z.strictObject({
        type: z.literal('splunk'),
        ...every,
        format: every.format.default('json'),
        /** Of the HTTP event collector, without a path. */
        url,
        token: secret,
        index: text(255).optional(),
        source: text(255).default('custody'),
        sourcetype: text(255).default('custody:event'),
        /** Waits for the indexer's acknowledgement; without it a 200 is believed, which is not yet indexed. */
        acknowledgement: z.boolean().default(true),
        /** Requests that wait for it together; each is a batch at most. */
        requestsMax: z.int().positive().max(64).default(4),
        /** Of the REST API, to reconcile: without it what Splunk holds can't be asked. */
        search: z.strictObject({ url, token: secret }).optional(),
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('otlp'),
        ...every,
        format: every.format.default('json'),
        /** `/v1/logs` is added where it has no path. */
        url,
        headers,
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('loki'),
        ...every,
        format: every.format.default('json'),
        url,
        tenant: text(200).optional(),
        user: text(256).optional(),
        password: secret.optional(),
        token: secret.optional(),
        labels: z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]{0,99}$/), text(200)).default({}),
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('sentinel'),
        ...every,
        format: every.format.default('json'),
        /** Of the data collection endpoint. */
        url,
        ruleId: z.string().regex(/^dcr-[0-9a-f]{8,64}$/, 'must be the immutable ID of a rule'),
        stream: z.string().regex(/^(Custom|Microsoft)-[A-Za-z0-9_-]{1,100}$/, 'must be a stream'),
        tenantId: z.string().regex(/^[A-Za-z0-9.-]{1,100}$/),
        clientId: text(100),
        clientSecret: secret,
        loginUrl: url.default('https://login.microsoftonline.com'),
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('datadog'),
        ...every,
        format: every.format.default('json'),
        /** Of the intake of your site. */
        url: url.default('https://http-intake.logs.datadoghq.com'),
        apiKey: secret,
        service: text(100).default('custody'),
        tags: z.array(text(200)).max(100).default([]),
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('secops'),
        ...every,
        format: every.format.default('udm'),
        /** Of your region. */
        url: url.default('https://malachiteingestion-pa.googleapis.com'),
        customerId: z.string().regex(/^[0-9a-fA-F-]{36}$/, 'must be a UUID'),
        /** The JSON key of the service account. */
        serviceAccount: secret,
        gzip: z.boolean().default(true),
      }),
      z.strictObject({
        type: z.literal('slack'),
        ...alert,
        /** An incoming webhook: whoever knows it can post, so it is a secret. */
        url: secret,
      }),
      z.strictObject({ type: z.literal('teams'), ...alert, url: secret }),
      z.strictObject({
        type: z.literal('email'),
        ...alert,
        host: text(253),
        port: z.int().min(1).max(65_535).default(587),
        /** `starttls` and `implicit` are never given up; `none` is for this machine only. */
        security: z.enum(['starttls', 'implicit', 'none']).default('starttls'),
        user: text(256).optional(),
        password: secret.optional(),
        sender: email,
        to: z.array(email).min(1).max(100),
      }),
      z.strictObject({
        type: z.literal('pagerduty'),
        ...alert,
        routingKey: secret,
        url: url.default('https://events.pagerduty.com/v2/enqueue'),
      }),
      z.strictObject({
        type: z.literal('jira'),
        ...alert,
        url,
        user: email,
        token: secret,
        project: z.string().regex(/^[A-Z][A-Z0-9_]{1,99}$/, 'must be the key of a project'),
        issueType: text(100).default('Task'),
      }),
      z.strictObject({
        type: z.literal('servicenow'),
        ...alert,
        url,
        user: text(100),
        password: secret,
        table: z
          .string()
          .regex(/^[a-z][a-z0-9_]{0,79}$/, 'must be the name of a table')
          .default('incident'),
        fields: z
          .record(z.string().regex(/^[a-z][a-z0-9_]{0,79}$/), z.string().max(1000))
          .default({}),
      }),
    ],
    {
      error:
        'must have type: syslog, elasticsearch, http, kafka, s3, splunk, otlp, loki, sentinel, datadog, secops, slack, teams, email, pagerduty, jira or servicenow',
    },
  )

  return z
    .strictObject({
      destinations: z
        .record(name, destination)
        .default({})
        .refine((all) => Object.keys(all).length <= 50, { message: 'are at most 50' }),
      /** Of a recorder's log, held for a destination that is away; what is older is let go, and told. */
      heldBytesMax: z
        .int()
        .min(MiB)
        .default(16 * GiB),
      /** What was acknowledged is said in the log at most once in so long, for each destination. */
      receiptSeconds: z.number().positive().max(3600).default(10),
      /** First wait before something is tried again; it doubles up to a minute, with jitter. */
      retryMsMin: z.int().min(10).max(60_000).default(500),
      /** Sigma rules: files, or directories of *.yml. What they find is an event, and an alert. */
      rules: z.array(text(4096)).max(1000).default([]),
      /** The rules that come with Custody. */
      starterRules: z.boolean().default(false),
    })
    .superRefine(({ destinations }, context) => {
      for (const [called, one] of Object.entries(destinations)) {
        const wrong = (path: string, message: string) =>
          context.addIssue({ code: 'custom', path: ['destinations', called, path], message })
        if (called === 'detections') wrong('type', 'detections is the name of what looks for rules')
        if (one.ocsf.recordIntegrity && one.ocsf.version !== '1.9.0')
          wrong('ocsf', 'recordIntegrity is a profile of version 1.9.0')
        if (one.type === 'elasticsearch') {
          if ((one.index === undefined) === (one.dataStream === undefined))
            wrong('index', 'give exactly one of index, dataStream')
          if (one.apiKey !== undefined && one.user !== undefined)
            wrong('apiKey', 'give an apiKey or a user, not both')
        }
        if (one.type === 'http' && (one.body === 'template') !== (one.template !== undefined))
          wrong('template', 'comes with body: template')
        if (one.type === 'syslog' && one.transport !== 'tls' && one.tls !== undefined)
          wrong('tls', 'comes with transport: tls')
        if (one.type === 'syslog' && one.recordBytesMax > 0)
          if (one.format !== 'cef' && one.format !== 'leef')
            wrong('recordBytesMax', 'comes with format cef or leef')
          else if (one.recordBytesMax < KiB) wrong('recordBytesMax', 'is 0, or at least 1024')
        if (one.type === 'email' && one.security === 'none' && !isLoopback(one.host))
          wrong('security', 'none is for a mail server on this machine only')
      }
    })
}

function isMoment(text: string): boolean {
  if (text === 'beginning' || text === 'now') return true
  // Without a zone it would be another moment on each host.
  const hasZone = /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text)
  return hasZone && !Number.isNaN(Date.parse(text))
}

function isLoopback(host: string): boolean {
  return ['localhost', '::1'].includes(host) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

/** Secrets of one destination, by where they are in it. */
export function* secretsOfDestination(
  destination: object,
  at: PropertyKey[] = [],
): Generator<{ path: PropertyKey[]; secret: Secret }> {
  for (const [key, value] of Object.entries(destination)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) continue
    const forms = Object.keys(value)
    const isSecret =
      forms.length === 1 && ['literal', 'env', 'file', 'vault'].includes(forms[0] as string)
    if (isSecret && key !== 'labels') yield { path: [...at, key], secret: value as Secret }
    else if (!isSecret) yield* secretsOfDestination(value, [...at, key])
  }
}
