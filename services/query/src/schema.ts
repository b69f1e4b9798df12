/**
 * The API's contract as JSON Schema: what is checked of a request, and what OpenAPI says about answers.
 */
import { COMMENT_CHARACTERS_MAX } from './answering'
import { LIMIT_MAX } from './filters'

const error = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'action'],
      properties: {
        code: { type: 'string', description: 'Stable, listed in docs/errors.md.' },
        message: { type: 'string' },
        action: { type: 'string', description: 'What the reader has to do.' },
        suggestions: { type: 'array', items: { type: 'string' } },
      },
    },
  },
} as const

const failures = {
  400: { description: 'The request is wrong', ...error },
  401: { description: 'No valid credential', ...error },
  403: { description: 'Not allowed', ...error },
  404: { description: 'Not there', ...error },
  503: { description: 'The read can’t be recorded, or the store does not answer', ...error },
} as const

const free = (description: string) =>
  ({ type: 'object', additionalProperties: true, description }) as const
const list = (description: string) => ({ type: 'array', items: free(description) }) as const
const next = {
  type: ['string', 'null'],
  description: 'Cursor of the next page; null at the end.',
} as const
const upToDate = {
  type: 'boolean',
  description: 'False where something recorded before the request was not in the store yet.',
} as const

const answer = (description: string, properties: Record<string, unknown>) => ({
  200: { description, type: 'object', properties },
  ...failures,
})

const text = (description: string) =>
  ({ type: 'string', minLength: 1, maxLength: 1024, description }) as const
const wait = {
  type: 'integer',
  minimum: 0,
  maximum: 5000,
  description: 'Milliseconds to wait until everything recorded before is in the store.',
} as const
const limit = { type: 'integer', minimum: 1, maximum: LIMIT_MAX } as const
const order = {
  type: 'string',
  enum: ['asc', 'desc'],
  description: 'By time; newest first when not given.',
} as const
const time = (which: string) => text(`${which} this moment (ISO 8601; UTC where no zone is named).`)

const query = (properties: Record<string, unknown>) => ({
  type: 'object',
  additionalProperties: false,
  properties,
})

const sessionId = {
  type: 'object',
  required: ['id'],
  properties: { id: text('Identifier, the beginning of one, or `last` for the one opened last.') },
} as const

export const open = (summary: string) => ({ summary, tags: ['health'], security: [] })

export const sessions = {
  summary: 'Sessions, newest first',
  tags: ['evidence'],
  querystring: query({
    since: time('Opened at or after'),
    until: time('Opened before'),
    identity: text('Subject or e-mail address.'),
    resource: text('Name of the resource.'),
    limit,
    cursor: text('`next` of the page before.'),
    order,
    wait,
  }),
  response: answer('One page', { sessions: list('A session'), next, upToDate }),
}

export const session = {
  summary: 'One session',
  tags: ['evidence'],
  params: sessionId,
  querystring: query({ wait }),
  response: answer('The session', { session: free('A session'), upToDate }),
}

export const timeline = {
  summary: 'What happened in a session, in order: each command with how it ended',
  tags: ['evidence'],
  params: sessionId,
  querystring: query({ limit, cursor: text('`next` of the page before.'), wait }),
  response: answer('One page', {
    session: free('A session'),
    timeline: list(
      'An entry; `kind` is `command`, or the kind of the event. A command’s `masks` say what was masked of its `statement` and `answer` (`of`): rule, column, detector, action (`reveal`: shown in clear by policy) and count',
    ),
    next,
    upToDate,
  }),
}

export const replay = {
  summary: 'A PostgreSQL session as its client saw it: statements and what came back',
  tags: ['evidence'],
  params: sessionId,
  querystring: query({
    limit,
    cursor: text('`next` of the page before.'),
    rows: {
      type: 'integer',
      minimum: 0,
      maximum: 10_000,
      description: 'Rows shown of one result.',
    },
    wait,
  }),
  response: answer('One page', {
    session: free('A session'),
    replay: list(
      'A timeline entry; commands also have `shown` (tables, tags, errors, notices, COPY data), `digestHolds` and `cut`',
    ),
    next,
    upToDate,
  }),
}

export const recording = {
  summary: 'A terminal session as a recording for players: asciicast v2, one JSON line an event',
  tags: ['evidence'],
  params: sessionId,
  querystring: query({
    command: text(
      'Identifier of the command whose terminal is shown; the first that has one when left out.',
    ),
    wait,
  }),
  response: {
    200: {
      description: 'The recording',
      content: { 'application/x-asciicast': { schema: { type: 'string' } } },
    },
  },
}

export const live = {
  summary:
    'The terminal of an open SSH session as it happens: asciicast v2, with empty lines to say that somebody is there',
  tags: ['evidence'],
  params: sessionId,
  querystring: query({
    command: text(
      'Identifier of the command whose terminal is shown; the first that runs and has one when left out.',
    ),
  }),
  response: {
    200: {
      description: 'The recording, until what runs has ended',
      content: { 'application/x-asciicast': { schema: { type: 'string' } } },
    },
  },
}

export const approvals = {
  summary: 'Commands that wait for a person, and what became of those that did',
  tags: ['approvals'],
  querystring: query({
    state: {
      type: 'string',
      enum: ['waiting', 'approved', 'denied', 'expired', 'withdrawn'],
      description: 'Only these; a page may then hold fewer than `limit`.',
    },
    since: time('Asked at or after'),
    until: time('Asked before'),
    identity: text('Subject or e-mail address of who asked.'),
    resource: text('Name of the resource.'),
    limit,
    cursor: text('`next` of the page before.'),
    order,
    wait,
  }),
  response: answer('One page', { approvals: list('A request for approval'), next, upToDate }),
}

const approvalId = {
  type: 'object',
  required: ['id'],
  properties: { id: text('Identifier of the request, or the beginning of one.') },
} as const

export const approval = {
  summary: 'One request for approval, with its answers',
  tags: ['approvals'],
  params: approvalId,
  querystring: query({ wait }),
  response: answer('The request', { approval: free('A request for approval'), upToDate }),
}

const ANSWERS = {
  approve: 'Let a held command run',
  deny: 'Refuse a held command',
  force: 'Let a held command run alone, whoever else should answer; raises an alert',
}

export const answering = (what: keyof typeof ANSWERS) => ({
  summary: ANSWERS[what],
  tags: ['approvals'],
  params: approvalId,
  body: {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: {
      comment: {
        type: 'string',
        maxLength: COMMENT_CHARACTERS_MAX,
        description: 'Why; some requests need it.',
      },
    },
  },
  response: {
    ...answer('The answer is recorded', {
      request: { type: 'string' },
      answer: { type: 'string', enum: ['approved', 'denied', 'forced'] },
    }),
    409: { description: 'It does not wait any more', ...error },
  },
})

export const identity = {
  summary: 'Where people sign in',
  tags: ['access'],
  security: [],
  response: {
    200: {
      description: 'Issuers with a client for the command line',
      type: 'object',
      properties: {
        gateway: { type: 'string' },
        issuers: list('issuer, clientId, scopes'),
        browser: { type: 'boolean', description: 'Whether people can sign in at /sign-in' },
      },
    },
  },
}

export const own = {
  summary: 'A Custody token for oneself, from an issuer’s token or another Custody token',
  tags: ['access'],
  body: {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: { ttlSeconds: { type: 'integer', minimum: 1, maximum: 43_200 } },
  },
  response: {
    201: { description: 'Shown once', type: 'object', additionalProperties: true },
    ...failures,
  },
}

const reason = text('Why; it is recorded.')

export const locks = {
  summary: 'Identities that are kept out',
  tags: ['access'],
  response: answer('All of them', { locks: list('A lock: identity, by, reason, since') }),
}

export const lock = {
  summary: 'Keep an identity out, and end its sessions within seconds',
  tags: ['access'],
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['identity'],
    properties: { identity: text('Subject or e-mail address.'), reason },
  },
  response: {
    201: { description: 'Locked', type: 'object', additionalProperties: true },
    ...failures,
  },
}

export const unlock = {
  summary: 'Let an identity in again',
  tags: ['access'],
  params: {
    type: 'object',
    required: ['identity'],
    properties: { identity: text('Subject or e-mail address.') },
  },
  response: answer('Unlocked', { identity: { type: 'string' }, locked: { type: 'boolean' } }),
}

export const kill = {
  summary: 'End an open session: one’s own, or any as the administrator',
  tags: ['access'],
  params: sessionId,
  body: { type: ['object', 'null'], additionalProperties: false, properties: { reason } },
  response: {
    ...answer('It is recorded; the gateway does it within a second', {
      session: { type: 'string' },
      asked: { type: 'boolean' },
    }),
    409: { description: 'It is not open', ...error },
  },
}

export const events = {
  summary: 'Events, filtered',
  tags: ['evidence'],
  querystring: query({
    session: text('Identifier, the beginning of one, or `last`.'),
    since: time('At or after'),
    until: time('Before'),
    kind: text('Kinds, separated by commas; `command.*` means all that begin so.'),
    without: text('Kinds to leave out, in the same form.'),
    identity: text('Subject or e-mail address.'),
    resource: text('Name of the resource.'),
    text: text('Part of a command’s text, in any case.'),
    object: text('Something a command touches: `payments` also finds `public.payments`.'),
    limit,
    cursor: text('`next` of the page before.'),
    order,
    wait,
  }),
  response: answer('One page', {
    events: list('An event, as in schemas/records/Event.avsc'),
    next,
    upToDate,
  }),
}

export const status = {
  summary: 'What runs, and how far ingest is behind',
  tags: ['operation'],
  response: answer('The status', {
    version: { type: 'string' },
    gateway: { type: 'string' },
    store: { type: 'string', enum: ['ok', 'unavailable'] },
    behind: { type: 'integer' },
    held: {
      type: ['integer', 'null'],
      description: 'Commands that wait for approval; null: the store is away',
    },
    policy: {
      type: ['object', 'null'],
      description:
        'The policies in force: `version` (null: none), and `problem` where newer files are not good',
    },
    listen: {
      type: 'object',
      description: 'Where native clients connect to; `host` null: where this API is',
    },
    recorders: list('A recorder'),
    cluster: {
      type: ['object', 'null'],
      description:
        'Null on one machine. `shipper`: this service’s own log on its way to Kafka; `partitions`: how far ingest is behind in each (null: Kafka does not say); `gateways`: recorders of which something has arrived within a day, with the time of the last (null: the store is away). What lies on other hosts and has not been shipped is told by their own /metrics only',
    },
    resources: list('A resource'),
  }),
}

export const sshCertificate = {
  summary: 'Certify an SSH public key, for oneself or (admin) for somebody',
  tags: ['access'],
  body: {
    type: 'object',
    required: ['publicKey'],
    additionalProperties: false,
    properties: {
      publicKey: { type: 'string', minLength: 1, maxLength: 8192 },
      ttlSeconds: { type: 'integer', minimum: 1, maximum: 86_400 },
      sourceAddress: { type: 'string', maxLength: 1000, pattern: '^[0-9A-Fa-f.:/, ]+$' },
      subject: { type: 'string', minLength: 1, maxLength: 256 },
      email: { type: 'string', minLength: 3, maxLength: 320 },
      groups: {
        type: 'array',
        maxItems: 100,
        items: { type: 'string', minLength: 1, maxLength: 256 },
      },
      kind: { type: 'string', enum: ['human', 'service', 'agent'] },
    },
  },
  response: {
    201: {
      description: 'The certificate, and the authority that made it, which certifies gateways too',
      type: 'object',
      properties: {
        certificate: { type: 'string' },
        id: { type: 'string' },
        serial: { type: 'string' },
        subject: { type: 'string' },
        expires: { type: 'string' },
        authority: { type: 'string' },
      },
    },
    ...failures,
  },
}

export const issue = {
  summary: 'Issue a token (local administrator)',
  tags: ['access'],
  body: {
    type: 'object',
    required: ['subject'],
    additionalProperties: false,
    properties: {
      subject: { type: 'string', minLength: 1, maxLength: 256 },
      email: { type: 'string', minLength: 3, maxLength: 320 },
      name: { type: 'string', minLength: 1, maxLength: 256 },
      groups: {
        type: 'array',
        maxItems: 100,
        items: { type: 'string', minLength: 1, maxLength: 256 },
      },
      kind: { type: 'string', enum: ['human', 'service', 'agent'] },
      ttlSeconds: { type: 'integer', minimum: 1 },
    },
  },
  response: {
    201: {
      description: 'The token; it is not kept and can’t be shown again',
      type: 'object',
      properties: {
        token: { type: 'string' },
        id: { type: 'string' },
        subject: { type: 'string' },
        expires: { type: 'string' },
      },
    },
    ...failures,
  },
}

export const revoke = {
  summary: 'Revoke a token: one’s own, or any as an administrator',
  tags: ['access'],
  params: {
    type: 'object',
    required: ['id'],
    properties: { id: { type: 'string', pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' } },
  },
  querystring: {
    type: 'object',
    additionalProperties: false,
    properties: {
      alone: { type: 'boolean', description: 'Tokens that were made of it stay good' },
    },
  },
  response: answer('Revoked', { id: { type: 'string' }, revoked: { type: 'boolean' } }),
}
