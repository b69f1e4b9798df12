/**
 * IBM QRadar's Log Event Extended Format 2.0.
 *   LEEF:2.0|vendor|product|version|event id|x09|key=value<TAB>key=value …
 * The format has no escaping: in values the delimiter, line breaks and other control characters are shown as their pictures
 * (U+2409 for a tab), in the header a bar as `¦`. A record has at most 4,096 bytes unless configured otherwise, since QRadar cuts longer
 * ones off at that by default. Facts without a predefined key have keys of their own that begin with custody.
 */
import { flatWriter } from './flat'
import { pascal, type Row, restOf, row, worked } from './mapping'
import { oneLine } from './text'

export const LEEF_SEVERITIES = { informational: 1, low: 3, medium: 5, high: 8, critical: 10 }
export const LEEF_RECORD_BYTES_MAX = 4096

export const LEEF_ROWS: readonly Row[] = [
  row('devTime', 'time.millis'),
  row('cat', 'operation'),
  row('sev', 'severity', LEEF_SEVERITIES),
  row('custodyId', 'id'),
  row('usrName', 'actor.name'),
  row('src', 'client.ip'),
  row('srcPort', 'path.clientPort'),
  row('dst', 'target.ip'),
  row('dstPort', 'target.port'),
  row('identHostName', 'target.host'),
  row('accountName', 'path.account'),
  row('resource', 'path.resource'),
  row('policy', 'policy.name'),
  row('url', 'link'),
  row('role', 'who.kind'),
  row('srcBytes', 'bytes.in'),
  row('dstBytes', 'bytes.out'),
  worked('isLoginEvent', 'true for sign-ins', (f) =>
    f.event.kind === 'access.sign-in' || f.event.kind === 'access.refused' ? true : undefined,
  ),
  worked('isLogoutEvent', 'true for sign-outs', (f) =>
    f.event.kind === 'access.sign-out' ? true : undefined,
  ),
  row('custodySession', 'session'),
  row('custodyRecorder', 'recorder'),
  row('custodySequence', 'sequence'),
  row('custodyAction', 'action'),
  row('custodyOutcome', 'outcome'),
  row('custodyStatement', 'statement.text'),
  row('custodyStatementDigest', 'statement.textDigest'),
]

export const leefRows = (): Row[] => [
  ...LEEF_ROWS,
  row('custodyReason', 'reason'),
  row('custodyMessage', 'message'),
  ...restOf([LEEF_ROWS], ({ name }) => `custody${pascal(name)}`),
]

const header = (text: string): string => oneLine(text).replaceAll('|', '¦')

export const leefWriter = (version: string, recordBytesMax: number) =>
  flatWriter({
    rows: LEEF_ROWS,
    rest: leefRows().slice(LEEF_ROWS.length),
    header: (facts) =>
      `LEEF:2.0|Custody|Custody|${header(version)}|${header(facts.event.kind)}|x09|`,
    separator: '\t',
    statement: 'custodyStatement',
    left: 'custodyLeftOut',
    lengths: {},
    value: oneLine,
    recordBytesMax,
  })
