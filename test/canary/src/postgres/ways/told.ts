/** Ways in which the client says a value itself: it may know it, the record may not have it. */
import {
  bind,
  copyData,
  copyDone,
  copyFail,
  describe,
  execute,
  parse,
  query,
  sync,
} from '@custody/parity'
import { toldCanary } from '../../values'
import { grouped, type PostgresWay, type Unsorted } from './ways'

/** `V` stands for a value that is this way's own. */
const says = (name: string, ...sql: string[]): Unsorted => {
  const { value } = toldCanary(name)
  return {
    name,
    told: true,
    async run(to) {
      const c = await to.raw()
      for (const one of sql) await c.query(one.replaceAll('V', value))
    },
  }
}

const saysIn = (
  name: string,
  run: (value: string) => Unsorted['run'],
  o: Partial<Unsorted> = {},
): Unsorted => ({ name, told: true, run: run(toldCanary(name).value), ...o })

const statements: Unsorted[] = [
  says('compared', "select id from canary.customers where email = 'V'"),
  says('compared, the other way round', "select id from canary.customers where 'V' = name"),
  says('compared in a list', "select id from canary.customers where phone in ('x', 'V')"),
  says('compared by like', "select id from canary.customers where name like '%V%'"),
  says('compared by a regular expression', "select id from canary.customers where secret ~ '^V'"),
  says('compared in a range', "select id from canary.customers where name between 'V' and 'z'"),
  says('compared with a cast', "select id from canary.customers where name = 'V'::varchar"),
  says(
    'compared through a function',
    "select id from canary.customers where upper(name) = upper('V')",
  ),
  says('compared in a view', "select id from canary.people where email = 'V'"),
  says(
    'compared in a join',
    "select o.id from canary.orders o join canary.customers c on c.email = 'V'",
  ),
  says(
    'compared in a subquery',
    "select 1 where exists (select from canary.customers where card_number = 'V')",
  ),
  says(
    'compared with a field of a document',
    "select id from canary.customers where notes->>'note' = 'V'",
  ),
  says(
    'compared with a document',
    `select id from canary.customers where notes @> '{"note": "V"}'`,
  ),
  says('compared with an array', "select id from canary.customers where tags @> array['V']"),
  says('compared with a composite', "select id from canary.customers where (address).street = 'V'"),
  says(
    'compared in a check of a case',
    "select case when email = 'V' then 1 end from canary.customers",
  ),
  says('compared, dollar quoted', 'select id from canary.customers where email = $x$V$x$'),
  says('compared, with escapes', "select id from canary.customers where email = E'V\\n'"),
  says('compared, Unicode escapes', "select id from canary.customers where email = U&'V\\0041'"),
  says('compared, continued', "select id from canary.customers where email = 'V'\n'x'"),
  says(
    'inserted',
    "begin; insert into canary.customers (id, name, email) values (60, 'x', 'V'); rollback",
  ),
  says(
    'inserted without a list of columns',
    "begin; insert into canary.customers values (60, 'V', 'x'); rollback",
  ),
  says(
    'inserted by a select',
    "begin; insert into canary.customers (id, name) select 60, 'V'; rollback",
  ),
  says(
    'inserted, several rows',
    "begin; insert into canary.customers (id, name) values (61, 'x'), (62, 'V'); rollback",
  ),
  says(
    'inserted or updated',
    "begin; insert into canary.customers (id, name) values (1, 'x') on conflict (id) do update set secret = 'V'; rollback",
  ),
  says('updated', "begin; update canary.customers set secret = 'V' where id = 1; rollback"),
  says(
    'updated, several columns',
    "begin; update canary.customers set (name, phone) = ('x', 'V') where id = 1; rollback",
  ),
  says(
    'merged',
    "begin; merge into canary.customers c using (values (70, 'V')) v(id, n) on c.id = v.id when not matched then insert (id, name) values (v.id, v.n); rollback",
  ),
  says('deleted by', "begin; delete from canary.customers where email = 'V'; rollback"),
  says('a row constructor', "select id from canary.customers where (name, email) = ('x', 'V')"),
  says(
    'a prepared statement of SQL',
    "prepare p as select id from canary.customers where email = 'V'",
    'execute p',
  ),
  says(
    'an argument of execute',
    'prepare p (text) as select id from canary.customers where email = $1',
    "execute p ('V')",
  ),
  says(
    'a cursor',
    "begin; declare c cursor for select id from canary.customers where email = 'V'; fetch all c; rollback",
  ),
  says('explained', "explain select id from canary.customers where email = 'V'"),
  says(
    'explained, in its plan',
    "explain (verbose) select id from canary.customers where name = 'V'",
  ),
  says('in a block', "do $$ begin perform id from canary.customers where email = 'V'; end $$"),
  says('in a wrong statement', "select id from canary.customers where email = 'V' and"),
  says('in a wrong statement, unterminated', "select id from canary.customers where email = 'V"),
  says('in a statement that fails', "select id, 1/0 from canary.customers where email <> 'V'"),
  says('of a column that is not there', "select nothing from canary.customers where email = 'V'"),
  says('of a wrong type', "select id from canary.customers where account = 'V'"),
  says(
    'unique',
    "begin; insert into canary.customers (id, name, email) values (80, 'x', 'V'), (81, 'x', 'V'); rollback",
  ),
  says(
    'in the failing row',
    "begin; insert into canary.customers (id, email) values (80, 'V'); rollback",
  ),
  says('the password of a role', "begin; create role told_one password 'V'; rollback"),
  says(
    'the password of a role, changed',
    "begin; create role told_two; alter role told_two with encrypted password 'V'; rollback",
  ),
  says(
    'the password of a user mapping',
    "begin; create extension postgres_fdw; create server s foreign data wrapper postgres_fdw; create user mapping for current_user server s options (user 'u', password 'V'); rollback",
  ),
  says(
    'the password of a subscription',
    "create subscription s connection 'host=127.0.0.1 port=1 password=V' publication p with (connect = false, slot_name = none)",
    'alter subscription s disable; drop subscription s',
  ),
  says(
    'the password of dblink',
    'begin; create extension dblink',
    "select dblink_connect('host=127.0.0.1 port=1 password=V')",
    'rollback',
  ),
  says('copied by a query', "copy (select id from canary.customers where email = 'V') to stdout"),
  says(
    'a default of a masked column',
    "begin; alter table canary.customers alter email set default 'V'; rollback",
  ),
  says(
    'a check of a masked column',
    "begin; alter table canary.customers add check (email <> 'V'); rollback",
  ),
  says(
    'a partition bound of a masked column',
    "begin; create table canary.pt (email text) partition by list (email); create table canary.pt1 partition of canary.pt for values in ('V'); rollback",
  ),
  says(
    'an index on a part',
    "begin; create index on canary.customers (id) where email = 'V'; rollback",
  ),
  says(
    'a view',
    "begin; create view canary.vv as select id from canary.customers where email = 'V'; rollback",
  ),
]

const protocol: Unsorted[] = [
  saysIn('a parameter', (value) => async (to) => {
    const c = await to.raw()
    await c.send(
      parse('select id from canary.customers where email = $1'),
      bind([value]),
      describe('P'),
      execute(),
      sync(),
    )
    await c.ready()
  }),
  saysIn('a parameter as binary', (value) => async (to) => {
    const c = await to.raw()
    await c.send(
      parse('select id from canary.customers where email = $1'),
      bind([value], { formats: [1] }),
      execute(),
      sync(),
    )
    await c.ready()
  }),
  saysIn('a parameter of a named statement', (value) => async (to) => {
    const c = await to.raw()
    await c.send(
      parse('select id from canary.customers where name = $1', 's'),
      describe('S', 's'),
      sync(),
    )
    await c.ready()
    await c.send(bind([value], { statement: 's' }), execute(), sync())
    await c.ready()
  }),
  saysIn('a parameter that is an array', (value) => async (to) => {
    const c = await to.raw()
    await c.send(
      parse('select id from canary.customers where email = any($1)'),
      bind([`{x,${value}}`]),
      execute(),
      sync(),
    )
    await c.ready()
  }),
  saysIn('a parameter that is inserted', (value) => async (to) => {
    const c = await to.raw()
    await c.query('begin')
    await c.send(
      parse('insert into canary.customers (id, name, secret) values ($1, $2, $3)'),
      bind(['90', 'x', value]),
      execute(),
      sync(),
    )
    await c.ready()
    await c.query('rollback')
  }),
  saysIn('a parameter that updates', (value) => async (to) => {
    const c = await to.raw()
    await c.query('begin')
    await c.send(
      parse('update canary.customers set phone = $1 where id = $2'),
      bind([value, '1']),
      execute(),
      sync(),
    )
    await c.ready()
    await c.query('rollback')
  }),
  saysIn('a parameter that fails', (value) => async (to) => {
    const c = await to.raw()
    await c.send(
      parse('select id from canary.customers where account = $1'),
      bind([value]),
      execute(),
      sync(),
    )
    await c.ready()
  }),
  saysIn('a literal in the extended protocol', (value) => async (to) => {
    const c = await to.raw()
    await c.send(
      parse(`select id from canary.customers where email = '${value}'`),
      bind(),
      execute(),
      sync(),
    )
    await c.ready()
  }),
  saysIn('copied in', (value) => async (to) => {
    const c = await to.raw()
    await c.query('begin')
    await c.send(query('copy canary.customers (id, name, email) from stdin'))
    await c.until(({ type }) => type === 'G' || type === 'E')
    await c.send(copyData(`91\tx\t${value}\n`), copyDone())
    await c.ready()
    await c.query('rollback')
  }),
  saysIn('copied in, across messages', (value) => async (to) => {
    const c = await to.raw()
    await c.query('begin')
    await c.send(query('copy canary.customers (id, name) from stdin csv'))
    await c.until(({ type }) => type === 'G' || type === 'E')
    await c.send(copyData(`92,${value.slice(0, 9)}`), copyData(`${value.slice(9)}\n`), copyDone())
    await c.ready()
    await c.query('rollback')
  }),
  saysIn('copied in, and failing', (value) => async (to) => {
    const c = await to.raw()
    await c.send(query('copy canary.customers (id, name) from stdin'))
    await c.until(({ type }) => type === 'G' || type === 'E')
    await c.send(copyData(`x\t${value}\n`), copyDone())
    await c.ready()
  }),
  saysIn('copied in, and given up', (value) => async (to) => {
    const c = await to.raw()
    await c.send(query('copy canary.customers (id, name) from stdin'))
    await c.until(({ type }) => type === 'G' || type === 'E')
    await c.send(copyData(`93\t${value}\n`), copyFail(value))
    await c.ready()
  }),
  saysIn('inserted by node-postgres', (value) => async (to) => {
    const c = await to.client()
    await c.query('begin')
    await c.query('insert into canary.customers (id, name, email) values ($1, $2, $3)', [
      94,
      'x',
      value,
    ])
    await c.query('rollback')
  }),
  saysIn('bound by psql', (value) => async (to) => {
    await to.psql(['-c', `select id from canary.customers where email = '${value}'`])
  }),
  saysIn('copied by psql', (value) => async (to) => {
    await to.psql(
      ['-c', 'begin', '-c', '\\copy canary.customers (id, name) from stdin', '-c', 'rollback'],
      `95\t${value}\n\\.\n`,
    )
  }),
  saysIn('a password by psql', (value) => async (to) => {
    await to.psql(['-c', `begin; create role told_three password '${value}'; rollback`])
  }),
]

export const TOLD: PostgresWay[] = grouped('what the client says', statements, protocol)
