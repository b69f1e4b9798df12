/**
 * Reads and validates the configuration: YAML file, defaults, environment overrides, in that order, into one typed value.
 * Refuses unknown settings and wrong values, naming the path in the file and its line; opens nothing and reads no secret.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { CustodyError } from './errors'
import type { KeptSecret, Secret } from './secret'
import { secretsOfDestination, siemSettings } from './siem-settings'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

const port = z.int().min(0).max(65_535)
const positive = z.int().positive()

/** Names travel in database names, paths and file names, so they stay within one segment of each. */
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
    'must be 1 to 63 letters, digits, dots, dashes, underscores',
  )

const address = z
  .string()
  .regex(
    /^(\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):\d{1,5}$/,
    'must be host:port, or [address]:port for IPv6',
  )
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, {
    message: 'the port must be at most 65535',
  })

/** TLS, or this very machine; without a user, a query or a fragment, which would end up in messages. */
function isSafeUrl(text: string): boolean {
  try {
    const url = new URL(text)
    const local = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
    return (
      (url.protocol === 'https:' || (url.protocol === 'http:' && local)) &&
      url.username === '' &&
      url.password === '' &&
      url.search === '' &&
      url.hash === ''
    )
  } catch {
    return false
  }
}

const vaultAddress = z.string().refine(isSafeUrl, {
  message: 'must be an https URL (http on this machine only) without user, query and fragment',
})

/** Of Vault: segments between slashes, none of them `.` or `..`, which a URL would resolve; the end may not be a dot. */
const vaultPath = z
  .string()
  .max(1024)
  .regex(
    /^(?!\.{1,2}(\/|$))[^/\p{C}]+(\/(?!\.{1,2}(\/|$))[^/\p{C}]+)*$/u,
    'must be segments between single slashes, without one at its beginning or end',
  )
  .refine((path) => !path.endsWith('.'), { message: 'must not end in a dot' })

const vaultNamespace = z
  .string()
  .regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*\/?$/, 'must be names between slashes')

function exactlyOne(value: object, of: readonly string[]): boolean {
  return of.filter((one) => (value as Record<string, unknown>)[one] !== undefined).length === 1
}

const env = z.string().min(1).optional()
const file = z.string().min(1).optional()

const secret = z
  .strictObject({
    literal: z.string().optional(),
    env,
    file,
    vault: z
      .strictObject({
        mount: vaultPath.default('secret'),
        path: vaultPath,
        key: z.string().min(1),
        address: vaultAddress.optional(),
        namespace: vaultNamespace.optional(),
      })
      .optional(),
  })
  .refine((value) => exactlyOne(value, ['literal', 'env', 'file', 'vault']), {
    message: 'must have exactly one of literal, env, file, vault',
  })
  .transform((value) => value as Secret)

const keptSecret = z
  .strictObject({ env, file })
  .refine((value) => exactlyOne(value, ['env', 'file']), {
    message: 'must have exactly one of env, file',
  })
  .transform((value) => value as KeptSecret)

/** Where secrets of the form `{ vault: … }` are, and as whom Custody reads them. */
const vault = z
  .strictObject({
    address: vaultAddress,
    token: keptSecret.optional(),
    appRole: z
      .strictObject({
        mount: vaultPath.default('approle'),
        roleId: z.string().min(1),
        secretId: keptSecret,
      })
      .optional(),
    kubernetes: z
      .strictObject({
        mount: vaultPath.default('kubernetes'),
        role: z.string().min(1),
        tokenFile: z.string().min(1).default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
      })
      .optional(),
    namespace: vaultNamespace.optional(),
    /** Authorities that its certificate must come from; the system's own when not given. */
    tlsCa: z.string().min(1).optional(),
    /** A value is asked for again after so long. */
    cacheSecondsMax: z.int().min(0).max(86_400).default(60),
    /** While Vault does not answer, a value is used for so long; 0 not at all. */
    staleSecondsMax: z
      .int()
      .min(0)
      .max(7 * 86_400)
      .default(3600),
  })
  .refine((value) => exactlyOne(value, ['token', 'appRole', 'kubernetes']), {
    message: 'must have exactly one of token, appRole, kubernetes',
  })

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

const recording = z.union(
  [z.literal('full'), z.literal('digest'), z.strictObject({ head: z.int().min(0).max(GiB) })],
  { error: 'must be full, digest or { head: <bytes> }' },
)

/** What every resource has, whatever is spoken there. */
const everyResource = {
  address,
  /** `auto`: `os` for commands proven to only read, `disk` for all others. `replicated`: acknowledged by Kafka. */
  durability: z.enum(['auto', 'os', 'disk', 'replicated']).default('auto'),
  recording: recording.default('full'),
  labels: z.record(z.string(), z.string()).default({}),
}

/** What databases have besides. */
const everyDatabase = {
  ...everyResource,
  /** The account used at the target; clients never see it. */
  account: z.string().min(1),
  password: secret.optional(),
  /** Used when the client names the resource alone. */
  database: z.string().min(1).optional(),
  tls: z.enum(['disable', 'prefer', 'require', 'verify-full']).default('prefer'),
  /** Authorities that `verify-full` trusts; the system's own when not given. */
  tlsCa: z.string().min(1).optional(),
}

const postgresResource = z.strictObject({
  protocol: z.literal('postgres'),
  ...everyDatabase,
  allowReplication: z.boolean().default(false),
})

const mysqlResource = z.strictObject({
  protocol: z.literal('mysql'),
  ...everyDatabase,
  allowReplication: z.boolean().default(false),
})

/** A line as authorized_keys has it, without options. That it is a key is seen when it is used. */
const publicKey = z
  .string()
  .max(4096)
  .regex(
    /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}( .*)?$/,
    'must be a public key as OpenSSH writes it: ssh-ed25519 AAAA…',
  )

/** Of the target: a name that no shell and no recording can misread. */
const sshAccount = z
  .string()
  .regex(/^[^\s@\p{C}]{1,128}$/u, 'must be 1 to 128 characters without spaces and @')

const variableName = z
  .string()
  .regex(
    /^[A-Za-z_*][A-Za-z0-9_*]{0,127}$/,
    'must be the name of a variable; * stands for anything',
  )

const sshResource = z.strictObject({
  protocol: z.literal('ssh'),
  ...everyResource,
  /** The account used at the target where the client names none. */
  account: sshAccount,
  /** Others that may be asked for: `account@resource`. */
  accounts: z.array(sshAccount).max(1000).default([]),
  password: secret.optional(),
  /** PEM or OpenSSH's form; used instead of the password. */
  privateKey: secret.optional(),
  passphrase: secret.optional(),
  /** The target's host keys; any other is refused. */
  hostKeys: z.array(publicKey).min(1).max(20).optional(),
  /** Authorities whose certificates for the target's host name are taken. Without these and hostKeys: what is met first. */
  hostKeyCa: z.array(publicKey).min(1).max(20).optional(),
  /** What may be asked for at all; policies say more. */
  allow: z
    .array(
      z.enum([
        'exec',
        'shell',
        'pty',
        'subsystem',
        'forward-local',
        'forward-remote',
        'forward-socket',
        'agent',
        'x11',
      ]),
    )
    .default(['exec', 'shell', 'pty', 'subsystem', 'forward-local', 'forward-remote']),
  /** Variables that clients may set at the target. */
  env: z
    .array(variableName)
    .max(100)
    .default(['LANG', 'LC_*', 'TERM', 'COLORTERM', 'TZ', 'GIT_PROTOCOL']),
})

/** Whom a key or a principal stands for. */
const sshIdentity = z.strictObject({
  subject: z.string().min(1).max(256),
  email: z
    .string()
    .max(254)
    .regex(/^[^\s@]+@[^\s@]+$/, 'must be an e-mail address')
    .optional(),
  groups: z.array(z.string().min(1).max(256)).max(100).default([]),
  kind: z.enum(['human', 'service', 'agent']).default('human'),
})

const resource = z.discriminatedUnion('protocol', [postgresResource, mysqlResource, sshResource], {
  error: 'must have protocol: postgres, mysql or ssh',
})

/** What clients may speak; each has a port of its own. */
export const PROTOCOLS = ['postgres', 'mysql', 'ssh'] as const
export type ProtocolName = (typeof PROTOCOLS)[number]

/** What is said there is known to come from there: TLS, or this very machine. */
export function mayBeAsked(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
}

const issuerUrl = z.string().refine(
  (text) => {
    try {
      return mayBeAsked(new URL(text))
    } catch {
      return false
    }
  },
  { message: 'must be an https URL (http on this machine only)' },
)

const oidcIssuer = z.strictObject({
  /** Exactly as its tokens and its discovery document have it. */
  issuer: issuerUrl,
  /** Tokens must be meant for one of these. */
  audiences: z.array(z.string().min(1)).min(1),
  /** What its tokens stand for, where no rule says otherwise. */
  kind: z.enum(['human', 'service', 'agent']).default('human'),
  /** Where in a token to find what; `a.b` looks inside `a`. */
  claims: z
    .strictObject({
      email: z.string().min(1).default('email'),
      name: z.string().min(1).default('name'),
      groups: z.string().min(1).optional(),
    })
    .prefault({}),
  /** Put before its groups, so that two issuers' groups are not taken for each other. */
  groupPrefix: z.string().default(''),
  /** Where there are any, a token must fit one; the first that fits gives its groups. `*` stands for anything. */
  rules: z
    .array(
      z.strictObject({
        when: z.record(z.string(), z.string()),
        groups: z.array(z.string().min(1)).default([]),
        kind: z.enum(['human', 'service', 'agent']).optional(),
      }),
    )
    .default([]),
  /** Its addresses count without `email_verified: true` as well: nobody there can choose their own. */
  trustEmail: z.boolean().default(false),
  /** User name for clients whose tokens have an unwieldy subject, besides subject and e-mail address. */
  user: z.string().min(1).optional(),
  clockSkewSeconds: z.int().min(0).max(300).default(30),
  /** Tokens that live longer than this are refused. */
  lifetimeSecondsMax: positive.max(7 * 86_400).default(86_400),
  /** For `custody login` and the console: a client registered there. */
  clientId: z.string().min(1).optional(),
  /** Where the console's client is a confidential one. `custody login` can't use such a client. */
  clientSecret: secret.optional(),
  scopes: z.array(z.string().min(1)).default(['openid', 'email', 'profile']),
})

const samlProvider = z.strictObject({
  /** What people choose it by, and part of its callback's address. */
  name,
  /** Where browsers are sent (HTTP-Redirect binding). */
  entryPoint: issuerUrl,
  /** Its entity ID; assertions of any other are refused. */
  idpIssuer: z.string().min(1),
  /** Files with its signing certificates (PEM): several while it rotates them. */
  idpCertificates: z.array(z.string().min(1)).min(1).max(10),
  /** Ours, as registered there; the callback's address when not given. */
  entityId: z.string().min(1).optional(),
  /** Assertions must be signed in any case; this asks it of the response around them as well. */
  responseSigned: z.boolean().default(false),
  attributes: z
    .strictObject({
      email: z.string().min(1).default('email'),
      name: z.string().min(1).default('name'),
      groups: z.string().min(1).default('groups'),
    })
    .prefault({}),
  groupPrefix: z.string().default(''),
  clockSkewSeconds: z.int().min(0).max(300).default(30),
})

const groups = (names: string[]) => z.array(z.string().min(1)).max(100).default(names)

/** Where Custody itself sends something. */
const outboundUrl = z.string().refine(isOutboundUrl, {
  message: 'must be an https URL (http on this machine only), without a user or password in it',
})

/** Of channels: https, or this machine; secrets in a URL would be shown with it. */
export function isOutboundUrl(text: string): boolean {
  try {
    const url = new URL(text)
    return url.username === '' && url.password === '' && mayBeAsked(url)
  } catch {
    return false
  }
}

function isLoopback(host: string): boolean {
  return ['localhost', '[::1]'].includes(host) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

const email = z
  .string()
  .max(254)
  .regex(/^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+$/, 'must be an e-mail address')
const someGroups = z.array(z.string().min(1).max(256)).min(1).max(100)
const statuses = z.array(z.string().min(1).max(100)).min(1).max(20)

/** What every channel has: its name, and which requests it is told of (all, where nothing is said). */
const everyChannel = {
  name: name.optional(),
  /** Only requests that one of these groups may answer. */
  approvers: someGroups.optional(),
  /** Only requests about these resources. */
  resources: z.array(name).min(1).max(1000).optional(),
}

const channel = z.discriminatedUnion(
  'type',
  [
    z.strictObject({
      type: z.literal('slack'),
      ...everyChannel,
      /** Of the app's bot: `xoxb-…`. */
      token: secret,
      signingSecret: secret,
      /** Where it posts: a channel's ID. */
      channel: z.string().min(1).max(100),
      apiUrl: outboundUrl.default('https://slack.com/api'),
    }),
    z.strictObject({
      type: z.literal('teams'),
      ...everyChannel,
      /** Whoever knows it can post, so it is a secret. */
      url: secret,
    }),
    z.strictObject({
      type: z.literal('email'),
      ...everyChannel,
      host: z.string().min(1).max(253),
      port: port.min(1).default(587),
      /** `starttls` and `implicit` are never given up; `none` is for this machine only. */
      tls: z.enum(['starttls', 'implicit', 'none']).default('starttls'),
      tlsCa: z.string().min(1).optional(),
      user: z.string().min(1).max(256).optional(),
      password: secret.optional(),
      from: email,
      /** Who is written to; without it those of `approvals.people` who may answer. */
      to: z.array(email).min(1).max(100).optional(),
    }),
    z.strictObject({
      type: z.literal('webhook'),
      ...everyChannel,
      url: outboundUrl,
      /** Signs what goes out and what comes back: `whsec_` and base64, or any text of 24 characters or more. */
      secret,
    }),
    z.strictObject({
      type: z.literal('jira'),
      ...everyChannel,
      url: outboundUrl,
      email,
      token: secret,
      project: z.string().regex(/^[A-Z][A-Z0-9_]{1,99}$/, 'must be the key of a project'),
      issueType: z.string().min(1).max(100).default('Task'),
      /** Names of the statuses that answer. */
      approved: statuses.default(['Approved']),
      denied: statuses.default(['Denied']),
      webhookSecret: secret,
      /** A transition that is made when the request has ended elsewhere. */
      settledTransition: z.string().min(1).max(100).optional(),
    }),
    z.strictObject({
      type: z.literal('servicenow'),
      ...everyChannel,
      url: outboundUrl,
      user: z.string().min(1).max(100),
      password: secret,
      table: z
        .string()
        .regex(/^[a-z][a-z0-9_]{0,79}$/, 'must be the name of a table')
        .default('change_request'),
      /** Set on the record besides what Custody sets. */
      fields: z
        .record(z.string().regex(/^[a-z][a-z0-9_]{0,79}$/), z.string().max(1000))
        .default({}),
      /** The field that answers, and its values that do. */
      approvalField: z
        .string()
        .regex(/^[a-z][a-z0-9_]{0,79}$/)
        .default('approval'),
      approved: statuses.default(['approved']),
      denied: statuses.default(['rejected']),
      /** Set when the request has ended. */
      closed: z
        .record(z.string().regex(/^[a-z][a-z0-9_]{0,79}$/), z.string().max(1000))
        .default({}),
      pollSeconds: positive.max(3600).default(15),
    }),
    z.strictObject({
      type: z.literal('pagerduty'),
      ...everyChannel,
      routingKey: secret,
      severity: z.enum(['critical', 'error', 'warning', 'info']).default('warning'),
      url: outboundUrl.default('https://events.pagerduty.com/v2/enqueue'),
    }),
  ],
  { error: 'must have type: slack, teams, email, webhook, jira, servicenow or pagerduty' },
)

const approvals = z
  .strictObject({
    channels: z.array(channel).max(20).default([]),
    /** Who somebody at a channel is. Before what is known from their last sign-in. */
    people: z
      .array(
        z.strictObject({
          email,
          groups: z.array(z.string().min(1).max(256)).max(100),
          subject: z.string().min(1).max(256).optional(),
          issuer: z.string().min(1).max(512).optional(),
          /** Member ID at Slack, where the address there is another one. */
          slack: z.string().min(1).max(64).optional(),
          /** Account ID at Jira, which often shows no addresses. */
          jira: z.string().min(1).max(128).optional(),
        }),
      )
      .max(10_000)
      .default([]),
    /** For how long the groups of somebody's last sign-in are believed at a channel. */
    groupsHoursMax: z.number().positive().max(720).default(24),
  })
  .superRefine(({ channels, people }, context) => {
    const names = new Set<string>()
    for (const [i, one] of channels.entries()) {
      const called = one.name ?? one.type
      if (names.has(called))
        context.addIssue({
          code: 'custom',
          path: ['channels', i, 'name'],
          message: `another channel is called ${called}; give each a name of its own`,
        })
      names.add(called)
      if (one.type === 'email' && one.tls === 'none' && !isLoopback(one.host))
        context.addIssue({
          code: 'custom',
          path: ['channels', i, 'tls'],
          message: 'none is for a mail server on this machine only',
        })
    }
    const known = new Set<string>()
    for (const [i, { email, slack, jira }] of people.entries())
      for (const id of [email.toLowerCase(), slack && `slack ${slack}`, jira && `jira ${jira}`]) {
        if (id === undefined) continue
        if (known.has(id))
          context.addIssue({
            code: 'custom',
            path: ['people', i],
            message: `${id} is there more than once`,
          })
        known.add(id)
      }
  })
  .prefault({})

const maskName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
    'must be 1 to 63 letters, digits, dots, dashes, underscores',
  )

/** What takes a value's place, with what some of these need to know. */
const maskAction = {
  action: z
    .enum(['redact', 'partial', 'hash', 'shape', 'null', 'drop-row', 'truncate', 'generalise'])
    .default('redact'),
  /** `partial`: characters left at the end. */
  keep: z.int().min(1).max(8).optional(),
  /** `truncate`: dates and times to the beginning of their. */
  to: z.enum(['year', 'month', 'day', 'hour']).optional(),
  /** `generalise`: numbers to multiples of. */
  step: z.number().positive().optional(),
}

const columnPattern = z
  .string()
  .max(200)
  .regex(
    /^[^.\s"'`\\[\]{}()]+(\.[^.\s"'`\\[\]{}()]+){1,2}$/,
    'must be relation.column or schema.relation.column, without quotation marks; * and ? stand for anything within a part',
  )

const masking = z
  .strictObject({
    /** Of `hash` and `shape`: the same wherever tokens are to be the same. Made at the first start when not given. */
    key: secret.optional(),
    rules: z
      .array(
        z
          .strictObject({
            id: maskName,
            columns: z.array(columnPattern).max(1000).default([]),
            /** Columns, and relations, whose COMMENT or security label says `custody:<tag>`. */
            tagged: z
              .array(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/i))
              .max(100)
              .default([]),
            ...maskAction,
            /** Only for members of one of these; others see what the next rule that fits says. */
            groups: someGroups.optional(),
            resources: z.array(name).min(1).max(1000).optional(),
            /** Only at resources that have all of these labels. */
            labels: z.record(z.string(), z.string()).optional(),
            /** Choosing, joining, grouping and ordering rows by the column: a way to guess what is in it. */
            predicates: z.enum(['allow', 'report', 'forbid']).default('allow'),
          })
          .refine(({ columns, tagged }) => columns.length + tagged.length > 0, {
            message: 'needs columns or tagged, or it masks nothing',
          }),
      )
      .max(1000)
      .default([]),
    /** What is looked for in the values of all other columns. */
    detectors: z
      .strictObject({
        /** Names of detectors; those that are on by default when not given, none for []. */
        use: z.array(z.string().min(1)).max(100).optional(),
        ...maskAction,
        /** Columns whose values are not looked at. */
        except: z.array(columnPattern).max(1000).default([]),
        resources: z.array(name).min(1).max(1000).optional(),
        /** Own patterns, in RE2's syntax. */
        patterns: z
          .array(z.strictObject({ name: maskName, pattern: z.string().min(1).max(1000) }))
          .max(100)
          .default([]),
      })
      .prefault({}),
    /** Values that may come from a masked column, as far as can be proven: masked, or their command refused. */
    unproven: z.enum(['mask', 'deny']).default('mask'),
    /** Commands that copy a masked column to where no rule masks it: refused, or an alert. */
    copies: z.enum(['deny', 'report']).default('deny'),
    /** What is known here to give nothing away. */
    trusted: z
      .strictObject({
        /** Functions whose result depends on their arguments alone, and that keep and send nothing. */
        functions: z.array(z.string().min(1).max(200)).max(1000).default([]),
        /** Channels of NOTIFY whose payloads are passed on. */
        channels: z.array(z.string().min(1).max(200)).max(1000).default([]),
      })
      .prefault({}),
  })
  .superRefine(({ rules }, context) => {
    const seen = new Set<string>()
    for (const [i, { id }] of rules.entries()) {
      if (seen.has(id))
        context.addIssue({
          code: 'custom',
          path: ['rules', i, 'id'],
          message: `another rule is called ${id}`,
        })
      seen.add(id)
    }
  })

const topicName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    'must be 1 to 100 letters, digits, dots, dashes, underscores',
  )

const kafkaTls = z
  .strictObject({
    ca: file,
    certificate: file,
    key: file,
    serverName: z.string().min(1).max(253).optional(),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    message: 'certificate and key come together',
  })

const kafkaSasl = z.discriminatedUnion(
  'mechanism',
  [
    z.strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
      username: z.string().min(1).max(256),
      password: secret,
    }),
    z.strictObject({
      mechanism: z.literal('oauthbearer'),
      /** Of the authorisation server: asked with the client's credentials (RFC 6749, 4.4). */
      tokenUrl: outboundUrl,
      clientId: z.string().min(1).max(256),
      clientSecret: secret,
      scope: z.string().min(1).max(1024).optional(),
    }),
  ],
  { error: 'must have mechanism: plain, scram-sha-256, scram-sha-512 or oauthbearer' },
)

/** Where this is absent, one installation is one machine and its log is the embedded one alone. */
const kafka = z.strictObject({
  /** Some of the cluster's brokers; the others are learnt from these. */
  brokers: z.array(address).min(1).max(100),
  clientId: topicName.default('custody'),
  /** `{}` trusts the system's authorities; without it nothing is encrypted. */
  tls: kafkaTls.optional(),
  sasl: kafkaSasl.optional(),
  topicPrefix: topicName.default('custody'),
  /** Of the events topic, when it is made. More later would move sessions between partitions. */
  partitions: positive.max(1000).default(12),
  replicationFactor: positive.max(32).default(3),
  /** An event is acknowledged when so many replicas have it. */
  minInsyncReplicas: positive.max(32).default(2),
  retentionHours: z.number().positive().max(87_600).default(168),
  /** Make missing topics; otherwise somebody else has, and they are only looked at. */
  createTopics: z.boolean().default(true),
  compression: z.enum(['none', 'gzip', 'snappy', 'lz4']).default('lz4'),
  /** How long a command of a `replicated` resource waits for Kafka's acknowledgement before it is refused. */
  replicatedMsMax: positive.max(600_000).default(10_000),
})

/** A kind of event, or its beginning up to a dot: `output`, `audit`, `command.completed`. */
const kindName = z
  .string()
  .max(100)
  .regex(/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$/, 'must be default, a kind of event, or its beginning')

const warehouseUser = (user: string) =>
  z.strictObject({
    user: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'must be 1 to 63 letters, digits, underscores')
      .default(user),
    password: secret,
  })

/** Where events can be asked for. Without a URL it is the embedded one, which stand-alone starts. */
const warehouse = z
  .strictObject({
    /** ClickHouse's HTTP interface. CUSTODY_WAREHOUSE_URL takes its place. */
    url: z
      .string()
      .refine(isSafeUrl, {
        message:
          'must be an https URL (http on this machine only) without user, query and fragment',
      })
      .optional(),
    ingest: warehouseUser('custody_ingest').optional(),
    query: warehouseUser('custody_query').optional(),
    /** Applies migrations, makes users, moves what is old. Ingest's own where absent. */
    admin: warehouseUser('custody_admin').optional(),
    /** Replicated and distributed tables on this cluster, as ClickHouse's remote_servers call it. */
    cluster: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'must be 1 to 63 letters, digits, underscores')
      .optional(),
    /** Days after which events of a kind (or of kinds that begin so) are deleted; 0 never. The longest name counts. */
    retentionDays: z.record(kindName, z.int().min(0).max(36_500)).default({ default: 0 }),
    /** Whole months whose last day is older are moved to files. */
    cold: z
      .strictObject({
        afterDays: z.int().min(1).max(36_500),
        disk: z.string().min(1).optional(),
        s3: z
          .strictObject({
            endpoint: z.string().refine(isSafeUrl, {
              message:
                'must be an https URL (http on this machine only) without user, query and fragment',
            }),
            bucket: z
              .string()
              .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket'),
            prefix: z
              .string()
              .regex(
                /^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/,
                'must be letters, digits, dashes, underscores, between single slashes',
              )
              .max(200)
              .default('custody'),
            accessKeyId: secret,
            secretAccessKey: secret,
          })
          .optional(),
      })
      .refine((value) => exactlyOne(value, ['disk', 's3']), {
        message: 'must have exactly one of disk, s3',
      })
      .optional(),
  })
  .superRefine((value, context) => {
    const needs = (of: string, other: string) =>
      context.addIssue({ code: 'custom', path: [of], message: `needs warehouse.${other}` })
    if (value.url)
      for (const role of ['ingest', 'query'] as const)
        if (!value[role])
          context.addIssue({
            code: 'custom',
            path: [role],
            message: 'missing (a warehouse with a URL has users of its own)',
          })
    for (const role of ['ingest', 'query', 'admin'] as const)
      for (const other of ['ingest', 'query', 'admin'] as const)
        if (role < other && value[role] && value[role].user === value[other]?.user)
          context.addIssue({
            code: 'custom',
            path: [role, 'user'],
            message: `is the user of warehouse.${other} as well: each has its own`,
          })
    if (value.admin && !value.ingest) needs('admin', 'ingest')
    if ((value.cluster || value.url) && value.cold?.disk)
      context.addIssue({
        code: 'custom',
        path: ['cold', 'disk'],
        message: 'is for the embedded warehouse: a server or cluster needs s3',
      })
  })

const siem = siemSettings({
  name,
  address,
  url: outboundUrl,
  email,
  secret,
  kafkaSasl,
})

const settings = z.strictObject({
  gateway: name.default('local'),
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      /** The name by which clients reach it, where that is not the host of the console's URL. */
      publicHost: z.string().min(1).optional(),
      postgres: port.default(15_432),
      mysql: port.default(13_306),
      ssh: port.default(12_222),
      console: port.default(15_480),
      /** Of proxy and ingest as processes of their own: /healthz, /readyz and /metrics. Without it they have none. */
      health: port.optional(),
    })
    .prefault({}),
  tls: z.strictObject({ certificate: z.string().min(1), key: z.string().min(1) }).optional(),
  log: z
    .strictObject({
      segmentBytes: positive
        .min(64 * KiB)
        .max(4 * GiB)
        .default(64 * MiB),
      /** Kept at most this much of what every consumer has committed. */
      retentionBytesMax: positive.default(10 * GiB),
      retentionAgeMaxHours: z
        .number()
        .positive()
        .default(24 * 30),
      /** The log never grows beyond this, whatever its consumers have not taken yet: new commands are refused before. */
      logBytesMax: positive.default(64 * GiB),
      /** Room kept free so that the log can still say that it is full. */
      reserveBytes: z
        .int()
        .min(0)
        .default(64 * MiB),
      /** Log, Kafka and store are compared this often, and what is missing raises an alert; 0 never. */
      verifyEveryHours: z
        .number()
        .min(0)
        .max(24 * 7)
        .default(24),
    })
    .prefault({}),
  /** Who vouches for people and jobs, besides this installation. */
  identity: z
    .strictObject({
      issuers: z.array(oidcIssuer).max(20).default([]),
      saml: z.array(samlProvider).max(20).default([]),
      /** What signs and verifies this installation's own tokens, where several hosts must agree on it. */
      tokenKeys: z
        .strictObject({
          /** Tokens are of the issuer `custody:<issuer>`; the gateway's name when not given. */
          issuer: name.optional(),
          /** An Ed25519 key, PEM or JWK; a public one is enough where no tokens are issued. CUSTODY_HOME/keys has one otherwise. */
          file: z.string().min(1).optional(),
        })
        .prefault({}),
      /** What certifies people's SSH keys and gateways' host keys, where several hosts must agree on it. */
      sshAuthority: z
        .strictObject({
          /** An Ed25519 key, PEM; the public one (PEM or OpenSSH's line) is enough to verify. CUSTODY_HOME/keys has one otherwise. */
          file: z.string().min(1).optional(),
          /** Longest life of a certificate for a person. */
          ttlSecondsMax: positive.max(86_400).default(12 * 3600),
        })
        .prefault({}),
    })
    .prefault({}),
  /** How clients reach this gateway by SSH, and by which keys besides Custody's own certificates. */
  ssh: z
    .strictObject({
      /** Ed25519, PEM. CUSTODY_HOME/keys has one otherwise. */
      hostKey: z.string().min(1).optional(),
      /** Its certificate, where the authority's private half is elsewhere. */
      hostCertificate: z.string().min(1).optional(),
      /** Names besides the resources' that the certificate is for. */
      hostNames: z.array(z.string().min(1).max(253)).max(100).default([]),
      /** Other authorities whose users' certificates are taken, and who their principals are. */
      userAuthorities: z
        .array(
          z.strictObject({
            publicKey,
            /** Of identities: where they come from. */
            issuer: z.string().min(1).max(256),
            /** Who a principal is. A certificate without one of these is refused. */
            principals: z.record(z.string().min(1).max(256), sshIdentity),
          }),
        )
        .max(20)
        .default([]),
      /** Keys that stand for somebody. */
      publicKeys: z.array(sshIdentity.extend({ publicKey })).max(10_000).default([]),
    })
    .prefault({}),
  console: z
    .strictObject({
      /** Where people reach it, where that is not the listener itself. Links in messages begin with it. */
      url: issuerUrl.optional(),
      /** A browser's sign-in ends after so long. */
      sessionHoursMax: z.number().positive().max(12).default(8),
      /** Which groups are what. `everyone` means everybody. */
      roles: z
        .strictObject({
          /** Sees what they did themselves. */
          viewer: groups(['everyone']),
          /** Sees all sessions and events, but not who looked at what. */
          analyst: groups(['custody:analyst']),
          /** May answer held commands, of those that policies let them answer. */
          approver: groups(['everyone']),
          /** Sees everything, who looked at what as well. */
          auditor: groups(['custody:auditor']),
          /** Issues and revokes tokens, locks identities, ends sessions. */
          admin: groups(['custody:admin']),
        })
        .prefault({}),
    })
    .prefault({}),
  vault: vault.optional(),
  kafka: kafka
    .refine((value) => value.minInsyncReplicas <= value.replicationFactor, {
      path: ['minInsyncReplicas'],
      message: 'must be at most replicationFactor',
    })
    .optional(),
  warehouse: warehouse.optional(),
  /** Who else gets the events, and how. */
  siem: siem.optional(),
  resources: z.record(name, resource).default({}),
  /** Without it everything is permitted (and recorded); with it, what no policy permits is blocked. */
  policy: z
    .strictObject({
      /** Files of Cedar policies, or directories of *.cedar files. Looked at again when they change. */
      files: z.array(z.string().min(1)).default([]),
      /** Shipped policies, for some groups and resources (everyone and all where none are named). */
      templates: z
        .array(
          z.strictObject({
            use: z.string().min(1),
            groups: z.array(z.string().min(1)).min(1).optional(),
            resources: z.array(name).min(1).optional(),
          }),
        )
        .default([]),
      /** Files of statements that were approved beforehand, for some resources and groups (all where none are named). */
      preApproved: z
        .array(
          z.strictObject({
            file: z.string().min(1),
            /** Who answers for it; decisions name them. */
            approvedBy: z.string().min(1),
            resources: z.array(name).min(1).optional(),
            groups: z.array(z.string().min(1)).min(1).optional(),
            /** ISO 8601; from then on it counts no more. */
            until: z.string().min(1).optional(),
          }),
        )
        .default([]),
      /** Of hours and weekdays in policies. */
      timeZone: z
        .string()
        .default('UTC')
        .refine(isTimeZone, { message: 'must be an IANA time zone, such as Europe/Madrid' }),
    })
    .optional(),
  /** What of answers and of the record is masked, for whom. Without it nothing is but passwords in statements. */
  masking: masking.optional(),
  /** How held commands reach people where they are; the console and `custody approvals` need nothing of it. */
  approvals,
  limits: z
    .strictObject({
      /** One protocol message, either way. PostgreSQL's own limit is just below 1 GiB. */
      frameBytesMax: positive.max(GiB).default(GiB),
      /** Messages before sign-in; PostgreSQL accepts 10,000 bytes for the start-up packet. */
      handshakeFrameBytesMax: positive.max(MiB).default(64 * KiB),
      /** Statement text kept in an event; a longer one is cut and says so. */
      statementBytesMax: positive.max(64 * MiB).default(MiB),
      /** All bound parameters of one command kept in an event. */
      parametersBytesMax: positive.max(64 * MiB).default(256 * KiB),
      /** Prepared statements and portals remembered for one connection. */
      statementsPerConnectionMax: positive.default(10_000),
      /** Clients that may wait at once for somebody to sign in for them in a browser, and how long. */
      signInsWaitingMax: positive.default(100),
      signInMsMax: positive.max(3_600_000).default(300_000),
      /** Commands waiting for approval at once, over all sessions; one more is refused. */
      commandsHeldMax: positive.default(10_000),
      connectionsMax: positive.default(2_000),
      /** SSH: channels on one connection, forwarded ones included. */
      channelsPerConnectionMax: positive.max(10_000).default(256),
      /** Connections that have not signed in yet. */
      handshakesMax: positive.default(256),
      /** From accepting a connection to the end of sign-in. */
      handshakeMsMax: positive.default(15_000),
      /** Reaching and signing in to the target. */
      targetConnectMsMax: positive.default(10_000),
      /** A peer that accepts no byte for this long while some wait for it is cut off; 0 never. */
      stalledMsMax: z.int().min(0).default(300_000),
      /** A connection without traffic for this long is closed; 0 never. */
      idleMsMax: z.int().min(0).default(0),
      /** How long running commands may take to end when Custody is stopped; 5 s before the process ends whatever runs. */
      drainMsMax: z.int().min(0).max(25_000).default(10_000),
    })
    .prefault({}),
})

/** Every secret that may be in a configuration, but for those of `vault` itself, which are never literal. */
function* secretsOf(
  configuration: z.output<typeof settings>,
): Generator<{ path: PropertyKey[]; secret: Secret }> {
  for (const [name, resource] of Object.entries(configuration.resources)) {
    const { password } = resource
    if (password) yield { path: ['resources', name, 'password'], secret: password }
    if (resource.protocol === 'ssh')
      for (const key of ['privateKey', 'passphrase'] as const)
        if (resource[key]) yield { path: ['resources', name, key], secret: resource[key] }
  }
  for (const [i, { clientSecret }] of configuration.identity.issuers.entries())
    if (clientSecret)
      yield { path: ['identity', 'issuers', i, 'clientSecret'], secret: clientSecret }
  if (configuration.masking?.key)
    yield { path: ['masking', 'key'], secret: configuration.masking.key }
  const sasl = configuration.kafka?.sasl
  if (sasl?.mechanism === 'oauthbearer')
    yield { path: ['kafka', 'sasl', 'clientSecret'], secret: sasl.clientSecret }
  else if (sasl) yield { path: ['kafka', 'sasl', 'password'], secret: sasl.password }
  const store = configuration.warehouse
  for (const role of ['ingest', 'query', 'admin'] as const) {
    const user = store?.[role]
    if (user) yield { path: ['warehouse', role, 'password'], secret: user.password }
  }
  if (store?.cold?.s3)
    for (const key of ['accessKeyId', 'secretAccessKey'] as const)
      yield { path: ['warehouse', 'cold', 's3', key], secret: store.cold.s3[key] }
  for (const [name, destination] of Object.entries(configuration.siem?.destinations ?? {}))
    for (const { path, secret } of secretsOfDestination(destination))
      yield { path: ['siem', 'destinations', name, ...path], secret }
  for (const [i, channel] of configuration.approvals.channels.entries())
    for (const [setting, secret] of Object.entries(secretsOfChannel(channel)))
      if (secret) yield { path: ['approvals', 'channels', i, setting], secret }
}

function secretsOfChannel(
  channel: z.output<typeof settings>['approvals']['channels'][number],
): Record<string, Secret | undefined> {
  switch (channel.type) {
    case 'slack':
      return { token: channel.token, signingSecret: channel.signingSecret }
    case 'teams':
      return { url: channel.url }
    case 'email':
      return { password: channel.password }
    case 'webhook':
      return { secret: channel.secret }
    case 'jira':
      return { token: channel.token, webhookSecret: channel.webhookSecret }
    case 'servicenow':
      return { password: channel.password }
    case 'pagerduty':
      return { routingKey: channel.routingKey }
  }
}

const schema = settings.superRefine((configuration, context) => {
  for (const [name, { durability }] of Object.entries(configuration.resources))
    if (durability === 'replicated' && !configuration.kafka)
      context.addIssue({
        code: 'custom',
        path: ['resources', name, 'durability'],
        message: 'replicated needs the settings of kafka at the top (kafka.brokers)',
      })
  for (const { path, secret } of secretsOf(configuration))
    if ('vault' in secret && !configuration.vault)
      context.addIssue({
        code: 'custom',
        path: [...path, 'vault'],
        message: 'needs the settings of vault at the top (vault.address and how to sign in)',
      })
})

export type Configuration = z.output<typeof schema> & {
  /** The file it came from; absent when there is none and everything is default. */
  file?: string
}
export type PostgresResource = z.output<typeof postgresResource>
export type MysqlResource = z.output<typeof mysqlResource>
export type SshResource = z.output<typeof sshResource>
export type Resource = z.output<typeof resource>
export type SamlProvider = z.output<typeof samlProvider>
export type OidcIssuer = z.output<typeof oidcIssuer>
export type MaskingSettings = z.output<typeof masking>
export type KafkaSettings = NonNullable<Configuration['kafka']>
export type WarehouseSettings = NonNullable<Configuration['warehouse']>
export type SiemSettings = NonNullable<Configuration['siem']>
export type SiemDestinationSettings = SiemSettings['destinations'][string]
export type ApprovalSettings = Configuration['approvals']
export type ChannelSettings = ApprovalSettings['channels'][number]
export type Limits = Configuration['limits']
export type RecordingMode = z.output<typeof recording>

/** Environment variables that override a setting, with the setting's path. */
export const environmentOverrides = {
  CUSTODY_PORT_POSTGRES: 'listen.postgres',
  CUSTODY_PORT_MYSQL: 'listen.mysql',
  CUSTODY_PORT_SSH: 'listen.ssh',
  CUSTODY_PORT_CONSOLE: 'listen.console',
  CUSTODY_PORT_HEALTH: 'listen.health',
  CUSTODY_GATEWAY: 'gateway',
  CUSTODY_LOG_BYTES_MAX: 'log.logBytesMax',
} as const

/** The variable that overrides a protocol's port. */
export function portVariable(protocol: ProtocolName) {
  return `CUSTODY_PORT_${protocol.toUpperCase() as Uppercase<ProtocolName>}` as const
}

/** What clients are listened for: whatever some resource speaks, and PostgreSQL where there is none yet. */
export function spokenProtocols({ resources }: Pick<Configuration, 'resources'>): ProtocolName[] {
  const spoken = new Set(Object.values(resources).map(({ protocol }) => protocol))
  return spoken.size === 0 ? ['postgres'] : PROTOCOLS.filter((one) => spoken.has(one))
}

/** Where the configuration is looked for, and whether somebody asked for that place. */
export function configurationFile(
  environment: NodeJS.ProcessEnv,
  cwd: string,
): { path: string; explicit: boolean } {
  const named = environment.CUSTODY_CONFIG
  return named
    ? { path: resolve(cwd, named), explicit: true }
    : { path: resolve(cwd, 'custody.yaml'), explicit: false }
}

/**
 * The configuration in force. Without a file (and without CUSTODY_CONFIG naming one) it is the defaults with no resource.
 */
export function loadConfiguration(
  environment: NodeJS.ProcessEnv = process.env,
  cwd: string = process.cwd(),
): Configuration {
  const { path, explicit } = configurationFile(environment, cwd)
  let text: string | undefined
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (!missing || explicit) {
      throw new CustodyError('CUSTODY-CONFIG-001', `cannot read the configuration ${path}`, {
        cause,
      })
    }
  }
  const configuration =
    text === undefined ? parseConfiguration('', path) : parseConfiguration(text, path)
  if (text !== undefined) configuration.file = path
  applyEnvironment(configuration, environment)
  return configuration
}

/** Validates the text of a configuration. Relative paths in it are meant from the file's own directory. */
export function parseConfiguration(text: string, path = 'custody.yaml'): Configuration {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const fault = document.errors[0]
  if (fault) {
    const { line, col } = lines.linePos(fault.pos[0])
    // What the parser quotes after a colon may be a password without quotes.
    throw new CustodyError(
      'CUSTODY-CONFIG-001',
      `${path}:${line}:${col}: not valid YAML: ${fault.message.replace(/:? *[:!&*"'\\].*$/s, '')}`,
    )
  }
  let plain: unknown
  try {
    plain = document.toJS()
  } catch {
    throw new CustodyError(
      'CUSTODY-CONFIG-001',
      `${path}: not valid YAML: an alias (*name) that nothing has as its anchor; quote a text that begins with *`,
    )
  }
  const result = schema.safeParse(plain ?? {})
  if (!result.success) {
    const problems = result.error.issues.flatMap(explain).map(({ at, message }) => {
      const line = lineOf(at)
      return `${path}${line === undefined ? '' : `:${line}`}: ${at.join('.') || '(top)'}: ${message}`
    })
    throw new CustodyError('CUSTODY-CONFIG-002', problems.join('\n'), { details: { problems } })
  }
  const configuration: Configuration = result.data
  resolvePaths(configuration, dirname(path))
  return configuration

  /** The line of a path, or of the nearest part of it that is in the file. */
  function lineOf(at: readonly PropertyKey[]): number | undefined {
    for (let length = at.length; length > 0; length--) {
      const parent = document.getIn(at.slice(0, length - 1), true) as
        | { items?: { key?: { value?: unknown; range?: Range }; range?: Range }[] }
        | undefined
      const last = at[length - 1]
      const found =
        typeof last === 'number'
          ? parent?.items?.[last]
          : parent?.items?.find((item) => item?.key?.value === last)?.key
      if (found?.range) return lines.linePos(found.range[0]).line
    }
    return undefined
  }
}

type Range = [number, number, number]

/** What stands there instead of a secret may be one, and is not repeated. */
const SECRET_SETTINGS = new Set([
  'password',
  'privateKey',
  'passphrase',
  'token',
  'secretId',
  'clientSecret',
  'signingSecret',
  'secret',
  'webhookSecret',
  'routingKey',
  'key',
  'accessKeyId',
  'secretAccessKey',
  'apiKey',
  'serviceAccount',
])

/** One problem per wrong setting; an unknown key is reported at its own path. */
function explain(issue: z.core.$ZodIssue): { at: PropertyKey[]; message: string }[] {
  if (issue.code === 'unrecognized_keys') {
    // `{ hunter2 }` instead of `{ literal: hunter2 }` is a key that must not be repeated.
    if (SECRET_SETTINGS.has(String(issue.path.at(-1))))
      return [{ at: issue.path, message: 'has something that is no form of a secret' }]
    return issue.keys.map((key) => ({ at: [...issue.path, key], message: 'unknown setting' }))
  }
  if (issue.code === 'invalid_key') {
    return [{ at: issue.path, message: issue.issues[0]?.message ?? issue.message }]
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return [{ at: issue.path, message: `missing (${issue.expected} expected)` }]
  }
  return [{ at: issue.path, message: lowerFirst(issue.message) }]
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function resolvePaths(configuration: Configuration, directory: string): void {
  if (configuration.tls) {
    configuration.tls.certificate = resolve(directory, configuration.tls.certificate)
    configuration.tls.key = resolve(directory, configuration.tls.key)
  }
  const { tokenKeys, sshAuthority } = configuration.identity
  for (const key of [tokenKeys, sshAuthority]) if (key.file) key.file = resolve(directory, key.file)
  const { ssh } = configuration
  if (ssh.hostKey) ssh.hostKey = resolve(directory, ssh.hostKey)
  if (ssh.hostCertificate) ssh.hostCertificate = resolve(directory, ssh.hostCertificate)
  for (const provider of configuration.identity.saml)
    provider.idpCertificates = provider.idpCertificates.map((file) => resolve(directory, file))
  for (const { secret } of secretsOf(configuration)) resolveFile(secret)
  const { policy } = configuration
  if (policy) {
    policy.files = policy.files.map((file) => resolve(directory, file))
    for (const list of policy.preApproved) list.file = resolve(directory, list.file)
  }
  for (const resource of Object.values(configuration.resources)) {
    if ('tlsCa' in resource && resource.tlsCa) resource.tlsCa = resolve(directory, resource.tlsCa)
  }
  for (const channel of configuration.approvals.channels)
    if (channel.type === 'email' && channel.tlsCa) channel.tlsCa = resolve(directory, channel.tlsCa)
  const { siem } = configuration
  if (siem) {
    siem.rules = siem.rules.map((file) => resolve(directory, file))
    for (const { tls } of Object.values(siem.destinations))
      for (const part of ['ca', 'certificate', 'key'] as const)
        if (tls?.[part]) tls[part] = resolve(directory, tls[part])
  }
  const cold = configuration.warehouse?.cold
  if (cold?.disk) cold.disk = resolve(directory, cold.disk)
  const { vault } = configuration
  if (vault) {
    if (vault.tlsCa) vault.tlsCa = resolve(directory, vault.tlsCa)
    if (vault.kubernetes)
      vault.kubernetes.tokenFile = resolve(directory, vault.kubernetes.tokenFile)
    resolveFile(vault.token)
    resolveFile(vault.appRole?.secretId)
  }

  function resolveFile(secret: Secret | undefined): void {
    if (secret && 'file' in secret) secret.file = resolve(directory, secret.file)
  }
}

function applyEnvironment(configuration: Configuration, environment: NodeJS.ProcessEnv): void {
  const { listen } = configuration
  for (const protocol of PROTOCOLS)
    listen[protocol] = overriddenPort(portVariable(protocol), listen[protocol])
  listen.console = overriddenPort('CUSTODY_PORT_CONSOLE', listen.console)
  listen.health = overriddenPort('CUSTODY_PORT_HEALTH', listen.health)
  const gateway = environment.CUSTODY_GATEWAY
  if (gateway) {
    if (!name.safeParse(gateway).success)
      throw new CustodyError(
        'CUSTODY-CONFIG-004',
        `CUSTODY_GATEWAY must be 1 to 63 letters, digits, dots, dashes, underscores, it is ${JSON.stringify(gateway)}`,
      )
    configuration.gateway = gateway
  }
  const bytesMax = environment.CUSTODY_LOG_BYTES_MAX
  if (bytesMax) {
    const value = Number(bytesMax)
    if (!/^\d+$/.test(bytesMax) || !Number.isSafeInteger(value) || value === 0)
      throw new CustodyError(
        'CUSTODY-CONFIG-004',
        `CUSTODY_LOG_BYTES_MAX must be a positive number of bytes (it bounds log.logBytesMax), it is ${JSON.stringify(bytesMax)}`,
      )
    const { log } = configuration
    log.logBytesMax = Math.min(log.logBytesMax, value)
    // What is kept after it was taken must be freed before the log is full of it.
    log.retentionBytesMax = Math.min(log.retentionBytesMax, Math.ceil(log.logBytesMax / 2))
  }

  function overriddenPort<T extends number | undefined>(
    variable: keyof typeof environmentOverrides,
    configured: T,
  ): T | number {
    const text = environment[variable]
    if (text === undefined || text === '') return configured
    const value = Number(text)
    if (!/^\d{1,5}$/.test(text) || value > 65_535) {
      throw new CustodyError(
        'CUSTODY-CONFIG-004',
        `${variable} must be a port from 0 to 65535 (it overrides ${environmentOverrides[variable]}), it is ${JSON.stringify(text)}`,
      )
    }
    return value
  }
}

/** The same configuration fit to be shown or recorded: literal secrets blanked. */
export function withoutSecrets(configuration: Configuration): Configuration {
  const copy = structuredClone(configuration)
  for (const { secret } of secretsOf(copy)) if ('literal' in secret) secret.literal = '***'
  return copy
}
