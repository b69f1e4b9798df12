/**
 * How the bytes that clients saw are read, by protocol: one entry for each whose sessions can be replayed. What is shown has
 * the same form for all of them.
 */
import { decodeMysql, decodeMysqlInput } from './mysql/wire'
import { decodeBackend, decodeCopyIn } from './postgres/wire'
import type { Decoded, DecodeLimits, Shown } from './shown'

/** What the record says of a command beside its bytes. */
export interface DecodeContext extends DecodeLimits {
  /** How it was submitted: `query`, `execute`, … */
  interface?: string
}

export interface Decoder {
  output(bytes: Buffer, context: DecodeContext): Decoded
  /** What the client sent beside statements: COPY data, files. */
  input(bytes: Buffer, bytesMax: number): { copy: Shown; tornBytes: number }
}

const DECODERS: Readonly<Record<string, Decoder>> = {
  postgres: { output: decodeBackend, input: decodeCopyIn },
  mysql: { output: decodeMysql, input: decodeMysqlInput },
}

/** Null where sessions of this protocol can't be replayed. */
export function decoderFor(protocol: unknown): Decoder | null {
  return typeof protocol === 'string' && Object.hasOwn(DECODERS, protocol)
    ? DECODERS[protocol]!
    : null
}
