/**
 * Elastic Common Schema, 9.4 or 8.17: standard fields where there is one, everything else below `custody`. One JSON object
 * per event.
 */
import { type Row, restOf, row, snake, worked } from './mapping'

const OUTCOMES = { success: 'success', failure: 'failure', unknown: 'unknown' }
/** As Elastic's own rules score risk. */
export const ECS_SEVERITIES = { informational: 0, low: 21, medium: 47, high: 73, critical: 99 }

export const ECS_VERSIONS = ['9.4.0', '8.11.0'] as const
export type EcsVersion = (typeof ECS_VERSIONS)[number]

export function ecsRows(version: EcsVersion = '9.4.0'): Row[] {
  const standard: Row[] = [
    row('@timestamp', 'time'),
    { to: 'ecs.version', always: version },
    row('message', 'message'),
    row('event.id', 'id'),
    worked('event.kind', '`alert` for what somebody should look at now, else `event`', (f) =>
      f.meaning.alert ? 'alert' : 'event',
    ),
    worked('event.category', 'table of kinds', (f) => f.place.ecs.category),
    worked('event.type', 'table of kinds', (f) => f.place.ecs.type),
    row('event.action', 'kind'),
    row('event.outcome', 'outcome', OUTCOMES),
    row('event.severity', 'severity', ECS_SEVERITIES),
    { to: 'event.module', always: 'custody' },
    { to: 'event.dataset', always: 'custody.events' },
    { to: 'event.provider', always: 'custody' },
    row('event.sequence', 'sequence'),
    row('event.hash', 'digest'),
    row('event.code', 'code'),
    row('event.reason', 'reason'),
    row('event.duration', 'duration.nanos'),
    row('event.url', 'link'),
    row('user.id', 'who.subject'),
    row('user.name', 'actor.name'),
    row('user.full_name', 'who.name'),
    row('user.email', 'who.email'),
    row('user.roles', 'who.groups'),
    row('user.target.name', 'affected.user'),
    row('user.effective.name', 'path.account'),
    row('source.address', 'path.clientAddress'),
    row('source.ip', 'client.ip'),
    row('source.port', 'path.clientPort'),
    row('source.bytes', 'bytes.in'),
    row('destination.address', 'target.host'),
    row('destination.ip', 'target.ip'),
    row('destination.port', 'target.port'),
    row('destination.bytes', 'bytes.out'),
    row('user_agent.original', 'path.clientApplication'),
    row('network.protocol', 'path.protocol'),
    row('service.name', 'path.resource'),
    row('service.type', 'path.protocol'),
    row('tls.version', 'path.clientTls.version', {
      'TLSv1.3': '1.3',
      'TLSv1.2': '1.2',
      'TLSv1.1': '1.1',
      TLSv1: '1.0',
    }),
    row('tls.cipher', 'path.clientTls.cipher'),
    row('tls.client.server_name', 'path.clientTls.serverName'),
    row('tls.client.hash.sha256', 'path.clientTls.peer'),
    { to: 'observer.vendor', always: 'Custody' },
    { to: 'observer.product', always: 'Custody' },
    { to: 'observer.type', always: 'gateway' },
    row('observer.name', 'gateway.name'),
    row('observer.version', 'product.version'),
    row('rule.name', 'policy.name'),
    row('rule.version', 'decision.version'),
    row('rule.description', 'decision.reason'),
    row('threat.technique.id', 'attacks'),
    row('process.command_line', 'process.line'),
    row('process.exit_code', 'exit.code'),
    row('file.path', 'file.path'),
    row('file.name', 'file.name'),
    row('http.request.method', 'http.method'),
    row('http.response.status_code', 'http.status'),
    row('url.path', 'http.path'),
    row('related.user', 'related.users'),
    row('related.ip', 'related.ips'),
    row('related.hosts', 'related.hosts'),
    // OpenTelemetry's names, which ECS took over for databases.
    row('db.query.text', 'query.text'),
    row('db.operation.name', 'operation'),
    row('db.namespace', 'database.name'),
    row('db.system.name', 'database.system', { postgres: 'postgresql', mysql: 'mysql' }),
    row('db.response.returned_rows', 'response.rows'),
  ]
  const custody: Row[] = [row('custody.statement.text', 'other.text')]
  return [
    ...standard,
    ...custody,
    ...restOf([standard], ({ name }) => `custody.${snake(name)}`, ['statement.text']),
  ]
}
