/** Ways that MySQL's own server has and MariaDB's does not. */

import { bothProtocols, freshWays, type MysqlWay, text, ways } from './ways'
import { whileOthers } from './words'

const LOCKED = 'select * from customers where id = 1 for update'

export const WAYS_OF_MYSQL: readonly MysqlWay[] = [
  ...bothProtocols('MySQL’s own', [
    'table customers',
    ['a table in order', 'table customers order by name limit 2'],
    'values row((select name from customers where id = 1))',
    'select name from customers except select city from customers',
    '(select email from customers) intersect (select email from customers)',
    'with c as (table customers) select secret from c',
    'select d.n from orders o, lateral (select name as n from customers c where c.id = o.customer_id) d',
    "select j.v from customers, json_table(notes, '$' columns (v varchar(100) path '$.note')) j",
    "select json_value(notes, '$.note' returning char(100)) from customers",
    "select notes ->> '$.note' from customers",
    'select json_arrayagg(name) over () from customers limit 1',
    'select any_value(name) from customers group by id',
    "select regexp_substr(name, '.*') from customers",
    "select regexp_replace(secret, '^', 'x') from customers",
    'select first_value(name) over w from customers window w as (order by id)',
    'select /*+ no_merge(d) */ d.name from (select name from customers) d',
    'select /*!90000 name, */ id from customers',
    'select bin_to_uuid(uuid_to_bin(token)) from customers',
    'select name from customers for share skip locked',
    'select to_base64(name) from customers',
    'select cast(born as char) from customers',
    "select json_pretty(json_object('n', name)) from customers",
    "select json_storage_size(notes), json_unquote(json_extract(notes, '$.deep.list[1]')) from customers",
  ]),
  ...ways('MySQL’s own, beside rows', {
    'a plan kept in a variable': text(
      'explain format=json into @plan select * from orders where note = (select name from customers where id = 1)',
      'select @plan',
    ),
    histograms: text(
      "select histogram from information_schema.column_statistics where table_name = 'customers'",
    ),
    'locks of others': async (to) => {
      const client = await to.client()
      const other = await to.client()
      await other.query('begin').catch(() => {})
      await other.query("select * from customers where email > '' for update").catch(() => {})
      for (const sql of [
        'select lock_data from performance_schema.data_locks',
        'show engine innodb status',
      ])
        await client.query(sql).catch((error: Error) => to.sees(error.message))
      await other.query('rollback').catch(() => {})
    },
    'its own locks': text(
      'begin',
      LOCKED,
      'select * from performance_schema.data_locks',
      'rollback',
    ),
    'what was said last': text(
      'select name from customers where name = (select name from customers where id = 2)',
      'select sql_text from performance_schema.events_statements_history',
    ),
    'variables of the session': text(
      'select name into @n from customers where id = 1',
      'select * from performance_schema.user_variables_by_thread',
    ),
  }),
  ...ways('MySQL’s own, of others', {
    sessions: whileOthers('select current_statement from sys.session'),
    'sessions, raw': whileOthers('select current_statement from sys.x$session'),
    processes: whileOthers('select current_statement, last_statement from sys.processlist'),
    'samples of statements': whileOthers(
      'select query_sample_text from performance_schema.events_statements_summary_by_digest',
    ),
    'a long history': whileOthers(
      "update performance_schema.setup_consumers set enabled = 'YES' where name = 'events_statements_history_long'; select sql_text from performance_schema.events_statements_history_long; select sql_text from performance_schema.events_statements_current",
    ),
    transactions: whileOthers(
      'select trx_query from information_schema.innodb_trx; select processlist_info from performance_schema.threads',
    ),
    processes_of_the_schema: whileOthers('select info from performance_schema.processlist'),
    'the general log, all of it': whileOthers('table mysql.general_log'),
    'a plan of another session': async (to) => {
      const other = await to.besides()
      const [rows] = (await other.query(
        'select connection_id() as id, name from customers where id = 1',
      )) as unknown as [{ id: number; name: string }[]]
      const running = other
        .query('select sleep(1.5) from customers where plain <> ? limit 1', [rows[0]!.name])
        .catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 300))
      const client = await to.client()
      await client
        .query(`explain format=tree for connection ${rows[0]!.id}`)
        .catch((error: Error) => to.sees(error.message))
      await running
    },
  }),
  ...freshWays('MySQL’s own, copied', {
    'a table of a table': text('create table copied as table customers', 'table copied'),
    'by an alias of what is new': text(
      'insert into copies (id, body) values (1, (select name from customers where id = 1)) as new on duplicate key update body = new.body',
      'table copies',
    ),
    'by a row with an alias': text(
      'insert into words select name from customers where id = 1',
      'table words',
    ),
    'a view of a table': text('create view shown as table customers', 'table shown'),
    'a generated column': text(
      "alter table customers add column made varchar(100) as (concat('<', name, '>'))",
      'select made from customers',
    ),
    'an index over an expression': text(
      'create unique index expressed on customers ((upper(secret)))',
      "insert into customers (id, name, secret) select 60, 'x', secret from customers where id = 1",
    ),
  }),
]
