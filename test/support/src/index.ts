/**
 * Real servers and real clients for tests. A server that cannot be had fails the test that asked for it; nothing here is
 * ever skipped in silence.
 */
export { certificateFor, type TestCertificate } from './certificate'
export { clientProgram, type Output, pgbench, psql, runProgram } from './clients'
export { type OidcProvider, startOidcProvider } from './oidc'
export {
  type PostgresServer,
  type PostgresServerOptions,
  type ServerOrigin,
  startPostgres,
} from './postgres'
export { temporaryDirectory } from './temporary'
export {
  startVaultSimulator,
  type VaultSimulator,
  type VaultTrouble,
} from './vault-simulator'
