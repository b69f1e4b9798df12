/** A cluster of processes that are killed, paused, started again and of two versions. */
export { Cluster, type Member, storedIds, type Warehouse } from './cluster'
export { NEXT_FIELD, NEXT_VALUE, nextVersionEnvironment, removeNextVersion } from './next-version'
