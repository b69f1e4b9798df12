/**
 * ArcSight Common Event Format, version 0 (Micro Focus, "Implementing ArcSight Common Event Format", version 25).
 *   CEF:0|vendor|product|version|event class|name|severity|key=value key=value …
 * In the header `\` and `|` are escaped, in values `\` and `=`; line breaks within values are `\n` and `\r`. Other control characters are
 * shown as their pictures, since a line that they are in is no line to many readers. Values are cut at the lengths of the dictionary.
 * Facts without a key of the dictionary have keys of their own that begin with Custody.
 */
import { flatWriter } from './flat'
import { pascal, type Row, restOf, row, worked } from './mapping'
import { oneLine, pictureOf } from './text'

export const CEF_SEVERITIES = { informational: 1, low: 3, medium: 5, high: 8, critical: 10 }

/** Longest values in characters of the dictionary's keys; those of others are bounded by `valueBytesMax`. */
export const CEF_LENGTHS: Readonly<Record<string, number>> = {
  act: 63,
  app: 31,
  cat: 1023,
  cs1: 4000,
  cs2: 4000,
  cs3: 4000,
  cs4: 4000,
  cs5: 4000,
  cs6: 4000,
  deviceExternalId: 255,
  dhost: 1023,
  duser: 1023,
  dvchost: 100,
  externalId: 40,
  fname: 1023,
  filePath: 1023,
  msg: 1023,
  outcome: 63,
  reason: 1023,
  request: 1023,
  requestClientApplication: 1023,
  requestMethod: 1023,
  shost: 1023,
  suid: 1023,
  suser: 1023,
  spriv: 1023,
  destinationServiceName: 1023,
}

export const CEF_ROWS: readonly Row[] = [
  row('rt', 'time.millis'),
  row('externalId', 'id'),
  row('msg', 'message'),
  row('act', 'action'),
  row('outcome', 'outcome'),
  row('reason', 'reason'),
  row('cat', 'operation'),
  row('app', 'path.protocol'),
  row('suser', 'actor.name'),
  row('suid', 'who.subject'),
  row('spriv', 'who.kind'),
  row('src', 'client.ip'),
  row('shost', 'path.clientAddress'),
  row('spt', 'path.clientPort'),
  row('requestClientApplication', 'path.clientApplication'),
  row('duser', 'path.account'),
  row('dst', 'target.ip'),
  row('dhost', 'target.host'),
  row('dpt', 'target.port'),
  row('destinationServiceName', 'path.resource'),
  row('dvchost', 'gateway.name'),
  row('deviceExternalId', 'recorder'),
  row('request', 'link'),
  row('requestMethod', 'http.method'),
  row('filePath', 'file.path'),
  row('fname', 'file.name'),
  row('in', 'bytes.in'),
  row('out', 'bytes.out'),
  row('cnt', 'response.rows'),
  worked('cs1Label', '`statement`, where there is one', (f) =>
    f.event.statement === null ? undefined : 'statement',
  ),
  row('cs1', 'statement.text'),
  worked('cs2Label', '`session`, where there is one', (f) =>
    f.event.session === null ? undefined : 'session',
  ),
  row('cs2', 'session'),
  worked('cs3Label', '`policies`, where something was decided', (f) =>
    f.event.decision === null || f.event.decision.policies.length === 0 ? undefined : 'policies',
  ),
  row('cs3', 'decision.policies'),
  worked('cs4Label', '`objects`, where there are some', (f) =>
    f.event.statement === null || f.event.statement.objects.length === 0 ? undefined : 'objects',
  ),
  row('cs4', 'statement.objects'),
  worked('cs5Label', '`masks`, where there are some', (f) =>
    f.event.masks.length === 0 ? undefined : 'masks',
  ),
  row('cs5', 'masks'),
  worked('cs6Label', '`approval`, where there is one', (f) =>
    f.event.approval === null ? undefined : 'approval',
  ),
  row('cs6', 'approval.request'),
]

export const cefRows = (): Row[] => [
  ...CEF_ROWS,
  ...restOf([CEF_ROWS], ({ name }) => `Custody${pascal(name)}`),
]

const PLAIN = /^[\w. -]*$/
const HEADER_ESCAPES = /[\\|]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
const UNSAFE = /[\\=\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
const EACH = /[\\=\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g

export function cefHeader(text: string): string {
  if (PLAIN.test(text)) return text
  return oneLine(text).replace(HEADER_ESCAPES, '\\$&')
}

/** A value as CEF escapes it. Spaces at its ends, which readers take for the gap between keys, are shown as their picture. */
export function cefValue(text: string): string {
  let value = text
  if (UNSAFE.test(value))
    value = value.toWellFormed().replace(EACH, (found) => {
      switch (found) {
        case '\\':
          return '\\\\'
        case '=':
          return '\\='
        case '\n':
          return '\\n'
        case '\r':
          return '\\r'
        default:
          return pictureOf(found)
      }
    })
  const last = value.charCodeAt(value.length - 1)
  if (last === 0x20 || last === 0x09) value = `${value.slice(0, -1)}\u2420`
  const first = value.charCodeAt(0)
  if (first === 0x20 || first === 0x09) value = `\u2420${value.slice(1)}`
  return value
}

export function cefWriter(version: string, recordBytesMax: number) {
  const product = `CEF:0|Custody|Custody|${cefHeader(version)}|`
  return flatWriter({
    rows: CEF_ROWS,
    rest: cefRows().slice(CEF_ROWS.length),
    header: (facts) =>
      `${product}${cefHeader(facts.event.kind)}|${facts.meaning.title}|${CEF_SEVERITIES[facts.severity]}|`,
    separator: ' ',
    statement: 'cs1',
    left: 'CustodyLeftOut',
    lengths: CEF_LENGTHS,
    value: cefValue,
    recordBytesMax,
  })
}
