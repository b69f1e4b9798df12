/**
 * Google SecOps' Unified Data Model, one event as JSON with the names of the protocol buffer. What it has no field for is in
 * `additional`, a struct.
 */
import { isIP } from 'node:net'
import { type Facts, factOf } from './facts'
import { always, type Row, restOf, row, snake, worked } from './mapping'

const SEVERITIES = {
  informational: 'INFORMATIONAL',
  low: 'LOW',
  medium: 'MEDIUM',
  high: 'HIGH',
  critical: 'CRITICAL',
}
const ACTIONS = { allow: 'ALLOW', block: 'BLOCK', hold: 'CHALLENGE' }
const RESOURCE_TYPES = {
  postgres: 'DATABASE',
  mysql: 'DATABASE',
  ssh: 'VIRTUAL_MACHINE',
  kubernetes: 'CLUSTER',
  http: 'BACKEND_SERVICE',
  mcp: 'BACKEND_SERVICE',
}
const AUTH_TYPES = {
  oidc: 'SSO',
  saml: 'SSO',
  'custody-token': 'SSO',
  'ssh-key': 'MACHINE',
  'ssh-certificate': 'MACHINE',
}

const isSignIn = (f: Facts) => f.place.udm === 'USER_LOGIN' || f.place.udm === 'USER_LOGOUT'
const notIp = (name: unknown): string | undefined =>
  typeof name === 'string' && name !== '' && isIP(name) === 0 ? name : undefined

const STANDARD: readonly Row[] = [
  row('metadata.event_timestamp', 'time'),
  worked('metadata.event_type', 'table of kinds', (f) => f.place.udm),
  row('metadata.product_log_id', 'id'),
  row('metadata.product_event_type', 'kind'),
  always('metadata.vendor_name', 'Custody'),
  always('metadata.product_name', 'Custody'),
  row('metadata.product_version', 'product.version'),
  row('metadata.product_deployment_id', 'recorder'),
  row('metadata.description', 'message'),
  row('metadata.url_back_to_product', 'link'),
  row('principal.user.userid', 'actor.uid'),
  row('principal.user.user_display_name', 'who.name'),
  row('principal.user.email_addresses[]', 'who.email'),
  row('principal.user.group_identifiers', 'who.groups'),
  worked('principal.hostname', "the client's name, else the recorder's", (f) =>
    notIp(factOf('origin').of(f)),
  ),
  row('principal.ip[]', 'client.ip'),
  row('principal.port', 'path.clientPort'),
  row('principal.application', 'actor.application'),
  worked('target.hostname', "the target's name", (f) => notIp(f.target?.[0])),
  row('target.ip[]', 'target.ip'),
  row('target.port', 'target.port'),
  worked('target.application', 'Custody, of sign-ins; else the protocol', (f) =>
    isSignIn(f) ? 'Custody' : (f.event.path?.protocol ?? 'Custody'),
  ),
  worked(
    'target.user.userid',
    'of sign-ins and changes of accounts whom they are about, else the account at the target',
    (f) =>
      isSignIn(f) || f.place.ocsf[0] === 'account_change' || f.place.ocsf[0] === 'user_access'
        ? (factOf('affected.user').of(f) as string)
        : f.text(f.event.path?.account),
  ),
  row('target.resource.name', 'resource.name'),
  row('target.resource.resource_type', 'path.protocol', RESOURCE_TYPES),
  row('target.resource.resource_subtype', 'path.protocol'),
  row('target.resource.product_object_id', 'path.database'),
  row('target.process.command_line', 'process.line'),
  row('target.process.product_specific_process_id', 'command'),
  row('target.file.full_path', 'file.path'),
  row('target.url', 'http.path'),
  row('intermediary[].hostname', 'gateway.name'),
  row('observer.hostname', 'recorder'),
  row('security_result[].action[]', 'action', ACTIONS),
  row('security_result[].severity', 'severity', SEVERITIES),
  row('security_result[].summary', 'title'),
  row('security_result[].description', 'reason'),
  row('security_result[].rule_name', 'policy.name'),
  row('security_result[].rule_version', 'decision.version'),
  row('security_result[].action_details', 'decision.outcome'),
  row('network.session_id', 'session'),
  row('network.application_protocol', 'path.protocol', {
    ssh: 'SSH',
    http: 'HTTP',
    kubernetes: 'HTTPS',
  }),
  worked('network.direction', 'INBOUND where there is a client', (f) =>
    f.event.path?.clientAddress ? 'INBOUND' : undefined,
  ),
  row('network.sent_bytes', 'bytes.in'),
  row('network.received_bytes', 'bytes.out'),
  row('network.http.method', 'http.method'),
  row('network.http.user_agent', 'path.clientApplication'),
  row('network.http.response_code', 'http.status'),
  row('network.tls.version', 'path.clientTls.version'),
  row('network.tls.cipher', 'path.clientTls.cipher'),
  row('network.tls.client.server_name', 'path.clientTls.serverName'),
  worked('extensions.auth.type', 'of sign-ins: SSO, MACHINE or AUTHTYPE_UNSPECIFIED', (f) =>
    isSignIn(f)
      ? (AUTH_TYPES[
          (f.event.who?.method ?? f.event.access?.credential ?? '') as keyof typeof AUTH_TYPES
        ] ?? 'AUTHTYPE_UNSPECIFIED')
      : undefined,
  ),
]

export const udmRows = (): Row[] => [
  ...STANDARD,
  row('additional.outcome', 'outcome'),
  ...restOf([STANDARD], ({ name }) => `additional.${snake(name).replaceAll('.', '_')}`, [
    'path.clientAddress',
  ]),
]
