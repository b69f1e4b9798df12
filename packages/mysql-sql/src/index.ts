/** What statements of MySQL and MariaDB do, for whoever has to decide on them or show them. */
export { type Characters, charactersOf, type SqlMode, sqlModeOf } from './characters'
export type { Lineage } from './lineage'
export { type LiteralRange, literalsOf, secretsOf } from './literals'
export * from './provenance'
export * from './statements'
