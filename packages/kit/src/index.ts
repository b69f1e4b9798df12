/**
 * What every process of Custody needs before it does its own work: configuration, errors, diagnostics, life cycle, ports
 * and the home directory. Knows no protocol, no event and no store.
 */
export { type CatalogueEntry, catalogue, type ErrorCode, renderCatalogue } from './catalogue'
export {
  type ApprovalSettings,
  type ChannelSettings,
  type Configuration,
  configurationFile,
  environmentOverrides,
  isOutboundUrl,
  type KafkaSettings,
  type Limits,
  loadConfiguration,
  type MaskingSettings,
  type MysqlResource,
  mayBeAsked,
  type OidcIssuer,
  type PostgresResource,
  PROTOCOLS,
  type ProtocolName,
  parseConfiguration,
  portVariable,
  type RecordingMode,
  type Resource,
  type SamlProvider,
  type SiemDestinationSettings,
  type SiemSettings,
  type SshResource,
  spokenProtocols,
  type WarehouseSettings,
  withoutSecrets,
} from './configuration'
export {
  CustodyError,
  type CustodyErrorOptions,
  describeError,
  isCustodyError,
  recordedReason,
} from './errors'
export { type Health, type HealthOptions, type Metric, serveHealth, textOf } from './health'
export {
  type Home,
  homeAt,
  homeDirectory,
  homeFormatVersion,
  prepareHome,
  processExists,
  type RuntimeStatus,
  readAdminToken,
  readStatus,
  writeFileAtomic,
} from './home'
export {
  type Running,
  runService,
  type ServiceMessage,
  type ServiceOptions,
  withTimeout,
} from './lifecycle'
export { createLogger, type Logger, type LoggerOptions, silentLogger } from './logger'
export { PerMinute } from './per-minute'
export { freePort, listen, listenError, reachable, urlOf } from './ports'
export {
  type KeptSecret,
  type LocalSecret,
  readSecret,
  type Secret,
  type VaultSecret,
} from './secret'
export { createSecrets, type Refusal, type Secrets, type SecretsOptions } from './secrets'
export { cut, line, type Shown, visible } from './shown'
export { type AlertKind, secretsOfDestination } from './siem-settings'
export type { VaultSettings } from './vault'
