/**
 * The seam between an event and what a destination takes: a format turns one decoded event into one record.
 * Pure: the same event and options give the same bytes. Refuses to drop anything by itself: what it leaves out was asked for in its options.
 */
import type { Event } from '@custody/schemas'
import type { Severity } from './meaning'

export const FORMAT_NAMES = ['json', 'ocsf', 'ecs', 'cef', 'leef', 'timesketch', 'udm'] as const
export type FormatName = (typeof FORMAT_NAMES)[number]

export interface Format {
  readonly name: FormatName | 'syslog'
  /** Media type of one record, and of records that `separator` follows. */
  readonly contentType: string
  /** What follows each record where many go in one body; empty where each record brings its own frame. */
  readonly separator: string
  /**
   * The record, without separator; null where the options leave this event out, which the caller counts.
   */
  encode(event: Event, evidence?: Evidence): Buffer | null
  /** The same as text, for destinations that put it into an envelope of their own. Well-formed Unicode, no line break. */
  text(event: Event, evidence?: Evidence): string | null
}

/** What only who reads the log knows of an event. */
export interface Evidence {
  /** SHA-256 of the event's message, as the recorder's next event names it; as text, in hexadecimal. */
  digest?: Buffer | string | null
  /** Identifier of the recorder's event before it. */
  previousId?: Buffer | null
}

/** What of `output` events, the pieces of what was seen or sent, a record has. */
export type Outputs = 'none' | 'summary' | 'data'

export interface FormatOptions {
  /** The console's URL; records link to the session there. */
  consoleUrl?: string
  /** Longest text of a command in a record, in UTF-8 bytes; what is cut has its length and SHA-256 beside it. Default by format. */
  statementBytesMax?: number
  /** Longest other value, in UTF-8 bytes. Default 1024, plain JSON 64 KiB. */
  valueBytesMax?: number
  /** Longest record, in UTF-8 bytes: least important values are left out and counted, then the command is cut. Default 4096 for LEEF, none for others. */
  recordBytesMax?: number
  /** Default `summary`: where it is, how long, its SHA-256, without the bytes. `none` leaves those events out. */
  outputs?: Outputs
  ocsf?: {
    version?: '1.8.0' | '1.9.0'
    /** 1.9.0 only: the profile record_integrity, with this event's and the previous one's digest. */
    recordIntegrity?: boolean
  }
  ecs?: { version?: '8.11.0' | '9.4.0' }
  /** Custody's version, in product fields. */
  version?: string
}

/** Identifier of a record, the same each time: that of the event. Receivers that know a key de-duplicate by it. */
export type RecordId = string

export interface Routed {
  id: RecordId
  /** Records of one key are delivered in order: the session's identifier, or the recorder's name outside sessions. */
  orderingKey: string
  severity: Severity
}
