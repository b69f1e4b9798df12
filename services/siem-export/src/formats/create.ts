/**
 * The formats, by name: one list. Options are looked at once, when a format is made.
 */
import type { Event } from '@custody/schemas'
import { cefWriter } from './cef'
import { type EcsVersion, ecsRows } from './ecs'
import { FACTS, Facts, type Limits } from './facts'
import type { Evidence, Format, FormatName, FormatOptions } from './format'
import { LEEF_RECORD_BYTES_MAX, leefWriter } from './leef'
import { isPlain, needOf, type Row, readerOf, typeOf } from './mapping'
import { OCSF_CLASSES, type OcsfClass } from './meaning'
import { ocsfRows } from './ocsf'
import { plainJson } from './plain'
import { SessionMemos } from './sessions'
import {
  applicationField,
  type Framing,
  frameSyslog,
  SYSLOG_ENTERPRISE,
  SYSLOG_FACILITY,
  syslogOfEvent,
} from './syslog'
import { timesketchRows } from './timesketch'
import { compileJson } from './tree'
import { udmRows } from './udm'

const NO_EVIDENCE: Evidence = {}

/** What a command may have in a record where nothing else is asked for. */
export const STATEMENT_BYTES_MAX: Readonly<Record<FormatName, number>> = {
  json: Number.POSITIVE_INFINITY,
  ocsf: 64 * 1024,
  // Lucene takes no term longer than 32,766 bytes, and keyword fields are terms.
  ecs: 32_000,
  cef: 4000,
  leef: 2048,
  timesketch: 32_000,
  udm: 32_000,
}
export const VALUE_BYTES_MAX = 1024

interface Shape {
  contentType: string
  write(facts: Facts): string
}

/** With what was made for the session before, where there is any. */
function remembering(write: Shape['write']): Shape['write'] {
  const memos = new SessionMemos()
  return (facts) => {
    facts.memo = memos.of(facts.event)
    return write(facts)
  }
}

const jsonShape = (rows: readonly Row[]): Shape => ({
  contentType: 'application/x-ndjson',
  write: remembering(
    compileJson(
      rows.map((row) => ({
        to: row.to,
        of: readerOf(row),
        needs: needOf(row),
        plain: isPlain(row),
        always: row.always,
        type: typeOf(row),
      })),
    ),
  ),
})

function shapeOf(name: FormatName, o: FormatOptions): Shape {
  const version = o.version || 'unknown'
  const max = o.recordBytesMax ?? Number.POSITIVE_INFINITY
  switch (name) {
    case 'json':
      return { contentType: 'application/x-ndjson', write: plainJson }
    case 'ocsf': {
      const writes = new Map<OcsfClass, Shape['write']>()
      for (const one of Object.keys(OCSF_CLASSES) as OcsfClass[])
        writes.set(one, jsonShape(ocsfRows(one, o.ocsf)).write)
      return {
        contentType: 'application/x-ndjson',
        write: (facts) => writes.get(facts.place.ocsf[0])!(facts),
      }
    }
    case 'ecs':
      return jsonShape(ecsRows(o.ecs?.version as EcsVersion))
    case 'timesketch':
      return jsonShape(timesketchRows(FACTS))
    case 'udm':
      return jsonShape(udmRows())
    case 'cef':
      return {
        contentType: 'text/plain; charset=utf-8',
        write: remembering(cefWriter(version, max)),
      }
    case 'leef':
      return {
        contentType: 'text/plain; charset=utf-8',
        write: remembering(leefWriter(version, o.recordBytesMax ?? LEEF_RECORD_BYTES_MAX)),
      }
  }
}

/** Throws a RangeError where options contradict each other. */
export function createFormat(name: FormatName, o: FormatOptions = {}): Format {
  check(name, o)
  const shape = shapeOf(name, o)
  const limits = limitsOf(name, o)
  const text = (event: Event, evidence = NO_EVIDENCE): string | null =>
    isLeftOut(event, limits) ? null : shape.write(new Facts(event, evidence, limits))
  return {
    name,
    contentType: shape.contentType,
    separator: '\n',
    text,
    encode(event, evidence) {
      const record = text(event, evidence)
      return record === null ? null : Buffer.from(record)
    },
  }
}

export interface SyslogOptions extends FormatOptions {
  body: FormatName
  framing: Framing
  facility?: number
  /** Private enterprise number of the structured data. */
  enterprise?: number
  application?: string
}

/** Any format's record as the body of an RFC 5424 message, framed. `text` is the message without its frame. */
export function createSyslogFormat(o: SyslogOptions): Format {
  check(o.body, o)
  const shape = shapeOf(o.body, o)
  const limits = limitsOf(o.body, o)
  const facility = o.facility ?? SYSLOG_FACILITY
  if (!Number.isInteger(facility) || facility < 0 || facility > 23)
    throw new RangeError(`syslog has facilities 0 to 23, not ${facility}`)
  const around = {
    facility,
    enterprise: o.enterprise ?? SYSLOG_ENTERPRISE,
    application: applicationField(o.application ?? 'custody'),
  }
  const text = (event: Event, evidence = NO_EVIDENCE): string | null => {
    if (isLeftOut(event, limits)) return null
    const facts = new Facts(event, evidence, limits)
    return syslogOfEvent(facts, shape.write(facts), around)
  }
  return {
    name: 'syslog',
    contentType: 'text/plain; charset=utf-8',
    separator: '',
    text,
    encode(event, evidence) {
      const message = text(event, evidence)
      return message === null ? null : frameSyslog(message, o.framing)
    },
  }
}

function check(name: FormatName, o: FormatOptions): void {
  if (o.ocsf?.recordIntegrity && o.ocsf.version !== '1.9.0')
    throw new RangeError('the profile record_integrity is of OCSF 1.9.0')
  if (o.recordBytesMax !== undefined && name !== 'cef' && name !== 'leef')
    throw new RangeError(`${name} has no longest record; limit its values`)
  if (o.recordBytesMax !== undefined && o.recordBytesMax < RECORD_BYTES_MIN)
    throw new RangeError(`a record needs ${RECORD_BYTES_MIN} bytes at least`)
}
/** Header, identifier, time and who fit into this. */
const RECORD_BYTES_MIN = 1024

function limitsOf(name: FormatName, o: FormatOptions): Limits {
  return {
    statementBytesMax: o.statementBytesMax ?? STATEMENT_BYTES_MAX[name],
    valueBytesMax: o.valueBytesMax ?? VALUE_BYTES_MAX,
    outputs: o.outputs ?? 'summary',
    consoleUrl: o.consoleUrl?.replace(/\/+$/, '') ?? null,
    version: o.version ?? '',
  }
}

const isLeftOut = (event: Event, { outputs }: Limits): boolean =>
  outputs === 'none' && event.output !== null
