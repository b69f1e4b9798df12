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
  NotReplicatedError,
  openRecorder,
  RecordedSession,
  Recorder,
  type RecorderOptions,
  type Replication,
  stronger,
  type Waiter,
} from './recorder'
export { readPreamble } from './recovery'
export {
  AWAY_MS,
  type LogShipper,
  type Replicated,
  type ReplicationStatus,
  replicate,
} from './replication'
export { publishedSchema, publishSchema } from './schemas'
export { EVENTS_FRAME, FRAME_HEADER_BYTES, readFrameHeader, segmentName } from './segment'
