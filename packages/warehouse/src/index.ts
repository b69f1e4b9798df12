/**
 * The warehouse: ClickHouse's tables for events (migrations), and the embedded server that is one without a
 * ClickHouse to install. Everything else talks to either through @clickhouse/client; nothing here knows which it is.
 */
export { migrate } from './migrations'
export { createWarehouse, type Warehouse, type WarehouseOptions } from './server'
