/**
 * The event model: records/*.avsc assembled into one Avro schema, its TypeScript types and its codec.
 * Imports nothing of ours; everything else in Custody imports it.
 */
export * from './codec'
export { type Envelope, readEnvelope, readTimeAndKind } from './envelope'
export type {
  ApprovalDraft,
  ColumnDraft,
  DecisionDraft,
  EventDraft,
  LifecycleDraft,
  MaskDraft,
  ParameterDraft,
  ResponseDraft,
  StatementDraft,
} from './generated/encoder'
export { writeDecision, writeEvent, writePath, writeStatement, writeWho } from './generated/encoder'
export * from './generated/event'
export { createEventReader } from './reader'
export { newUuid, nowMicros, uuidBytes, uuidText, writeUuid } from './uuid'
export { Encoded, Writer } from './writer'
