/**
 * What each kind of event means to somebody who watches: in words, how severe, how it went, and where the standards have
 * their place for it. One table, which the reference page shows and all formats read; a kind that is not in it is still
 * exported, as what its fields say it is. Refuses nothing and keeps nothing.
 */
import type { Event } from '@custody/schemas'

export const SEVERITIES = ['informational', 'low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]
export type Outcome = 'success' | 'failure' | 'unknown'

/** OCSF classes in use, by their names in the schema. */
export const OCSF_CLASSES = {
  account_change: { uid: 3001, category: 3 },
  api_activity: { uid: 6003, category: 6 },
  application_lifecycle: { uid: 6002, category: 6 },
  authentication: { uid: 3002, category: 3 },
  authorize_session: { uid: 3003, category: 3 },
  datastore_activity: { uid: 6005, category: 6 },
  detection_finding: { uid: 2004, category: 2 },
  http_activity: { uid: 4002, category: 4 },
  process_activity: { uid: 1007, category: 1 },
  ssh_activity: { uid: 4007, category: 4 },
  user_access: { uid: 3005, category: 3 },
} as const
export type OcsfClass = keyof typeof OCSF_CLASSES

/** An activity of an OCSF class; 99, Other, has a name of ours. */
export type Activity = readonly [id: number, name?: string]

/** Where the standards put something. */
export interface Place {
  ocsf: readonly [OcsfClass, ...Activity]
  ecs: { category: readonly string[]; type: readonly string[] }
  /** Event type of Google's UDM. */
  udm: string
}

/** Events that are about a command or a session are placed by what it is one of; see PLACES. */
export type Stage = 'connect' | 'disconnect' | 'run' | 'end' | 'data' | 'cancel'

export interface Meaning {
  /** `audit.*` is every kind that begins so and is not named itself. */
  kind: string
  /** In words, as the record's name. */
  title: string
  severity: Severity
  /** Null: what the event's own fields say. */
  outcome: Outcome | null
  alert?: boolean
  place: Place | Stage
}

const signIn = (activity: Activity, type: readonly string[], udm = 'USER_LOGIN'): Place => ({
  ocsf: ['authentication', ...activity],
  ecs: { category: ['authentication'], type },
  udm,
})
const account = (activity: Activity, type: readonly string[]): Place => ({
  ocsf: ['account_change', ...activity],
  ecs: { category: ['iam'], type },
  udm: 'USER_CHANGE_PERMISSIONS',
})
const finding = (activity: Activity, type: readonly string[], category = 'iam'): Place => ({
  ocsf: ['detection_finding', ...activity],
  ecs: { category: [category], type },
  udm: 'GENERIC_EVENT',
})
const alarm = (category: string): Place => finding([1], ['info'], category)
const looked = (activity: Activity): Place => ({
  ocsf: ['api_activity', ...activity],
  ecs: { category: ['database'], type: ['access'] },
  udm: 'USER_RESOURCE_ACCESS',
})
const settings = (type: readonly string[]): Place => ({
  ocsf: ['api_activity', 3],
  ecs: { category: ['configuration'], type },
  udm: 'SETTING_MODIFICATION',
})
const lifecycle = (activity: Activity, type: readonly string[], udm: string): Place => ({
  ocsf: ['application_lifecycle', ...activity],
  ecs: { category: ['process'], type },
  udm,
})

/** What of these fits an event first, from the top, is what it means. */
export const MEANINGS: readonly Meaning[] = [
  kind('session.opened', 'Session opened', 'informational', 'success', 'connect'),
  kind('session.closed', 'Session closed', 'informational', null, 'disconnect'),
  kind('session.kill', 'Session ended by a person', 'medium', 'success', {
    ocsf: ['api_activity', 4],
    ecs: { category: ['session'], type: ['end'] },
    udm: 'USER_UNCATEGORIZED',
  }),
  kind('session.cancel', 'Command cancelled by its client', 'informational', 'success', 'cancel'),
  kind('session.*', 'Session changed', 'informational', null, 'data'),
  kind('command.started', 'Command started', 'informational', 'unknown', 'run'),
  kind('command.completed', 'Command completed', 'informational', null, 'end'),
  kind(
    'command.blocked',
    'Command blocked',
    'medium',
    'failure',
    {
      ocsf: ['detection_finding', 1],
      ecs: { category: ['intrusion_detection'], type: ['denied'] },
      udm: 'GENERIC_EVENT',
    },
    true,
  ),
  kind('command.*', 'Command', 'informational', null, 'run'),
  kind('output', 'Output', 'informational', 'unknown', 'data'),
  kind('mask.revealed', 'Masked values shown', 'low', 'success', 'data'),
  kind('approval.requested', 'Approval asked', 'low', 'unknown', finding([1], ['info']), true),
  kind(
    'approval.answered',
    'Approval answered by a person',
    'informational',
    null,
    finding([2], ['change']),
  ),
  kind('approval.approved', 'Approval given', 'informational', 'success', {
    ocsf: ['authorize_session', 1],
    ecs: { category: ['iam'], type: ['allowed'] },
    udm: 'USER_CHANGE_PERMISSIONS',
  }),
  kind('approval.used', 'Approval used', 'informational', 'success', {
    ocsf: ['authorize_session', 1],
    ecs: { category: ['iam'], type: ['allowed'] },
    udm: 'USER_CHANGE_PERMISSIONS',
  }),
  kind('approval.denied', 'Approval denied', 'medium', 'failure', finding([3], ['denied'])),
  kind('approval.expired', 'Approval expired', 'low', 'failure', finding([3], ['denied']), true),
  kind(
    'approval.withdrawn',
    'Approval withdrawn',
    'informational',
    'failure',
    finding([3], ['end']),
  ),
  kind(
    'approval.notified',
    'Approver notified',
    'informational',
    'success',
    finding([2], ['info']),
  ),
  kind(
    'approval.notification-failed',
    'Approver not reached',
    'low',
    'failure',
    finding([2], ['error']),
  ),
  kind('approval.*', 'Approval changed', 'informational', null, finding([2], ['change'])),
  kind('access.sign-in', 'Signed in', 'informational', null, signIn([1], ['start'])),
  kind(
    'access.refused',
    'Sign-in refused',
    'medium',
    'failure',
    signIn([1], ['start', 'denied']),
    true,
  ),
  kind(
    'access.sign-in-asked',
    'Sign-in by browser asked',
    'informational',
    'unknown',
    signIn([6], ['info']),
  ),
  kind(
    'access.sign-in-answered',
    'Sign-in by browser answered',
    'informational',
    null,
    signIn([6], ['info']),
  ),
  kind(
    'access.sign-out',
    'Signed out',
    'informational',
    'success',
    signIn([2], ['end'], 'USER_LOGOUT'),
  ),
  kind(
    'access.token-issued',
    'Token issued',
    'low',
    'success',
    signIn([3], ['creation'], 'USER_UNCATEGORIZED'),
  ),
  kind(
    'access.token-revoked',
    'Token revoked',
    'low',
    'success',
    signIn([99, 'Token revoked'], ['deletion'], 'USER_UNCATEGORIZED'),
  ),
  kind('access.locked', 'Identity locked', 'medium', 'success', account([9], ['user', 'change'])),
  kind(
    'access.unlocked',
    'Identity unlocked',
    'medium',
    'success',
    account([12], ['user', 'change']),
  ),
  kind(
    'access.*',
    'Access',
    'informational',
    null,
    signIn([99, 'Access'], ['info'], 'USER_UNCATEGORIZED'),
  ),
  kind(
    'alert.approval-forced',
    'Break-glass: approval forced',
    'high',
    'success',
    alarm('iam'),
    true,
  ),
  kind(
    'alert.evidence-gap',
    'Evidence gap',
    'critical',
    'failure',
    alarm('intrusion_detection'),
    true,
  ),
  kind('alert.masking', 'Masking alert', 'medium', 'unknown', alarm('intrusion_detection'), true),
  kind('alert.policy', 'Policy alert', 'high', 'unknown', alarm('intrusion_detection'), true),
  kind('alert.*', 'Alert', 'high', 'unknown', alarm('intrusion_detection'), true),
  kind('audit.export', 'Evidence exported', 'low', 'success', looked([2])),
  kind('audit.*', 'Evidence looked at', 'informational', 'success', looked([2])),
  kind('configuration.changed', 'Configuration changed', 'low', 'success', settings(['change'])),
  kind('configuration.refused', 'Configuration refused', 'medium', 'failure', settings(['error'])),
  kind('configuration.*', 'Configuration', 'low', null, settings(['info'])),
  kind(
    'recorder.started',
    'Recorder started',
    'informational',
    'success',
    lifecycle([3], ['start'], 'SERVICE_START'),
  ),
  kind(
    'recorder.stopped',
    'Recorder stopped',
    'low',
    'success',
    lifecycle([4], ['end'], 'SERVICE_STOP'),
  ),
  kind(
    'recorder.recovered',
    'Recorder recovered after an unclean end',
    'medium',
    'success',
    lifecycle([5], ['change'], 'STATUS_UPDATE'),
  ),
  kind(
    'recorder.refusing',
    'Recorder refuses commands',
    'high',
    'failure',
    lifecycle([7], ['error'], 'STATUS_UPDATE'),
    true,
  ),
  kind(
    'recorder.resumed',
    'Recorder takes commands again',
    'medium',
    'success',
    lifecycle([6], ['change'], 'STATUS_UPDATE'),
  ),
  kind(
    'recorder.*',
    'Recorder',
    'informational',
    'success',
    lifecycle([99, 'Recorder'], ['info'], 'STATUS_UPDATE'),
  ),
  kind(
    'pipeline.verified',
    'Evidence compared, nothing missing',
    'informational',
    'success',
    lifecycle([99, 'Verify'], ['info'], 'STATUS_UPDATE'),
  ),
  kind(
    'siem.*',
    'Export to a destination',
    'informational',
    null,
    lifecycle([99, 'Export'], ['info'], 'STATUS_UPDATE'),
  ),
  kind('*', 'Event', 'informational', null, {
    ocsf: ['api_activity', 99, 'Event'],
    ecs: { category: ['process'], type: ['info'] },
    udm: 'GENERIC_EVENT',
  }),
]

function kind(
  name: string,
  title: string,
  severity: Severity,
  outcome: Outcome | null,
  place: Place | Stage,
  alert = false,
): Meaning {
  return { kind: name, title, severity, outcome, place, alert }
}

/** What a command or a session is one of, by its statement's language and interface, or by its protocol where it has none. */
export const DOMAINS = ['database', 'process', 'file', 'ssh', 'http', 'api'] as const
export type Domain = (typeof DOMAINS)[number]

const at = (
  ocsf: Place['ocsf'],
  category: readonly string[],
  type: readonly string[],
  udm: string,
): Place => ({ ocsf, ecs: { category, type }, udm })
const opened = at(['authorize_session', 1], ['session'], ['start'], 'NETWORK_CONNECTION')
const closed = at(['authentication', 2], ['session'], ['end'], 'USER_LOGOUT')
const file = at(['ssh_activity', 6], ['file'], ['access'], 'FILE_UNCATEGORIZED')
const api = at(['api_activity', 99, 'Call'], ['api'], ['access'], 'USER_RESOURCE_ACCESS')
const web = at(['http_activity', 99, 'Request'], ['web'], ['access'], 'NETWORK_HTTP')
const traffic = at(['ssh_activity', 6], ['network'], ['connection'], 'NETWORK_UNCATEGORIZED')

/** By domain and stage; of `run` and `end`, what its verbs say goes before (VERBS). */
export const PLACES: Readonly<Record<Domain, Readonly<Record<Stage, Place>>>> = {
  database: {
    connect: at(
      ['datastore_activity', 3],
      ['database', 'session'],
      ['start'],
      'NETWORK_CONNECTION',
    ),
    disconnect: at(
      ['datastore_activity', 99, 'Disconnect'],
      ['database', 'session'],
      ['end'],
      'NETWORK_CONNECTION',
    ),
    run: at(['datastore_activity', 4], ['database'], ['access'], 'USER_RESOURCE_ACCESS'),
    end: at(['datastore_activity', 4], ['database'], ['access'], 'USER_RESOURCE_ACCESS'),
    data: at(['datastore_activity', 1], ['database'], ['access'], 'USER_RESOURCE_ACCESS'),
    cancel: at(['datastore_activity', 99, 'Cancel'], ['database'], ['end'], 'USER_RESOURCE_ACCESS'),
  },
  process: {
    connect: at(
      ['ssh_activity', 1],
      ['session', 'network'],
      ['start', 'connection'],
      'NETWORK_CONNECTION',
    ),
    disconnect: at(
      ['ssh_activity', 2],
      ['session', 'network'],
      ['end', 'connection'],
      'NETWORK_CONNECTION',
    ),
    run: at(['process_activity', 1], ['process'], ['start'], 'PROCESS_LAUNCH'),
    end: at(['process_activity', 2], ['process'], ['end'], 'PROCESS_TERMINATION'),
    data: traffic,
    cancel: at(['process_activity', 2], ['process'], ['end'], 'PROCESS_TERMINATION'),
  },
  file: { connect: file, disconnect: file, run: file, end: file, data: file, cancel: file },
  ssh: {
    connect: at(
      ['ssh_activity', 1],
      ['session', 'network'],
      ['start', 'connection'],
      'NETWORK_CONNECTION',
    ),
    disconnect: at(
      ['ssh_activity', 2],
      ['session', 'network'],
      ['end', 'connection'],
      'NETWORK_CONNECTION',
    ),
    run: traffic,
    end: traffic,
    data: traffic,
    cancel: traffic,
  },
  http: { connect: opened, disconnect: closed, run: web, end: web, data: web, cancel: web },
  api: { connect: opened, disconnect: closed, run: api, end: api, data: api, cancel: api },
}

export interface VerbPlace {
  /** Verbs, without the language before the colon. */
  verbs: readonly string[]
  place: Place
}

/** Of a statement that does several things the first of these that it does counts: what changes most comes first. */
export const VERBS: Readonly<Partial<Record<Domain, readonly VerbPlace[]>>> = {
  database: [
    verb(
      'grant',
      ['user_access', 1],
      ['iam', 'database'],
      ['change'],
      'USER_RESOURCE_UPDATE_PERMISSIONS',
    ),
    verb(
      'revoke',
      ['user_access', 2],
      ['iam', 'database'],
      ['change'],
      'USER_RESOURCE_UPDATE_PERMISSIONS',
    ),
    verb('drop', ['datastore_activity', 7], ['database'], ['deletion'], 'USER_RESOURCE_DELETION'),
    verb(
      'truncate delete',
      ['datastore_activity', 7],
      ['database'],
      ['deletion'],
      'USER_RESOURCE_DELETION',
    ),
    verb(
      'update alter merge set-role',
      ['datastore_activity', 2],
      ['database'],
      ['change'],
      'USER_RESOURCE_UPDATE_CONTENT',
    ),
    verb(
      'insert copy-in load replace',
      ['datastore_activity', 5],
      ['database'],
      ['change'],
      'USER_RESOURCE_UPDATE_CONTENT',
    ),
    verb('create', ['datastore_activity', 6], ['database'], ['creation'], 'USER_RESOURCE_CREATION'),
    verb(
      'copy-out copy-file copy-program',
      ['datastore_activity', 1],
      ['database'],
      ['access'],
      'USER_RESOURCE_ACCESS',
    ),
    verb(
      'show describe',
      ['datastore_activity', 8],
      ['database'],
      ['access'],
      'USER_RESOURCE_ACCESS',
    ),
  ],
  file: [
    verb('file-remove', ['ssh_activity', 6], ['file'], ['deletion'], 'FILE_DELETION'),
    verb('upload file-change', ['ssh_activity', 6], ['file'], ['change'], 'FILE_MODIFICATION'),
    verb('file-create file-link', ['ssh_activity', 6], ['file'], ['creation'], 'FILE_CREATION'),
    verb('file-rename', ['ssh_activity', 6], ['file'], ['change'], 'FILE_MOVE'),
    verb('file-copy', ['ssh_activity', 6], ['file'], ['creation'], 'FILE_COPY'),
    verb('download', ['ssh_activity', 6], ['file'], ['access'], 'FILE_READ'),
  ],
  http: [
    verb('delete', ['http_activity', 2], ['web'], ['deletion'], 'NETWORK_HTTP'),
    verb('put', ['http_activity', 7], ['web'], ['change'], 'NETWORK_HTTP'),
    verb('patch', ['http_activity', 9], ['web'], ['change'], 'NETWORK_HTTP'),
    verb('post', ['http_activity', 6], ['web'], ['change'], 'NETWORK_HTTP'),
    verb('connect', ['http_activity', 1], ['web'], ['connection'], 'NETWORK_HTTP'),
    verb('get', ['http_activity', 3], ['web'], ['access'], 'NETWORK_HTTP'),
    verb('head', ['http_activity', 4], ['web'], ['access'], 'NETWORK_HTTP'),
    verb('options', ['http_activity', 5], ['web'], ['access'], 'NETWORK_HTTP'),
    verb('trace', ['http_activity', 8], ['web'], ['access'], 'NETWORK_HTTP'),
  ],
  api: [
    verb(
      'delete deletecollection',
      ['api_activity', 4],
      ['api'],
      ['deletion'],
      'USER_RESOURCE_DELETION',
    ),
    verb(
      'update patch apply',
      ['api_activity', 3],
      ['api'],
      ['change'],
      'USER_RESOURCE_UPDATE_CONTENT',
    ),
    verb('create', ['api_activity', 1], ['api'], ['creation'], 'USER_RESOURCE_CREATION'),
    verb('get list watch read', ['api_activity', 2], ['api'], ['access'], 'USER_RESOURCE_ACCESS'),
  ],
}

function verb(
  verbs: string,
  ocsf: Place['ocsf'],
  category: readonly string[],
  type: readonly string[],
  udm: string,
): VerbPlace {
  return { verbs: verbs.split(' '), place: { ocsf, ecs: { category, type }, udm } }
}

/** CREATE, ALTER and DROP of these are about accounts, not data. */
const PRINCIPALS = new Set(['role', 'user', 'account'])
export const ACCOUNT_PLACES: Readonly<Record<'create' | 'alter' | 'drop', Place>> = {
  create: at(['account_change', 1], ['iam', 'database'], ['user', 'creation'], 'USER_CREATION'),
  alter: at(
    ['account_change', 99, 'Alter'],
    ['iam', 'database'],
    ['user', 'change'],
    'USER_CHANGE_PERMISSIONS',
  ),
  drop: at(['account_change', 6], ['iam', 'database'], ['user', 'deletion'], 'USER_DELETION'),
}

const exact = new Map<string, Meaning>()
const prefixes: [prefix: string, meaning: Meaning][] = []
for (const meaning of MEANINGS) {
  if (meaning.kind.endsWith('*')) prefixes.push([meaning.kind.slice(0, -1), meaning])
  else exact.set(meaning.kind, meaning)
}
const KINDS_KEPT_MAX = 1000
const seen = new Map<string, Meaning>(exact)

export function meaningOf(name: string): Meaning {
  const known = seen.get(name)
  if (known) return known
  const found = prefixes.find(([prefix]) => name.startsWith(prefix))![1]
  // Kinds come from our own recorders, but a cache has a bound all the same.
  if (seen.size < KINDS_KEPT_MAX) seen.set(name, found)
  return found
}

export function domainOf(event: Event): Domain {
  switch (event.statement?.language) {
    case 'sql':
      return 'database'
    case 'shell':
      return event.statement.interface === 'shell' ? 'ssh' : 'process'
    case 'sftp':
    case 'scp':
      return 'file'
    case 'ssh':
      return 'ssh'
    case 'http':
      return 'http'
    case 'kubernetes':
    case 'mcp':
      return 'api'
  }
  switch (event.path?.protocol) {
    case 'postgres':
    case 'mysql':
      return 'database'
    case 'ssh':
      return 'ssh'
    case 'http':
      // Without a request there is none to describe.
      return event.kind.startsWith('session.') ? 'http' : 'api'
    default:
      return 'api'
  }
}

const verbPlaces = new Map<Domain, Map<string, number>>()
for (const [domain, rows] of Object.entries(VERBS) as [Domain, readonly VerbPlace[]][]) {
  const ranks = new Map<string, number>()
  rows.forEach((row, rank) => {
    for (const name of row.verbs) ranks.set(name, rank)
  })
  verbPlaces.set(domain, ranks)
}

const word = (name: string): string => name.slice(name.indexOf(':') + 1)

export function placeOf(event: Event, { place }: Meaning = meaningOf(event.kind)): Place {
  if (typeof place !== 'string') return place
  const domain = domainOf(event)
  const { statement } = event
  if (statement !== null && (place === 'run' || place === 'end')) {
    if (domain === 'database')
      for (const { kind, verb } of statement.objects)
        if (PRINCIPALS.has(kind)) {
          const found = ACCOUNT_PLACES[word(verb) as keyof typeof ACCOUNT_PLACES]
          if (found !== undefined) return found
        }
    const ranks = verbPlaces.get(domain)
    let best = Number.POSITIVE_INFINITY
    if (ranks !== undefined)
      for (const name of statement.verbs) {
        const rank = ranks.get(word(name).toLowerCase())
        if (rank !== undefined && rank < best) best = rank
      }
    if (best !== Number.POSITIVE_INFINITY) return VERBS[domain]![best]!.place
  }
  return PLACES[domain][place]
}

/** How severe this event is: its kind's, raised by what it says. */
export function severityOf(event: Event, meaning = meaningOf(event.kind)): Severity {
  if (meaning.alert) {
    // A detection brings its rule's level along.
    const level = event.lifecycle?.attributes.severity
    if (level !== undefined && (SEVERITIES as readonly string[]).includes(level))
      return level as Severity
  }
  const base = meaning.severity
  if (base !== 'informational') return base
  switch (event.response?.status) {
    case 'unknown':
      return 'medium'
    case 'error':
    case 'refused':
      return 'low'
  }
  if (event.lifecycle?.state === 'unknown') return 'medium'
  if (event.statement !== null && !event.statement.understood) return 'low'
  if (event.decision !== null && event.decision.outcome !== 'allow') return 'low'
  if (event.access?.outcome === 'refused') return 'medium'
  return base
}

/** How it went. A command that started has not ended, and says unknown. */
export function outcomeOf(event: Event, meaning = meaningOf(event.kind)): Outcome {
  if (meaning.outcome !== null) return meaning.outcome
  switch (event.response?.status) {
    case 'ok':
    case 'suspended':
      return 'success'
    case 'error':
    case 'cancelled':
    case 'refused':
      return 'failure'
    case 'unknown':
      return 'unknown'
  }
  switch (event.access?.outcome) {
    case 'success':
      return 'success'
    case 'refused':
      return 'failure'
  }
  switch (event.approval?.state) {
    case 'approved':
    case 'forced':
    case 'used':
      return 'success'
    case 'denied':
      return 'failure'
  }
  if (event.lifecycle?.state === 'closed') return 'success'
  return 'unknown'
}

/** What the gate said, in one word: allow, block, hold; null where nothing was decided. */
export function decisionOf(event: Event): 'allow' | 'block' | 'hold' | null {
  if (event.kind === 'command.blocked') return 'block'
  if (event.access?.outcome === 'refused') return 'block'
  switch (event.decision?.outcome) {
    case 'allow':
    case 'block':
    case 'hold':
      return event.decision.outcome
    default:
      return null
  }
}
