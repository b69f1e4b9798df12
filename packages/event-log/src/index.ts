/**
 * The event log: append-only segments with one writer per recorder and any number of readers in other processes.
 * Knows bytes, order and durability; refuses to know what an event means beyond its envelope.
 */
export {
  commitPosition,
  committedPosition,
  forgetConsumer,
  listRecorders,
  listSegments,
  type Position,
} from './position'
export { type LogBatch, LogDamagedError, LogReader, openReader, type ReaderOptions } from './reader'
export {
  type Durability,
  encodePath,
  encodeWho,
  LogRefusedError,
  openRecorder,
  RecordedSession,
  Recorder,
  type RecorderOptions,
  type Waiter,
} from './recorder'
export { readPreamble } from './recovery'
