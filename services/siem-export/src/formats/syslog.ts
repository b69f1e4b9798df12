/**
 * RFC 5424 messages around any format's record, and their frames: octet counting in bytes (RFC 6587, 5425), a line each, or a
 * datagram each (RFC 5426).
 *   <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD-ELEMENT …] MSG
 * Header fields are printable ASCII of bounded length, others' characters become `?`; in parameter values only `"`, `\` and `]` are
 * escaped, and control characters are shown as their pictures, since collectors rewrite them each in its own way. Opens no socket.
 */
import type { Event } from '@custody/schemas'
import { type Facts, factOf } from './facts'
import type { Severity } from './meaning'
import { isoMicros, oneLine } from './text'

/** 13: log audit. */
export const SYSLOG_FACILITY = 13
/** RFC 5612 keeps this number for documents; set your own enterprise's where receivers go by it. */
export const SYSLOG_ENTERPRISE = 32473
export const SYSLOG_SEVERITIES: Readonly<Record<Severity, number>> = {
  informational: 6,
  low: 5,
  medium: 4,
  high: 3,
  critical: 2,
}

export type Framing = 'octet-counting' | 'line' | 'datagram'

export interface SyslogMessage {
  facility: number
  severity: number
  /** Microseconds since 1970. */
  time: number
  host: string
  application: string
  process: string
  messageId: string
  data: readonly { id: string; parameters: readonly (readonly [name: string, value: string])[] }[]
  message: string
}

const NOT_PRINTABLE = /[^\x21-\x7e]/g
const PRINTABLE = /^[\x21-\x7e]+$/
function field(text: string, charactersMax: number): string {
  if (text.length <= charactersMax && PRINTABLE.test(text)) return text
  const clean = text.replace(NOT_PRINTABLE, '?').slice(0, charactersMax)
  return clean === '' ? '-' : clean
}

/** SD-NAME: printable ASCII without `=`, space, `]` and `"`, 32 characters at most. */
const dataName = (text: string): string => text.replace(/[^\x21-\x7e]|[="\]]/g, '_').slice(0, 32)

const SIMPLE = /^[\w .@-]*$/
const ESCAPED = /["\\\]]/g
export const parameterValue = (text: string): string =>
  SIMPLE.test(text) ? text : oneLine(text).replace(ESCAPED, '\\$&')

export function syslogMessage(m: SyslogMessage): string {
  let data = ''
  for (const { id, parameters } of m.data) {
    data += `[${dataName(id)}`
    for (const [name, value] of parameters)
      if (value !== '') data += ` ${dataName(name)}="${parameterValue(value)}"`
    data += ']'
  }
  return `<${m.facility * 8 + m.severity}>1 ${isoMicros(m.time)} ${field(m.host, 255)} ${field(m.application, 48)} ${field(m.process, 128)} ${field(m.messageId, 32)} ${data === '' ? '-' : data} ${m.message}`
}

/** The message's bytes in a frame. With `line` a message that has a line feed is cut there by every receiver, so it is refused. */
export function frameSyslog(message: string, framing: Framing): Buffer {
  switch (framing) {
    case 'datagram':
      return Buffer.from(message)
    case 'line':
      if (message.includes('\n'))
        throw new RangeError('a message with a line feed can not be framed by line feeds')
      return Buffer.from(`${message}\n`)
    case 'octet-counting': {
      const bytes = Buffer.byteLength(message)
      const count = `${bytes} `
      const frame = Buffer.allocUnsafe(count.length + bytes)
      frame.write(count, 'latin1')
      frame.write(message, count.length)
      return frame
    }
  }
}

/** Structured data of an event. */
export const SYSLOG_PARAMETERS: readonly (readonly [name: string, fact: string])[] = [
  ['id', 'id'],
  ['kind', 'kind'],
  ['recorder', 'recorder'],
  ['sequence', 'sequence'],
  ['previous', 'previous'],
  ['digest', 'digest'],
  ['session', 'session'],
  ['ordinal', 'ordinal'],
  ['severity', 'severity'],
]

const readers = SYSLOG_PARAMETERS.map(([name, fact]) => {
  const { of, plain, type } = factOf(fact)
  return { head: ` ${name}="`, of, isPlain: plain || type === 'number' }
})
/** Where no fraction below this counts: RFC 5424, 7.3.1. */
const META_SEQUENCE_MAX = 2_147_483_647

export function syslogOfEvent(
  facts: Facts,
  body: string,
  o: { facility: number; enterprise: number; application: string },
): string {
  const { event } = facts
  let custody = ''
  for (const { head, of, isPlain } of readers) {
    const value = of(facts)
    if (value !== undefined && value !== null && value !== '')
      custody += `${head}${isPlain ? value : parameterValue(String(value))}"`
  }
  return `<${o.facility * 8 + SYSLOG_SEVERITIES[facts.severity]}>1 ${isoMicros(event.time)} ${hostOf(event)} ${o.application} ${processOf(event)} ${field(event.kind, 32)} [custody@${o.enterprise}${custody}][meta sequenceId="${1 + (event.sequence % META_SEQUENCE_MAX)}"][timeQuality tzKnown="1"] ${body}`
}

const hostOf = (event: Event): string => field(event.path?.gateway || event.recorder, 255)
const processOf = (event: Event): string => field(event.recorder, 128)
export const applicationField = (text: string): string => field(text, 48)
