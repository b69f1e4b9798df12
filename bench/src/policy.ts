/**
 * What deciding costs: a statement of a shape that the session has had (all but the first of each minute), and one of a new
 * shape, by how many policies there are. In one process, without a network: what a command waits for beyond being recorded.
 */

import { decide, loadPolicies, type PolicySet } from '@custody/policy'
import { analyse, loadParser } from '@custody/postgres-sql'
import { Gate } from '@custody/proxy'
import type { Table } from './measure'

export interface PolicyOptions {
  rounds: number
  progress(line: string): void
}

const STATEMENTS = [
  'select id, name from customers where id = 1',
  'select c.name, o.total from customers c join orders o on o.customer = c.id where o.placed > now() order by 2 limit 10',
  'update orders set status = $1 where id = $2',
  'with gone as (delete from carts where expired returning *) insert into archive select * from gone',
]
const TEMPLATES = [
  'allow-everything',
  'no-destructive-without-approval',
  'no-write-without-where',
  'business-hours',
]
const WARM = 200_000
const COLD = 300

function policies(more: number): PolicySet {
  const text = Array.from(
    { length: more },
    (_, i) =>
      `@id("own-${i}") permit (principal in Group::"team${i}", action in Action::"sql:read", resource) when { context.tables.contains("table${i}") && context.time.hour < 20 };`,
  ).join('\n')
  return loadPolicies(
    [{ name: 'own.cedar', text }],
    TEMPLATES.map((use) => ({ use })),
  )
}

export async function benchPolicy(o: PolicyOptions, table: Table): Promise<string[]> {
  await loadParser()
  const facts = STATEMENTS.map((sql) => analyse(sql).statements[0]!)
  const principal = {
    subject: 'ada',
    issuer: 'https://id.example.com',
    email: 'ada@example.com',
    kind: 'human',
    method: 'oidc',
    groups: ['team1', 'team2', 'oncall'],
    authenticatedMs: Date.now(),
  }
  const resource = { name: 'orders', protocol: 'postgres', labels: { env: 'prod' } }
  const recorder = { problem: null, refusedCommands: 0 } as ConstructorParameters<typeof Gate>[0]
  for (const more of [0, 46, 196]) {
    const set = policies(more)
    const name = `${set.policies.size} policies`
    const gate = new Gate(recorder, { current: set, timeZone: 'UTC' }).open({
      principal,
      resource,
      sourceAddress: '10.0.0.1',
      application: 'psql',
      database: 'shop',
    })
    for (let round = 0; round < o.rounds; round++) {
      for (const one of facts) gate.decide(one)
      const started = process.hrtime.bigint()
      for (let i = 0; i < WARM; i++) gate.decide(facts[i & 3]!)
      table.add(
        'a shape that the session had',
        name,
        'µs',
        Number(process.hrtime.bigint() - started) / WARM / 1000,
      )
      const times: number[] = []
      for (let i = 0; i < COLD; i++) {
        const from = process.hrtime.bigint()
        decide(set, principal, resource, facts[i & 3]!, {
          nowMs: Date.now(),
          sourceAddress: '10.0.0.1',
        })
        times.push(Number(process.hrtime.bigint() - from) / 1000)
      }
      times.sort((a, b) => a - b)
      table.add('a new shape, median', name, 'µs', times[COLD >> 1]!)
      table.add('a new shape, 99th of a hundred', name, 'µs', times[Math.floor(COLD * 0.99)]!)
    }
    o.progress(name)
  }
  return ['four statements with one to four actions each, in turn']
}
