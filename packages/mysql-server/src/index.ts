/**
 * A real MariaDB or MySQL server on this machine, for tests, checks and benches: finding its programs and running them.
 * Speaks no SQL.
 */
export {
  installedServer,
  missingServer,
  mysqlClient,
  type ServerKind,
  type ServerPrograms,
} from './programs'
export { type MysqlServer, type MysqlServerOptions, startMysqlServer } from './server'
