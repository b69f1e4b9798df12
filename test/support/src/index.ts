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
export {
  type MysqlLogin,
  type MysqlServer,
  type MysqlServerOptions,
  mysql,
  mysqlClient,
  type ServerKind,
  startMysql,
} from './mysql'
export { type MysqlDriver, type MysqlDriverLogin, mysqlDrivers } from './mysql-drivers'
export {
  RAW_BULK,
  RAW_CAPABILITIES,
  RAW_DEPRECATE_EOF,
  RAW_EXTENDED_TYPES,
  RAW_PROGRESS,
  RAW_QUERY_ATTRIBUTES,
  RAW_SESSION_TRACK,
  type RawAnswer,
  type RawLogin,
  RawMysql,
  type RawShape,
} from './mysql-raw'
export { type OidcProvider, startOidcProvider } from './oidc'
export {
  type PostgresServer,
  type PostgresServerOptions,
  type ServerOrigin,
  startPostgres,
} from './postgres'
export { seeded } from './random'
export { type Assertion, type SamlProvider, startSamlSimulator } from './saml'
export {
  runSsh,
  type SshRan,
  type SshServer,
  type SshServerOptions,
  type SshWay,
  sshDirect,
  sshResource,
  sshThrough,
  startSsh,
  startSshServer,
} from './ssh'
export { type StandaloneUnderTest, standaloneUnderTest } from './standalone'
export { runSuite } from './suite'
export { temporaryDirectory } from './temporary'
export { until } from './until'
export {
  startVaultSimulator,
  type VaultSimulator,
  type VaultTrouble,
} from './vault-simulator'
