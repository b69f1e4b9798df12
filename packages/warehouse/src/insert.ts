/**
 * What ingest inserts into, and with which settings. Pure. Why so: docs/decisions/0015-cluster-cold-roles.md.
 */
import type { ClickHouseSettings } from '@clickhouse/client'
import type { WarehouseSettings } from '@custody/kit'

export interface InsertTarget {
  /** Of `INSERT INTO <table> FORMAT Avro`, and of the question which sequences are there. */
  table: string
  /** Of every insert, beside its `insert_deduplication_token`. */
  settings: ClickHouseSettings
}

export function insertTarget(settings?: Pick<WarehouseSettings, 'cluster'>): InsertTarget {
  if (!settings?.cluster) return { table: 'custody.events', settings: {} }
  return {
    table: 'custody.events',
    settings: {
      // The answer comes when every shard that gets rows has them; nothing waits in files of the server that was asked.
      distributed_foreground_insert: 1,
      // … on most of its replicas. Two inserts beside each other, so not one after the other.
      insert_quorum: 'auto',
      insert_quorum_parallel: 1,
      insert_quorum_timeout: 60_000,
      insert_deduplicate: 1,
      // The block that a token stands for must not depend on how its bytes arrived.
      async_insert: 0,
    },
  }
}
