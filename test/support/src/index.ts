/**
 * Real servers and real clients for tests. A server that cannot be had fails the test that asked for it; nothing here is
 * ever skipped in silence.
 */
export { Browser, type Form } from './browser'
export { certificateFor, rsaCertificate, type TestCertificate } from './certificate'
export {
  clientProgram,
  libpqWithToken,
  type Output,
  pgbench,
  postgresUrl,
  psql,
  runProgram,
  type Started,
  startProgram,
} from './clients'
export { type Driver, type DriverOutcome, type DriverRun, drivers } from './drivers'
export {
  type ConsumerUnderTest,
  type ContractCase,
  eventLogContract,
  Ledger,
  type LogUnderTest,
  open as openSessions,
  type RecorderUnderTest,
  say,
  someone,
  somewhere,
  type Taken,
  takeUntil,
} from './event-log-contract'
export { type KafkaServer, type KafkaServerOptions, startKafka } from './kafka'
export { type OidcProvider, startOidcProvider } from './oidc'
export {
  type PostgresServer,
  type PostgresServerOptions,
  type ServerOrigin,
  startPostgres,
} from './postgres'
export { seeded } from './random'
export { type Assertion, type SamlProvider, startSamlSimulator } from './saml'
export { type StandaloneUnderTest, standaloneUnderTest } from './standalone'
export { runSuite } from './suite'
export { temporaryDirectory } from './temporary'
export {
  startVaultSimulator,
  type VaultSimulator,
  type VaultTrouble,
} from './vault-simulator'
