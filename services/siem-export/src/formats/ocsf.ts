/**
 * Open Cybersecurity Schema Framework, 1.8.0: one class for each kind of event (meaning.ts), with the profiles datetime, host and
 * security_control. As 1.9.0 also record_integrity, where the chain of evidence has its place. What a class has no attribute for
 * is below `unmapped`. One JSON object per event.
 */
import { type Facts, factOf } from './facts'
import { always, type Row, restOf, row, snake, worked } from './mapping'
import { OCSF_CLASSES, type OcsfClass } from './meaning'

export const OCSF_SEVERITIES = { informational: 1, low: 2, medium: 3, high: 4, critical: 5 }
const SEVERITY_NAMES = {
  informational: 'Informational',
  low: 'Low',
  medium: 'Medium',
  high: 'High',
  critical: 'Critical',
}
const STATUSES = { unknown: 0, success: 1, failure: 2 }
const STATUS_NAMES = { unknown: 'Unknown', success: 'Success', failure: 'Failure' }

export type OcsfVersion = '1.8.0' | '1.9.0'
export interface OcsfOptions {
  version?: OcsfVersion
  recordIntegrity?: boolean
}

const activity = (f: Facts) => f.place.ocsf[1]

function baseRows(
  name: OcsfClass,
  { version = '1.8.0', recordIntegrity = false }: OcsfOptions,
): Row[] {
  const { uid, category } = OCSF_CLASSES[name]
  const profiles = ['datetime', 'host', 'security_control']
  if (recordIntegrity) profiles.push('record_integrity')
  return [
    always('class_uid', uid),
    always('category_uid', category),
    worked('activity_id', 'table of kinds', activity),
    worked('activity_name', 'with activity 99, Other: what it is', (f) => f.place.ocsf[2]),
    worked('type_uid', 'class_uid × 100 + activity_id', (f) => uid * 100 + activity(f)),
    row('time', 'time.millis'),
    row('time_dt', 'time'),
    row('severity_id', 'severity', OCSF_SEVERITIES),
    row('severity', 'severity', SEVERITY_NAMES),
    row('message', 'message'),
    row('status_code', 'code'),
    row('status_detail', 'reason'),
    row('metadata.uid', 'id'),
    always('metadata.version', version),
    always('metadata.product.name', 'Custody'),
    always('metadata.product.vendor_name', 'Custody'),
    row('metadata.product.version', 'product.version'),
    always('metadata.profiles', profiles),
    always('metadata.log_name', 'custody.events'),
    row('metadata.log_provider', 'recorder'),
    row('metadata.event_code', 'kind'),
    row('metadata.sequence', 'sequence'),
    row('metadata.correlation_uid', 'link.unit'),
    ...(recordIntegrity
      ? integrityRows()
      : [
          worked('raw_data_hash.algorithm_id', '3, SHA-256, where the digest is at hand', (f) =>
            f.evidence.digest ? 3 : undefined,
          ),
          row('raw_data_hash.value', 'digest'),
        ]),
    // Profile security_control: what the gate said.
    row('action_id', 'action', { allow: 1, block: 2, hold: 99 }),
    row('action', 'action', { allow: 'Allowed', block: 'Denied', hold: 'Held for approval' }),
    row('disposition_id', 'action', { allow: 1, block: 2, hold: 14 }),
    row('disposition', 'action', { allow: 'Allowed', block: 'Blocked', hold: 'Delayed' }),
    row('is_alert', 'alert'),
    row('policy.name', 'policy.name'),
    row('policy.version', 'decision.version', undefined),
    worked('attacks', 'ATT&CK techniques that a detection names', (f) => {
      const techniques = factOf('attacks').of(f) as string[] | undefined
      return techniques?.map((one) => ({
        technique: { uid: one.slice(0, 5) },
        ...(one.includes('.') && { sub_technique: { uid: one } }),
      }))
    }),
  ]
}

/** 1.9.0. What is hashed is the event as Custody recorded it, not this record; its serialization says so. */
function integrityRows(): Row[] {
  const one = (name: string) => `attestation_list[].${name}`
  const held = (value: number | string) => (f: Facts) => (f.evidence.digest ? value : undefined)
  const heldBefore = (value: number | string) => (f: Facts) =>
    f.evidence.digest && f.evidence.previousId ? value : undefined
  const fingerprint = (at: string, when: typeof held): Row[] => [
    worked(one(`${at}.algorithm_id`), '3, SHA-256', when(3)),
    worked(one(`${at}.encoding_id`), '1, hexadecimal', when(1)),
    worked(one(`${at}.serialization_id`), '99, Other', when(99)),
    worked(
      one(`${at}.serialization`),
      "the event's own bytes",
      when('Avro single-object encoding of custody.Event'),
    ),
  ]
  return [
    worked(one('chain_uid'), 'the recorder, whose chain it is', (f) =>
      f.evidence.digest ? f.event.recorder : undefined,
    ),
    ...fingerprint('fingerprint', held),
    row(one('fingerprint.value'), 'digest'),
    worked(one('prev_event.uid'), "identifier of the recorder's event before it", (f) =>
      f.evidence.digest ? (factOf('previous.id').of(f) as string | undefined) : undefined,
    ),
    ...fingerprint('prev_event.fingerprint', heldBefore),
    worked(one('prev_event.fingerprint.value'), 'its SHA-256', (f) =>
      f.evidence.digest && f.evidence.previousId ? f.event.previous.toString('hex') : undefined,
    ),
  ]
}

const STATUS: Row[] = [
  row('status_id', 'outcome', STATUSES),
  row('status', 'outcome', STATUS_NAMES),
]
const DURATION: Row[] = [row('duration', 'duration.millis')]

const user = (at: string): Row[] => [
  row(`${at}.uid`, 'actor.uid'),
  row(`${at}.name`, 'actor.name'),
  row(`${at}.full_name`, 'who.name'),
  row(`${at}.email_addr`, 'email.address'),
  row(`${at}.type_id`, 'actor.ocsfType'),
  row(`${at}.type`, 'who.kind'),
  row(`${at}.groups`, 'actor.ocsfGroups'),
  row(`${at}.credential_uid`, 'who.tokenId'),
]

const actor = (at = 'actor'): Row[] => [
  ...user(`${at}.user`),
  row(`${at}.session.uid`, 'session'),
  row(`${at}.session.issuer`, 'who.issuer'),
  row(`${at}.app_name`, 'actor.application'),
  row(`${at}.authorizations[].decision`, 'decision.outcome'),
  row(`${at}.authorizations[].policy.name`, 'policy.name'),
  row(`${at}.authorizations[].policy.desc`, 'decision.reason'),
]

const source = (at = 'src_endpoint'): Row[] => [
  row(`${at}.name`, 'origin'),
  row(`${at}.ip`, 'client.ip'),
  row(`${at}.port`, 'path.clientPort'),
]

const destination = (at = 'dst_endpoint'): Row[] => [
  row(`${at}.name`, 'target.name'),
  row(`${at}.ip`, 'target.ip'),
  row(`${at}.port`, 'target.port'),
  row(`${at}.svc_name`, 'resource.name'),
]

const endpoints: Row[] = [...source(), ...destination()]

const httpRows: Row[] = [
  row('http_request.http_method', 'http.method'),
  worked(
    'http_request.url.path',
    'the path, else the resource',
    (f) => (factOf('http.path').of(f) as string | undefined) ?? `/${f.event.path?.resource ?? ''}`,
  ),
  row('http_request.uid', 'link.unit'),
  row('http_request.user_agent', 'path.clientApplication'),
  row('http_response.code', 'http.status'),
]

/** Of the activity within a finding: 1 New, 2 In Progress, 4 Resolved. */
const FINDING_STATUSES: Record<number, number> = { 1: 1, 2: 2, 3: 4 }
const FINDING_STATUS_NAMES: Record<number, string> = { 1: 'New', 2: 'In Progress', 3: 'Resolved' }

export const OCSF_CLASS_ROWS: Readonly<Record<OcsfClass, readonly Row[]>> = {
  authentication: [
    ...STATUS,
    ...user('user'),
    ...source(),
    row('service.name', 'resource.name'),
    row('session.uid', 'session'),
    row('session.issuer', 'who.issuer'),
    row('session.expiration_time_dt', 'access.expires'),
    row('auth_protocol', 'who.method'),
    ...DURATION,
    row('actor.app_name', 'actor.application'),
  ],
  authorize_session: [
    ...STATUS,
    ...user('user'),
    row('privileges', 'privileges'),
    row('session.uid', 'session'),
    row('session.issuer', 'who.issuer'),
    row('session.expiration_time_dt', 'approval.expires'),
    ...source(),
    row('actor.app_name', 'actor.application'),
  ],
  account_change: [
    ...STATUS,
    ...actor(),
    row('user.name', 'affected.user'),
    ...source(),
    ...DURATION,
  ],
  user_access: [
    ...STATUS,
    ...actor(),
    row('user.name', 'affected.user'),
    row('privileges', 'privileges'),
    row('resources', 'objects.ocsf'),
    ...source(),
    ...DURATION,
  ],
  datastore_activity: [
    ...STATUS,
    ...actor(),
    ...endpoints,
    row('database.name', 'database.name'),
    row('database.uid', 'path.resource'),
    row('database.type', 'path.protocol'),
    always('database.type_id', 1),
    row('table.name', 'table.name'),
    row('query_info.query_string', 'statement.text'),
    worked('query_info.uid', 'the command, where there is a statement', (f) =>
      f.event.statement?.text ? (factOf('link.unit').of(f) as string) : undefined,
    ),
    worked('query_info.name', 'how it was submitted', (f) =>
      f.event.statement?.text ? f.text(f.event.statement.interface) : undefined,
    ),
    worked('query_info.bytes', 'bytes that the client received, where there is a statement', (f) =>
      f.event.statement?.text ? f.event.response?.bytes : undefined,
    ),
    ...DURATION,
  ],
  api_activity: [
    ...STATUS,
    ...actor(),
    ...endpoints,
    row('api.operation', 'operation'),
    row('api.service.name', 'resource.name'),
    row('api.request.uid', 'link.unit'),
    row('resources', 'objects.ocsf'),
    row('http_response.code', 'http.status'),
    ...DURATION,
  ],
  http_activity: [...STATUS, ...actor(), ...endpoints, ...httpRows, ...DURATION],
  ssh_activity: [
    ...STATUS,
    ...actor(),
    ...endpoints,
    always('connection_info.direction_id', 1),
    row('connection_info.uid', 'session'),
    row('traffic.bytes_in', 'bytes.in'),
    row('traffic.bytes_out', 'bytes.out'),
    row('file.path', 'file.path'),
    row('file.name', 'file.name'),
    worked('file.type_id', '0, where there is a file', (f) =>
      factOf('file.path').of(f) === undefined ? undefined : 0,
    ),
    ...DURATION,
  ],
  process_activity: [
    ...STATUS,
    ...actor(),
    row('device.name', 'target.name'),
    row('device.ip', 'target.ip'),
    always('device.type_id', 1),
    row('process.uid', 'link.unit'),
    row('process.cmd_line', 'statement.text'),
    row('process.user.name', 'path.account'),
    row('exit_code', 'exit.code'),
    ...DURATION,
  ],
  detection_finding: [
    worked(
      'status_id',
      '1 New, 2 In Progress or 4 Resolved, by the activity',
      (f) => FINDING_STATUSES[activity(f)],
    ),
    worked('status', 'the same in words', (f) => FINDING_STATUS_NAMES[activity(f)]),
    row('finding_info.uid', 'finding.unit'),
    row('finding_info.title', 'title'),
    row('finding_info.desc', 'message'),
    row('finding_info.created_time_dt', 'time'),
    worked('finding_info.types', 'the kind', (f) => [f.event.kind]),
    row('finding_info.src_url', 'link'),
    ...actor('evidences[].actor'),
    ...source('evidences[].src_endpoint'),
    ...destination('evidences[].dst_endpoint'),
    row('evidences[].data.statement', 'statement.text'),
    row('evidences[].uid', 'link.unit'),
    worked('resources', 'the resource', (f) =>
      f.event.path === null
        ? undefined
        : [{ name: f.event.path.resource, type: f.event.path.protocol }],
    ),
  ],
  application_lifecycle: [
    ...STATUS,
    always('app.name', 'Custody'),
    always('app.vendor_name', 'Custody'),
    row('app.version', 'recording.version'),
    row('app.feature.name', 'recorder'),
  ],
}

export function ocsfRows(name: OcsfClass, options: OcsfOptions = {}): Row[] {
  const base = baseRows(name, options)
  const own = OCSF_CLASS_ROWS[name]
  const standard = [...base, ...own]
  // What does not look like an address is none to OCSF.
  if (own.some(({ from }) => from === 'email.address'))
    standard.push(row('unmapped.who.email', 'email.other'))
  return [...standard, ...restOf([standard], (fact) => `unmapped.${snake(fact.name)}`)]
}
