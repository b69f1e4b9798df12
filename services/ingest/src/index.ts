/** Ingest: what recorders wrote becomes rows of the warehouse, each once. */
export { avroContainer } from './container'
export { createIngest, type Ingest, type IngestOptions, type IngestStatus } from './ingest'
