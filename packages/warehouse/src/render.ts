/**
 * The migrations' SQL as one server takes it (as it is), or as a cluster does: replicated tables, events in a local table
 * on each shard with a distributed one over all of them, each statement on the whole cluster.
 * Pure. Refuses a statement of a form that it does not know, so that no migration is half-applied on a cluster.
 */

export interface Layout {
  /** As ClickHouse's remote_servers call it; absent: one server, or the embedded one. */
  cluster?: string | undefined
}

/** The table that is spread over the shards; all others are small, and whole on every server. */
const SPREAD = 'custody.events'
/** What it is called on a shard. */
export const eventsLocal = ({ cluster }: Layout) => (cluster ? `${SPREAD}_local` : SPREAD)

/** A session is whole on one shard, and what belongs to none lies with its recorder, as in Kafka. */
export const SHARDING_KEY =
  "cityHash64(if(session = toFixedString('', 16), toString(recorder), toString(session)))"

const DATABASE = /^CREATE DATABASE IF NOT EXISTS custody$/
const TABLE =
  /^CREATE TABLE IF NOT EXISTS (custody\.[a-z_]+)(\s*\([\s\S]*\)\s*)ENGINE = MergeTree\b(?!\()([\s\S]*)$/
const VIEW = /^(CREATE (?:VIEW IF NOT EXISTS|OR REPLACE VIEW)) (custody\.[a-z_]+)([\s\S]*)$/
const ALTER = /^ALTER TABLE (custody\.[a-z_]+)(\s[\s\S]*)$/
const DROP = /^(DROP (?:TABLE|VIEW) IF EXISTS) (custody\.[a-z_]+)$/

export function render(statement: string, layout: Layout): string[] {
  const { cluster } = layout
  if (!cluster) return [statement]
  const on = `ON CLUSTER ${cluster}`
  if (DATABASE.test(statement)) return [`${statement} ${on}`]
  const table = TABLE.exec(statement)
  if (table) {
    const [, name, columns, rest] = table
    return name === SPREAD
      ? createSpread(`${SPREAD}_local`, SPREAD, columns!, rest!, cluster)
      : [
          `CREATE TABLE IF NOT EXISTS ${name} ${on}${columns}ENGINE = ${replicatedEverywhere(name!, cluster)}${rest}`,
        ]
  }
  const view = VIEW.exec(statement)
  if (view) return [`${view[1]} ${view[2]} ${on}${view[3]}`]
  const alter = ALTER.exec(statement)
  if (alter) {
    const [, name, what] = alter
    if (name !== SPREAD) return [`ALTER TABLE ${name} ${on}${what}`]
    const columns = /\b(?:ADD|MODIFY|DROP|RENAME|COMMENT) COLUMN\b/.test(what!)
    const storage =
      /\b(?:INDEX|PROJECTION|CONSTRAINT|STATISTICS|TTL|SETTING|PARTITION|DELETE|UPDATE)\b/.test(
        what!,
      )
    if (columns === storage)
      throw new Error(`one ALTER is about columns or about storage: ${statement.slice(0, 200)}`)
    const local = `ALTER TABLE ${SPREAD}_local ${on}${what}`
    return columns ? [local, `ALTER TABLE ${SPREAD} ${on}${what}`] : [local]
  }
  const drop = DROP.exec(statement)
  if (drop && drop[2] !== SPREAD) return [`${drop[1]} ${drop[2]} ${on} SYNC`]
  throw new Error(`a cluster has no form for this statement: ${statement.slice(0, 200)}`)
}

/** One table on each shard, and one over all of them. */
function createSpread(
  local: string,
  name: string,
  columns: string,
  rest: string,
  cluster: string,
): string[] {
  const on = `ON CLUSTER ${cluster}`
  return [
    `CREATE TABLE IF NOT EXISTS ${local} ${on}${columns}ENGINE = ${replicatedPerShard(local, cluster)}${rest}`,
    `CREATE TABLE IF NOT EXISTS ${name} ${on} AS ${local} ENGINE = ${distributed(local, cluster)}`,
  ]
}

/** `{shard}` and `{replica}` are the servers' macros; the cluster's name is ours, so that nothing depends on a third. */
export function replicatedPerShard(name: string, cluster: string): string {
  return `ReplicatedMergeTree('/clickhouse/tables/${cluster}/{shard}/${name.replace('.', '/')}', '{replica}')`
}

/** A small table that every server has whole: all of them are replicas of one. */
function replicatedEverywhere(name: string, cluster: string): string {
  return `ReplicatedMergeTree('/clickhouse/tables/${cluster}/all/${name.replace('.', '/')}', '{shard}-{replica}')`
}

export function distributed(local: string, cluster: string): string {
  const [database, table] = local.split('.')
  return `Distributed('${cluster}', '${database}', '${table}', ${SHARDING_KEY})`
}
