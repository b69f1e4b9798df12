/**
 * The warehouse: ClickHouse's tables for events (migrations), who may do what there, how long events stay and where they go,
 * and the embedded server that is one without a ClickHouse to install. Everything else talks to either through
 * @clickhouse/client; nothing here but server.ts and what it needs knows which it is.
 */

export {
  type ColdMover,
  type ColdMoverOptions,
  createColdMover,
  keepMoving,
  type MovedMonth,
} from './cold'
export { type Role, warehouseUrl } from './connection'
export { createHistory, EVENTS, type History, type Period } from './history'
export { type InsertTarget, insertTarget } from './insert'
export { type MigrateOptions, migrate } from './migrations'
export {
  type KeepOptions,
  keepWarehouse,
  type Prepared,
  type PrepareOptions,
  prepareWarehouse,
} from './prepare'
export { type Layout, render } from './render'
export {
  applyRetention,
  expiredCondition,
  isExpired,
  keepDaysOf,
  type RetentionDays,
  ttlOf,
} from './retention'
export { createWarehouse, type Warehouse, type WarehouseOptions } from './server'
export { ADMIN_GRANTS, applyUsers, GRANTS, type User, userStatements, usersXml } from './users'
