/** Ingest: what recorders wrote becomes rows of the warehouse, each once. */
export { avroContainer } from './container'
export { canonicalDump } from './dump'
export { createIngest, type Ingest, type IngestOptions, type IngestStatus } from './ingest'
export { KAFKA_DEFAULTS, KafkaSource, type KafkaSourceOptions } from './kafka-source'
export type { Lot, Source } from './lot'
