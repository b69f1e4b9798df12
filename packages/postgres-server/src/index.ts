/**
 * A real PostgreSQL server on this machine, for the demo and for tests: finding its programs and running them.
 * Speaks no SQL.
 */
export { type Account, reachableBy, serverAccount } from './account'
export { type Binaries, installedBinaries, missingBinaries, npmBinaries } from './binaries'
export {
  type AuthenticationMethod,
  type Cluster,
  type ClusterOptions,
  initialiseCluster,
  reachableDirectory,
  startCluster,
  stopLeftover,
} from './cluster'
