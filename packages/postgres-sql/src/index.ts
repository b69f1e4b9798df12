/** What PostgreSQL statements do, for whoever has to decide on them or show them. */
export { tellingColumns } from './clean-catalogue'
export { type ConstantRange, constantsOf } from './constants'
export type { Lineage } from './lineage'
export * from './provenance'
export { READING } from './reading-functions'
export * from './statements'
