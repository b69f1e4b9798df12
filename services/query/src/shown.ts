/** What a client saw, in the form in which it is shown, whatever protocol it came by. */

export interface Column {
  name: string
  type: string
}

export type Shown =
  | {
      kind: 'rows'
      columns: Column[]
      rows: (string | null)[][]
      /** Rows that were there and are left out of this answer. */
      rowsOmitted: number
      /** The rows came without a description; formats were told from their bytes. */
      assumedFormats?: boolean
    }
  | { kind: 'tag'; tag: string }
  | {
      kind: 'error' | 'notice'
      severity: string
      code: string
      message: string
      /** MySQL's own of an error. */
      number?: number
      detail?: string
      hint?: string
    }
  | {
      kind: 'copy'
      direction: 'in' | 'out'
      text: string
      bytes: number
      bytesOmitted: number
      binary: boolean
    }
  | { kind: 'notification'; channel: string; payload: string }
  | { kind: 'parameter'; name: string; value: string }
  | { kind: 'suspended' }
  | { kind: 'empty' }
  | { kind: 'value'; bytes: number; hex: string }

export interface Decoded {
  shown: Shown[]
  /** Bytes at the end that are no whole message. */
  tornBytes: number
}

export interface DecodeLimits {
  rowsMax: number
  copyBytesMax: number
  /** Columns as recorded, for answers that carry no description of their own (executing a prepared statement again). */
  columns?: readonly Column[]
}
