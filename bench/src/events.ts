/**
 * Events as a busy company makes them: sessions of people, jobs and agents over thirty days, each with statements and their
 * answers. The same seed gives the same shape; identifiers are fresh.
 */
import type { Path, Who } from '@custody/schemas'

const TABLES = [
  'customers',
  'cards',
  'payments',
  'orders',
  'invoices',
  'salaries',
  'tickets',
  'audit_log',
  'sessions',
  'products',
  'stock',
  'shipments',
  'refunds',
  'coupons',
  'reviews',
]
const VERBS = [
  'select',
  'select',
  'select',
  'select',
  'select',
  'select',
  'insert',
  'update',
  'delete',
]
const WORDS = [
  'refund',
  'chargeback',
  'overdue',
  'premium',
  'blocked',
  'escalated',
  'renewal',
  'trial',
  'fraud',
  'pending',
]

export const IDENTITIES = 300

export function whoOf(n: number): Who {
  return {
    subject: `person${n}`,
    issuer: 'https://id.example.com',
    email: `person${n}@example.com`,
    name: `Person ${n}`,
    groups: [`team${n % 12}`, 'engineering'],
    kind: n % 10 === 0 ? 'agent' : n % 7 === 0 ? 'service' : 'human',
    method: 'oidc',
    tokenId: null,
    authenticatedAt: null,
    onBehalfOf: [],
  }
}

export function pathOf(n: number, random: () => number): Path {
  return {
    clientAddress: `10.0.${n % 256}.${Math.floor(random() * 256)}`,
    clientPort: 40_000 + Math.floor(random() * 20_000),
    clientApplication: ['psql', 'DBeaver', 'app', 'metabase'][Math.floor(random() * 4)]!,
    clientTls: {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      serverName: null,
      peer: null,
    },
    via: [],
    gateway: 'office',
    gatewayAddress: '10.0.0.1:15432',
    agent: null,
    resource: ['orders', 'billing', 'people', 'warehouse'][n % 4]!,
    protocol: 'postgres',
    target: 'db.internal:5432',
    targetTls: null,
    account: 'custody',
    database: 'main',
  }
}

export interface Said {
  text: string
  verb: string
  table: string
}

export function statement(random: () => number): Said {
  const table = TABLES[Math.floor(random() ** 2 * TABLES.length)]!
  const verb = VERBS[Math.floor(random() * VERBS.length)]!
  const n = Math.floor(random() * 1_000_000)
  const word = WORDS[Math.floor(random() * WORDS.length)]!
  const rare = random() < 0.00002 ? ' /* incident-4711 */' : ''
  const text =
    verb === 'select'
      ? `SELECT id, status, created_at, amount FROM public.${table} WHERE id = ${n} AND note LIKE '%${word}%' ORDER BY created_at DESC LIMIT 50${rare}`
      : verb === 'insert'
        ? `INSERT INTO public.${table} (id, status, note) VALUES (${n}, 'new', '${word} ${n}')${rare}`
        : verb === 'update'
          ? `UPDATE public.${table} SET status = '${word}' WHERE id = ${n}${rare}`
          : `DELETE FROM public.${table} WHERE id = ${n}${rare}`
  return { text, verb: `sql:${verb}`, table: `public.${table}` }
}
