/**
 * Simulators of the services behind channels: they hold what is sent to them against what the real ones demand, answer as
 * those do, and list every violation. They are not the services: what those change is not seen here.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'

export interface Call {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
  // biome-ignore lint/suspicious/noExplicitAny: JSON as it came
  json: any
  atMs: number
}

export interface Reply {
  status?: number
  headers?: Record<string, string>
  body?: unknown
  delayMs?: number
}

export class Receiver {
  readonly calls: Call[] = []
  readonly violations: string[] = []
  /** Answers that come before those of `handle`. */
  readonly first: Reply[] = []
  private server!: Server
  port = 0

  constructor(private readonly handle: (call: Call, own: Receiver) => Reply) {}

  async start(): Promise<this> {
    this.server = createServer(async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      const body = Buffer.concat(parts).toString('utf8')
      let json: unknown = null
      try {
        json = JSON.parse(body)
      } catch {}
      const call: Call = {
        method: request.method!,
        path: request.url!,
        headers: request.headers,
        body,
        json,
        atMs: Date.now(),
      }
      this.calls.push(call)
      const reply = this.first.shift() ?? this.handle(call, this)
      if (reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs))
      response.writeHead(reply.status ?? 200, {
        'content-type': 'application/json',
        ...reply.headers,
      })
      response.end(
        reply.body === undefined
          ? ''
          : typeof reply.body === 'string'
            ? reply.body
            : JSON.stringify(reply.body),
      )
    })
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    this.port = (this.server.address() as { port: number }).port
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  of(path: string): Call[] {
    return this.calls.filter((call) => call.path.split('?')[0]!.endsWith(path))
  }

  hold(what: string, holds: boolean): boolean {
    if (!holds) this.violations.push(what)
    return holds
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

export interface SlackMember {
  email?: string
  team_id?: string
  deleted?: boolean
  is_bot?: boolean
  is_stranger?: boolean
  is_email_confirmed?: boolean
}

/** api.slack.com/reference/block-kit: limits of blocks and composition objects. */
export function slack(token: string, members: Record<string, SlackMember>): Receiver {
  let sent = 0
  return new Receiver((call, own) => {
    const [path, query] = call.path.split('?')
    const method = path!.replace(/^\/api\//, '')
    if (!own.hold('bearer token', call.headers.authorization === `Bearer ${token}`))
      return { body: { ok: false, error: 'invalid_auth' } }
    if (call.method === 'POST') {
      const type = String(call.headers['content-type'])
      if (
        !own.hold(
          `${method}: JSON with a charset`,
          /^application\/json; ?charset=utf-8$/.test(type),
        )
      )
        return { body: { ok: false, error: 'invalid_post_type' } }
    }
    switch (method) {
      case 'auth.test':
        return { body: { ok: true, team_id: 'T1', user_id: 'B1' } }
      case 'users.info': {
        const id = new URLSearchParams(query).get('user') ?? ''
        const member = members[id]
        if (!member) return { body: { ok: false, error: 'user_not_found' } }
        const { email, ...others } = member
        return { body: { ok: true, user: { id, team_id: 'T1', profile: { email }, ...others } } }
      }
      case 'chat.postMessage':
        if (!blocksHold(own, call.json)) return { body: { ok: false, error: 'invalid_blocks' } }
        return { body: { ok: true, channel: call.json.channel, ts: `17000000.00000${++sent}` } }
      case 'chat.update':
        own.hold(
          'chat.update has channel and ts',
          !!call.json.channel && /^\d+\.\d+$/.test(call.json.ts),
        )
        if (!blocksHold(own, call.json)) return { body: { ok: false, error: 'invalid_blocks' } }
        return { body: { ok: true, channel: call.json.channel, ts: call.json.ts } }
      case 'chat.postEphemeral':
        own.hold(
          'chat.postEphemeral has channel, user and text',
          !!(call.json.channel && call.json.user && call.json.text),
        )
        return { body: { ok: true } }
      case 'views.open': {
        const { view, trigger_id: trigger } = call.json
        own.hold('views.open: trigger', typeof trigger === 'string' && trigger !== '')
        own.hold('views.open: modal', view?.type === 'modal')
        for (const part of ['title', 'submit', 'close'])
          own.hold(
            `views.open: ${part} of 24 characters`,
            view?.[part]?.type === 'plain_text' && view[part].text.length <= 24,
          )
        own.hold(
          'views.open: metadata of 3000 characters',
          (view?.private_metadata ?? '').length <= 3000,
        )
        return { body: { ok: true, view: { id: 'V1' } } }
      }
      default:
        own.hold(`known method, not ${method}`, false)
        return { body: { ok: false, error: 'unknown_method' } }
    }
  })
}

// biome-ignore lint/suspicious/noExplicitAny: JSON as it came
function blocksHold(own: Receiver, message: any): boolean {
  const before = own.violations.length
  own.hold(
    'text for notifications',
    typeof message.text === 'string' && message.text.length <= 4000,
  )
  own.hold('no raw markup in text', !/<[!@#]|<http/.test(message.text))
  const blocks = message.blocks ?? []
  own.hold('1 to 50 blocks', blocks.length > 0 && blocks.length <= 50)
  const ids = new Set<string>()
  // biome-ignore lint/suspicious/noExplicitAny: JSON as it came
  const text = (what: string, one: any, most: number, kinds = ['plain_text', 'mrkdwn']) => {
    own.hold(`${what}: a text object`, kinds.includes(one?.type))
    own.hold(`${what}: 1 to ${most} characters`, one?.text?.length >= 1 && one.text.length <= most)
    // What others wrote must not be read as markup; in plain text nothing is.
    own.hold(`${what}: plain`, one?.type === 'plain_text')
  }
  for (const block of blocks)
    switch (block.type) {
      case 'header':
        text('header', block.text, 150, ['plain_text'])
        break
      case 'section':
        own.hold('section: text or fields', !!block.text || !!block.fields)
        if (block.text) text('section', block.text, 3000)
        own.hold('section: 10 fields', (block.fields ?? []).length <= 10)
        for (const field of block.fields ?? []) text('field', field, 2000)
        break
      case 'context':
        own.hold(
          'context: 1 to 10 elements',
          block.elements?.length >= 1 && block.elements.length <= 10,
        )
        for (const element of block.elements) text('context', element, 3000)
        break
      case 'rich_text':
        for (const element of block.elements) {
          own.hold('rich_text: preformatted', element.type === 'rich_text_preformatted')
          for (const inner of element.elements) {
            own.hold('rich_text: text', inner.type === 'text' && inner.text.length >= 1)
            own.hold('rich_text: 3000 characters', inner.text.length <= 3000)
          }
        }
        break
      case 'actions':
        own.hold(
          'actions: 1 to 25 elements',
          block.elements?.length >= 1 && block.elements.length <= 25,
        )
        for (const element of block.elements) {
          own.hold('button', element.type === 'button')
          text('button', element.text, 75, ['plain_text'])
          own.hold(
            'button: action_id of 255 characters',
            /^.{1,255}$/.test(element.action_id ?? ''),
          )
          own.hold(`button: action_id ${element.action_id} only once`, !ids.has(element.action_id))
          ids.add(element.action_id)
          own.hold('button: value of 2000 characters', (element.value ?? '').length <= 2000)
          own.hold('button: url of 3000 characters', (element.url ?? '').length <= 3000)
          own.hold('button: style', [undefined, 'primary', 'danger'].includes(element.style))
        }
        break
      default:
        own.hold(`known block, not ${block.type}`, false)
    }
  return own.violations.length === before
}

/** Workflows webhook: a message with one Adaptive Card, 28 KB at most. */
export function teams(): Receiver {
  return new Receiver((call, own) => {
    own.hold('28 KB', Buffer.byteLength(call.body) <= 28 * 1024)
    own.hold('JSON', /^application\/json/.test(String(call.headers['content-type'])))
    const { type, attachments } = call.json ?? {}
    own.hold('message with one attachment', type === 'message' && attachments?.length === 1)
    const [attachment] = attachments ?? [{}]
    own.hold(
      'adaptive card',
      attachment.contentType === 'application/vnd.microsoft.card.adaptive' &&
        attachment.content?.type === 'AdaptiveCard',
    )
    const card = attachment.content ?? {}
    own.hold('schema', card.$schema === 'http://adaptivecards.io/schemas/adaptive-card.json')
    own.hold('version that Teams takes', ['1.2', '1.3', '1.4', '1.5'].includes(card.version))
    for (const block of card.body ?? []) {
      own.hold(`element without markup, not ${block.type}`, block.type === 'RichTextBlock')
      for (const run of block.inlines ?? [])
        own.hold(
          'text run',
          run.type === 'TextRun' && typeof run.text === 'string' && run.text !== '',
        )
    }
    for (const action of card.actions ?? [])
      own.hold(
        'open a URL',
        action.type === 'Action.OpenUrl' && /^https?:/.test(action.url) && !!action.title,
      )
    return { status: 202, body: '' }
  })
}

/** developer.pagerduty.com: Events API v2. */
export function pagerDuty(routingKey: string): Receiver {
  return new Receiver((call, own) => {
    const event = call.json ?? {}
    own.hold('routing key', event.routing_key === routingKey)
    own.hold('action', ['trigger', 'acknowledge', 'resolve'].includes(event.event_action))
    own.hold(
      'dedup_key of 255 characters',
      typeof event.dedup_key === 'string' && event.dedup_key.length <= 255,
    )
    if (event.event_action === 'trigger') {
      const payload = event.payload ?? {}
      own.hold(
        'summary of 1024 characters',
        payload.summary?.length >= 1 && payload.summary.length <= 1024,
      )
      own.hold('source', typeof payload.source === 'string' && payload.source !== '')
      own.hold('severity', ['critical', 'error', 'warning', 'info'].includes(payload.severity))
      own.hold(
        'links',
        (event.links ?? []).every((one: { href?: string }) => /^https?:/.test(one.href ?? '')),
      )
    }
    if (own.violations.length > 0) return { status: 400, body: { status: 'invalid event' } }
    return { status: 202, body: { status: 'success', dedup_key: event.dedup_key } }
  })
}

/** REST API v3 with descriptions in Atlassian Document Format. */
export function jira(account: string, emails: Record<string, string | null>): Receiver {
  let made = 0
  return new Receiver((call, own) => {
    const basic = `Basic ${Buffer.from(account).toString('base64')}`
    if (!own.hold('basic authentication', call.headers.authorization === basic))
      return { status: 401 }
    const [path, query] = call.path.split('?')
    if (path === '/rest/api/3/issue' && call.method === 'POST') {
      const { project, issuetype, summary, description, labels } = call.json?.fields ?? {}
      own.hold('project and type', !!project?.key && !!issuetype?.name)
      own.hold(
        'summary: one line of 255',
        typeof summary === 'string' && summary.length <= 255 && !/[\r\n]/.test(summary),
      )
      own.hold(
        'labels without spaces',
        (labels ?? []).every((one: string) => !/\s/.test(one)),
      )
      adfHolds(own, description)
      if (own.violations.length > 0) return { status: 400, body: { errorMessages: own.violations } }
      return { status: 201, body: { id: '1', key: `OPS-${++made}`, self: 'x' } }
    }
    if (/^\/rest\/api\/3\/issue\/OPS-\d+\/comment$/.test(path!)) {
      adfHolds(own, call.json?.body)
      return { status: 201, body: { id: '1' } }
    }
    if (/^\/rest\/api\/3\/issue\/OPS-\d+\/transitions$/.test(path!))
      return call.method === 'GET'
        ? {
            body: {
              transitions: [
                { id: '31', name: 'Close' },
                { id: '41', name: 'Done' },
              ],
            },
          }
        : { status: 204 }
    if (path === '/rest/api/3/user') {
      const id = new URLSearchParams(query).get('accountId') ?? ''
      return { body: { accountId: id, ...(emails[id] && { emailAddress: emails[id] }) } }
    }
    own.hold(`known path, not ${call.method} ${path}`, false)
    return { status: 404 }
  })
}

const ADF: Record<string, string[]> = {
  doc: ['paragraph', 'bulletList', 'codeBlock', 'heading'],
  paragraph: ['text'],
  bulletList: ['listItem'],
  listItem: ['paragraph', 'codeBlock', 'bulletList'],
  codeBlock: ['text'],
  heading: ['text'],
}

// biome-ignore lint/suspicious/noExplicitAny: JSON as it came
function adfHolds(own: Receiver, node: any): void {
  own.hold('document of version 1', node?.type === 'doc' && node.version === 1)
  // biome-ignore lint/suspicious/noExplicitAny: JSON as it came
  const walk = (at: any) => {
    const inside = ADF[at?.type]
    if (!inside) {
      own.hold(`known node, not ${at?.type}`, false)
      return
    }
    for (const one of at.content ?? []) {
      own.hold(`${one.type} in ${at.type}`, inside.includes(one.type))
      if (one.type === 'text') {
        own.hold('text that is not empty', typeof one.text === 'string' && one.text !== '')
        own.hold('no marks in code', at.type !== 'codeBlock' || one.marks === undefined)
        for (const mark of one.marks ?? [])
          own.hold('a link', mark.type === 'link' && /^https?:/.test(mark.attrs?.href ?? ''))
      } else walk(one)
    }
  }
  walk(node)
}

export interface TableRecord {
  sys_id: string
  sys_updated_by: string
  sys_mod_count: string
  [field: string]: string
}

/** Table API. */
export function serviceNow(
  account: string,
  users: { user_name: string; email: string; active: string }[],
): Receiver & { records: Map<string, TableRecord> } {
  const records = new Map<string, TableRecord>()
  const receiver = new Receiver((call, own) => {
    const basic = `Basic ${Buffer.from(account).toString('base64')}`
    if (!own.hold('basic authentication', call.headers.authorization === basic))
      return { status: 401 }
    own.hold('accepts JSON', call.headers.accept === 'application/json')
    const [path, query] = call.path.split('?')
    const parameters = new URLSearchParams(query)
    const user = account.split(':')[0]!
    if (path === '/api/now/table/sys_user') {
      const conditions = (parameters.get('sysparm_query') ?? '')
        .split('^')
        .map((one) => one.split('='))
      const found = users.filter((one) =>
        conditions.every(([field, value]) => (one as Record<string, string>)[field!] === value),
      )
      return { body: { result: found } }
    }
    const match = /^\/api\/now\/table\/change_request(?:\/([0-9a-f]{32}))?$/.exec(path!)
    if (!own.hold(`known table, not ${path}`, match !== null)) return { status: 400 }
    const id = match![1]
    if (call.method === 'POST' && !id) {
      own.hold('short_description of 160', call.json.short_description?.length <= 160)
      const sys_id = String(records.size + 1).padStart(32, 'a')
      records.set(sys_id, {
        ...call.json,
        sys_id,
        approval: 'not requested',
        sys_updated_by: user,
        sys_mod_count: '0',
      })
      return { status: 201, body: { result: records.get(sys_id) } }
    }
    const record = id && records.get(id)
    if (!record) return { status: 404, body: { error: { message: 'No Record found' } } }
    if (call.method === 'PATCH') {
      Object.assign(record, call.json, {
        sys_updated_by: user,
        sys_mod_count: String(Number(record.sys_mod_count) + 1),
      })
      return { body: { result: record } }
    }
    const fields = parameters.get('sysparm_fields')?.split(',') ?? Object.keys(record)
    return { body: { result: Object.fromEntries(fields.map((one) => [one, record[one]])) } }
  })
  return Object.assign(receiver, { records })
}
