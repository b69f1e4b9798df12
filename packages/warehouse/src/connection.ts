/**
 * Where the warehouse is and as whom, for each of its three roles: ingest writes, query only reads, admin makes tables and
 * users and moves what is old. The environment comes before the settings, as it always did.
 * Refuses to give one role the credentials of another, but for admin, which is ingest where no other user is named.
 */
import type { Secret, Secrets, WarehouseSettings } from '@custody/kit'

export type Role = 'ingest' | 'query' | 'admin'

/** Where a server is looked for when nothing says where it is. */
const LOCAL = 'http://127.0.0.1:8123'

/** The URL of ClickHouse's HTTP interface with this role's user and password in it, as @clickhouse/client takes it. */
export async function warehouseUrl(
  role: Role,
  settings: WarehouseSettings | undefined,
  secrets: { read: Secrets['read'] },
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const given =
    (role === 'query' && environment.CUSTODY_WAREHOUSE_QUERY_URL) ||
    environment.CUSTODY_WAREHOUSE_URL
  const url = new URL(given || settings?.url || LOCAL)
  if (url.username !== '' || url.password !== '') return url.href
  const user: { user: string; password: Secret } | undefined =
    settings?.[role] ?? (role === 'admin' ? settings?.ingest : undefined)
  if (user) {
    url.username = user.user
    url.password = encodeURIComponent(await secrets.read(user.password))
  }
  return url.href
}
