/** What a value is, as far as masking it needs to know. Knows no protocol: who calls says it of its own types. */

export type Kind =
  | 'text'
  | 'json'
  | 'integer'
  | 'decimal'
  | 'float'
  | 'boolean'
  | 'date'
  | 'timestamp'
  | 'uuid'
  | 'bytes'
  | 'composite'
  | 'other'

export interface ValueType {
  kind: Kind
  /** Elements of an array are of this kind. */
  isArray: boolean
}

export interface ActionSpec {
  action: 'redact' | 'partial' | 'hash' | 'shape' | 'null' | 'drop-row' | 'truncate' | 'generalise'
  /** With `partial`: characters kept at the end; 4 when left out. */
  keep?: number
  /** With `truncate`: what stays of a date or time; `year` when left out. */
  to?: 'year' | 'month' | 'day' | 'hour'
  /** With `generalise`: numbers become multiples of it; 10 when left out. */
  step?: number
}
