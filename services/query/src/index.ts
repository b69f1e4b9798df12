/**
 * Search, timelines and replays of what was recorded, over HTTP; `createQuery` is the service.
 * Reads the store and never writes it; what it does itself goes to its own event log.
 */
export { createQuery, type Query, type QueryOptions } from './query'
