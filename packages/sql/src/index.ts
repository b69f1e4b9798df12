/** What is said alike of statements of every SQL: what they touch, and from which stored columns their values derive. */
export { BREADTHS, type Breadth, type ObjectName } from './facts'
export * from './provenance'
export * from './resolving'
export * from './values'
