/** What PostgreSQL statements do, for whoever has to decide on them or show them. */

export * from './lineage'
export { READING } from './reading-functions'
export * from './statements'
