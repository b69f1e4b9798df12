/**
 * The two users that Custody itself has at a ClickHouse server, with no more rights than they need: ingest inserts and asks
 * what is there, query only reads. As SQL for an administrator to apply, and as the same thing for users.d.
 * Refuses to write a password: only its digest is in either.
 */
import { createHash } from 'node:crypto'
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client'
import { CustodyError } from '@custody/kit'
import { ddlSettings } from './migrations'
import type { Layout } from './render'
import { literal } from './request'

export interface User {
  role: 'ingest' | 'query'
  user: string
  password: string
}

interface Limit {
  setting: string
  value: string
  min: string
  max: string
}

const GiB = 1024 ** 3

/** What one question of the query role may cost. A question may ask for less, never for more, and never for no limit. */
const QUERY_LIMITS: Limit[] = [
  { setting: 'max_execution_time', value: '60', min: '1', max: '300' },
  limit('max_memory_usage', 4 * GiB),
  limit('max_result_rows', 2_000_000),
  limit('max_result_bytes', 256 * 1024 ** 2),
  limit('max_concurrent_queries_for_user', 64),
  limit('max_bytes_before_external_sort', 2 * GiB),
  limit('max_bytes_before_external_group_by', 2 * GiB),
]

function limit(setting: string, most: number): Limit {
  return { setting, value: String(most), min: '1', max: String(most) }
}

/** Changing a setting is permitted (clients need it), writing is not. */
const QUERY_READONLY = '2'
const INGEST_SETTINGS: [string, string][] = [['max_execution_time', '300']]

/** What each may do, as GRANT has it. Table functions that reach files or hosts need grants that none of them has. */
export const GRANTS: Record<User['role'], string[]> = {
  ingest: [
    'SELECT ON custody.*',
    'INSERT ON custody.events',
    'INSERT ON custody.events_local',
    // Whether an insert of its own still runs.
    'SELECT ON system.processes',
  ],
  query: ['SELECT ON custody.*', 'SHOW ON custody.*'],
}

/** What warehouse.admin needs, whoever makes it: for docs/warehouse.md and users.d. */
export const ADMIN_GRANTS = [
  'CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW ON custody.*',
  'ALTER TABLE, ALTER VIEW, OPTIMIZE, SELECT, INSERT, SHOW ON custody.*',
  'SELECT ON system.tables',
  'SELECT ON system.columns',
  'SELECT ON system.parts',
  'SELECT ON system.users',
  'CLUSTER ON *.*',
  'S3, FILE ON *.*',
]

export const profileOf = (role: User['role']) => `custody_${role}`
const digest = (password: string) => createHash('sha256').update(password).digest('hex')

/** Every statement may be repeated: it makes what is missing and sets what is there. */
export function userStatements(users: readonly User[], { cluster }: Layout = {}): string[] {
  const on = cluster ? ` ON CLUSTER ${cluster}` : ''
  return users.flatMap(({ role, user, password }) => {
    const profile = profileOf(role)
    const identified = `IDENTIFIED WITH sha256_hash BY ${literal(digest(password))} DEFAULT DATABASE custody SETTINGS PROFILE ${literal(profile)}`
    return [
      `CREATE SETTINGS PROFILE IF NOT EXISTS ${profile}${on}`,
      `ALTER SETTINGS PROFILE ${profile}${on} SETTINGS ${profileSettings(role)}`,
      `CREATE USER IF NOT EXISTS ${user}${on} ${identified}`,
      `ALTER USER ${user}${on} ${identified}`,
      // All at once in the place of what it had, so that there is no moment without.
      `GRANT${on} ${GRANTS[role].join(', ')} TO ${user} WITH REPLACE OPTION`,
    ]
  })
}

function profileSettings(role: User['role']): string {
  return role === 'ingest'
    ? INGEST_SETTINGS.map(([name, value]) => `${name} = ${value}`).join(', ')
    : [
        `readonly = ${QUERY_READONLY}`,
        ...QUERY_LIMITS.map(
          ({ setting, value, min, max }) => `${setting} = ${value} MIN ${min} MAX ${max}`,
        ),
      ].join(', ')
}

/** The same users for /etc/clickhouse-server/users.d, for those who keep users in files. */
export function usersXml(users: readonly User[], admin?: Omit<User, 'role'>): string {
  const indent = (lines: string[], by: number) => lines.map((line) => `${' '.repeat(by)}${line}`)
  const user = (name: string, password: string, profile: string, grants: string[]) => [
    `<${name}>`,
    `    <password_sha256_hex>${digest(password)}</password_sha256_hex>`,
    '    <networks><ip>::/0</ip></networks>',
    `    <profile>${profile}</profile>`,
    '    <quota>default</quota>',
    '    <default_database>custody</default_database>',
    '    <grants>',
    ...grants.map((grant) => `        <query>GRANT ${grant}</query>`),
    '    </grants>',
    `</${name}>`,
  ]
  const profile = (role: User['role']) => {
    const name = profileOf(role)
    if (role === 'ingest')
      return [
        `<${name}>`,
        ...INGEST_SETTINGS.map(([setting, value]) => `    <${setting}>${value}</${setting}>`),
        `</${name}>`,
      ]
    return [
      `<${name}>`,
      `    <readonly>${QUERY_READONLY}</readonly>`,
      ...QUERY_LIMITS.map(({ setting, value }) => `    <${setting}>${value}</${setting}>`),
      '    <constraints>',
      ...QUERY_LIMITS.map(
        ({ setting, min, max }) =>
          `        <${setting}><min>${min}</min><max>${max}</max></${setting}>`,
      ),
      '    </constraints>',
      `</${name}>`,
    ]
  }
  return [
    '<clickhouse>',
    '    <profiles>',
    ...indent(
      users.flatMap(({ role }) => profile(role)),
      8,
    ),
    '    </profiles>',
    '    <users>',
    ...indent(
      [
        ...users.flatMap(({ role, user: name, password }) =>
          user(name, password, profileOf(role), GRANTS[role]),
        ),
        ...(admin ? user(admin.user, admin.password, 'default', ADMIN_GRANTS) : []),
      ],
      8,
    ),
    '    </users>',
    '</clickhouse>',
    '',
  ].join('\n')
}

/** Makes the users and sets their passwords and rights. Leaves alone those that are kept in files. */
export async function applyUsers(
  client: ClickHouseClient,
  users: readonly User[],
  layout: Layout = {},
): Promise<{ kept: string[] }> {
  try {
    const result = await client.query({
      query:
        'SELECT name FROM system.users WHERE name IN {names:Array(String)} AND storage = {storage:String}',
      query_params: { names: users.map(({ user }) => user), storage: 'users_xml' },
      format: 'JSONEachRow',
    })
    const kept = (await result.json<{ name: string }>()).map(({ name }) => name)
    const own = users.filter(({ user }) => !kept.includes(user))
    for (const query of userStatements(own, layout))
      await client.command({ query, clickhouse_settings: ddlSettings(layout) })
    return { kept }
  } catch (cause) {
    if (!(cause instanceof ClickHouseError)) throw cause
    throw new CustodyError(
      'CUSTODY-STORE-004',
      `the warehouse's users can't be made: ${cause.message}`,
      { cause },
    )
  }
}
