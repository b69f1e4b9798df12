/** From which columns outputs derive, however a statement is written. The table only grows. */
import fc from 'fast-check'
import { constantsOf } from './constants'
import { statementKey } from './lexer'
import {
  createResolver,
  type Provenance,
  type RelationFacts,
  type Relations,
  type Resolved,
} from './provenance'
import { analyse, loadParser, unanalysed } from './statements'

interface More {
  by?: string
  flows?: string[]
  code?: boolean
  constants?: string[]
  parameters?: string[]
  defers?: string
  makes?: string
}

/**
 * [statement, its outputs, what else it does]. A column stands for what derives from it, `=` for the value itself, `?` for what
 * is not known; `*` comes before what all outputs together derive from, where their number is not known. A constant has its
 * ordinal and the columns it meets, `!` where it is a secret.
 */
const TABLE: [sql: string, outputs: string, more?: More][] = [
  ['select 1', ''],
  ["select 'x', null, true, $1::text", ' |  |  | '],
  ['select email from customers', 'customers.email='],
  ['select email from public.customers', 'customers.email='],
  ['select public.customers.email from customers', 'customers.email='],
  ['select db.public.customers.email from customers', 'customers.email='],
  ['select c.email from customers as c', 'customers.email='],
  ['select customers.email from customers as c', '?'],
  [
    'select * from customers',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  [
    'select c.*, 1 from customers c',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | ',
  ],
  [
    'select *, email from customers',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | customers.email=',
  ],
  ['select email e, name as "E" from customers', 'customers.email= | customers.name='],
  [
    'select email::text, email::varchar, cast(email as name), email::citext from customers',
    'customers.email= | customers.email= | customers.email= | customers.email=',
  ],
  [
    'select email::varchar(3), email::char(2), email::int, email::text[], email::regclass from customers',
    'customers.email | customers.email | customers.email | customers.email | customers.email',
  ],
  ['select email collate "C" from customers', 'customers.email='],
  [
    'select email::own_type from customers',
    'customers.email?',
    { flows: ['type own_type < customers.email='], code: true },
  ],
  [
    "select upper(email), email || 'x', 'a' || name from customers",
    'customers.email | customers.email | customers.name',
    { constants: ['0 customers.email', '1 customers.name'] },
  ],
  ['select pg_catalog.upper(email) from customers', 'customers.email'],
  [
    'select public.upper(email) from customers',
    'customers.email?',
    { flows: ['function public.upper < customers.email'], code: true },
  ],
  [
    "select email = 'x', email is null, email is not null, not (email = 'x'), email is true from customers",
    'customers.email |  |  | customers.email | customers.email',
    { constants: ['0 customers.email', '1 customers.email'] },
  ],
  [
    "select email in ('a', 'b'), email between 'a' and 'b', email like 'x', email is distinct from name from customers",
    'customers.email | customers.email | customers.email | customers.email customers.name',
    {
      constants: [
        '0 customers.email',
        '1 customers.email',
        '2 customers.email',
        '3 customers.email',
        '4 customers.email',
      ],
    },
  ],
  [
    'select email <<< name from customers',
    'customers.email customers.name?',
    { flows: ['operator <<< < customers.email customers.name'], code: true },
  ],
  [
    "select case when country = 'x' then email else name end, case email when 'x' then 1 end from customers",
    'customers.country customers.email customers.name | customers.email',
    { constants: ['0 customers.country', '1 customers.email'] },
  ],
  [
    "select coalesce(email, 'x'), nullif(email, name), greatest(email, name), least(email, 'x') from customers",
    'customers.email | customers.email customers.name | customers.email customers.name | customers.email',
    { constants: ['0 customers.email', '1 customers.email'] },
  ],
  [
    'select (email, name), row(email), array[email, name], array[[email], [name]] from customers',
    'customers.email customers.name | customers.email | customers.email customers.name | customers.email customers.name',
  ],
  [
    'select (array[email])[1], (email::text[])[1:2] from customers',
    'customers.email | customers.email',
    { constants: ['0 customers.email', '1 customers.email', '2 customers.email'] },
  ],
  [
    'select count(*), count(email), count(distinct email) from customers',
    ' |  | ',
    { by: 'customers.email' },
  ],
  [
    "select sum(id), max(email), string_agg(email, ',' order by name) from customers",
    'customers.id | customers.email | customers.email',
    { by: 'customers.name', constants: ['0 customers.email'] },
  ],
  [
    "select count(*) filter (where email = 'x') from customers",
    '',
    { by: 'customers.email', constants: ['0 customers.email'] },
  ],
  [
    "select percentile_disc(0.5) within group (order by email), rank('x') within group (order by name) from customers",
    'customers.email | ',
    { constants: ['0 customers.email'] },
  ],
  [
    'select row_number() over (partition by country order by email), rank() over w, ntile(4) over w from customers window w as (order by name)',
    ' |  | ',
    { by: 'customers.country customers.email customers.name' },
  ],
  [
    'select first_value(email) over (order by name), lag(email, 1, name) over (), count(*) over (partition by email) from customers',
    'customers.email | customers.email customers.name | ',
    { by: 'customers.email customers.name', constants: ['0 customers.email customers.name'] },
  ],
  [
    'select row_number(c) from customers c',
    'customers.country customers.data customers.email customers.id customers.name customers.tags',
  ],
  [
    'select grouping(country), country from customers group by rollup (country)',
    ' | customers.country=',
    { by: 'customers.country' },
  ],
  [
    "select exists (select 1 from orders where note = 'x')",
    '',
    { by: 'orders.note', constants: ['1 orders.note'] },
  ],
  [
    'select (select email from customers limit 1), array(select email from customers)',
    'customers.email= | customers.email',
  ],
  [
    'select id in (select customer_id from orders), id = any (select id from orders), (id, name) = (select id, note from orders) from customers',
    'customers.id orders.customer_id | customers.id orders.id | customers.id customers.name orders.id orders.note',
  ],
  [
    'select (select note from orders o where o.customer_id = c.id) from customers c',
    'orders.note=',
    { by: 'customers.id orders.customer_id' },
  ],
  ['select (select c.email) from customers c', 'customers.email='],
  ['select (select email from orders) from customers', 'customers.email='],
  ['select (select id from orders) from customers', 'orders.id='],
  [
    'select c from customers c',
    'customers.country customers.data customers.email customers.id customers.name customers.tags',
  ],
  [
    'select customers from customers',
    'customers.country customers.data customers.email customers.id customers.name customers.tags',
  ],
  ['select (c).email from customers c', 'customers.email='],
  [
    'select (c).* from customers c',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  ['select (c.data).k, (data).k from customers c', 'customers.data | customers.data'],
  [
    'select row(c.*) from customers c',
    'customers.country customers.data customers.email customers.id customers.name customers.tags',
  ],
  [
    'select to_json(c), row_to_json(c.*) from customers c',
    'customers.country customers.data customers.email customers.id customers.name customers.tags | customers.country customers.data customers.email customers.id customers.name customers.tags',
  ],
  ['select count(c), count(c.*) from customers c', ' | '],
  [
    'select c.upper, c.nothing from customers c',
    'customers.country customers.data customers.email customers.id customers.name customers.tags? | customers.country customers.data customers.email customers.id customers.name customers.tags?',
    {
      flows: [
        'function upper < customers.country customers.data customers.email customers.id customers.name customers.tags',
        'function nothing < customers.country customers.data customers.email customers.id customers.name customers.tags',
      ],
      code: true,
    },
  ],
  [
    'select email(c), name(c) from customers c',
    'customers.country customers.data customers.email customers.id customers.name customers.tags? | customers.country customers.data customers.email customers.id customers.name customers.tags',
    {
      flows: [
        'function email < customers.country customers.data customers.email customers.id customers.name customers.tags',
      ],
      code: true,
    },
  ],
  [
    'select trusted(email), own_f(email), s.own_g(email), not_known(email) from customers',
    'customers.email | customers.email? | customers.email? | customers.email?',
    {
      flows: [
        'function own_f < customers.email',
        'function s.own_g < customers.email',
        'function not_known < customers.email',
      ],
      code: true,
    },
  ],
  ['select own_f(1)', '?', { code: true, constants: ['0 ?'] }],
  [
    'select now(), current_date, current_timestamp(3), current_user, version(), random(), pg_backend_pid()',
    ' |  |  |  |  |  | ',
  ],
  ["select nextval('s'), currval('s'), lastval(), gen_random_uuid()", ' |  |  | '],
  [
    "select setval('s', id), pg_advisory_lock(id) from customers",
    'customers.id | customers.id',
    {
      flows: ['function setval < customers.id', 'function pg_advisory_lock < customers.id'],
      constants: ['0 customers.id'],
    },
  ],
  [
    'select pg_typeof(email), pg_column_size(email), length(email) from customers',
    ' | customers.email | customers.email',
  ],
  [
    "select current_setting('timezone'), current_setting('a.b'), current_setting(email), current_setting('application_name') from customers",
    ' | ? | customers.email? | ?',
    { flows: ['function current_setting < customers.email'], constants: ['1 ?', '2 ?'] },
  ],
  [
    "select query_to_xml('select 1', true, true, ''), pg_read_file('x'), lo_get(1), ts_stat('select 1')",
    '? | ? | ? | ?',
    { code: true, constants: ['0 ?', '1 ?', '2 ?', '3 ?', '4 ?'] },
  ],
  [
    "select pg_get_viewdef('v'), pg_get_functiondef(1), obj_description(1), col_description(1, 2)",
    ' |  |  | ',
  ],
  [
    "select pg_notify('c', email), set_config('a.b', email, true) from customers",
    'customers.email? | customers.email?',
    {
      flows: ['function pg_notify < customers.email', 'function set_config < customers.email'],
      code: true,
      constants: ['0 customers.email?', '1 customers.email?'],
    },
  ],
  [
    'select a, b from (select email as a, name as b from customers) x',
    'customers.email= | customers.name=',
  ],
  [
    'select x.* from (select email as a, name as b from customers) x',
    'customers.email= | customers.name=',
  ],
  [
    'select c, d from (select email, name from customers) x(c, d)',
    'customers.email= | customers.name=',
  ],
  [
    'select c, name from (select email, name from customers) x(c)',
    'customers.email= | customers.name=',
  ],
  ['select email from (select email from customers) x(c)', '?'],
  [
    'select upper, "?column?", "case" from (select upper(email), email || \'\', case when true then name end from customers) x',
    'customers.email | customers.email | customers.name',
    { constants: ['0 customers.email'] },
  ],
  ['select n from customers c(i, n)', 'customers.name='],
  [
    'select * from customers join orders using (id)',
    'customers.id orders.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | orders.customer_id= | orders.note=',
    { by: 'customers.id orders.id' },
  ],
  [
    'select id from customers left join orders using (id)',
    'customers.id orders.id=',
    { by: 'customers.id orders.id' },
  ],
  [
    'select id from customers full join orders using (id)',
    'customers.id orders.id=',
    { by: 'customers.id orders.id' },
  ],
  [
    'select * from customers natural join orders',
    'customers.id orders.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | orders.customer_id= | orders.note=',
    { by: 'customers.id orders.id' },
  ],
  [
    'select customers.id, orders.id from customers join orders using (id)',
    'customers.id= | orders.id=',
    { by: 'customers.id orders.id' },
  ],
  [
    'select x.id from customers join orders using (id) as x',
    'customers.id orders.id=',
    { by: 'customers.id orders.id' },
  ],
  [
    'select j.email, j.note from (customers join orders on true) j',
    'customers.email= | orders.note=',
  ],
  ['select c.email from (customers c join orders on true) j', '?'],
  [
    'select * from customers, orders',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | orders.id= | orders.customer_id= | orders.note=',
  ],
  [
    'select o.*, c.name from customers c cross join orders o',
    'orders.id= | orders.customer_id= | orders.note= | customers.name=',
  ],
  [
    'select * from customers c left join lateral (select o.note, c.email from orders o where o.id = c.id) l on true',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | orders.note= | customers.email=',
    { by: 'customers.id orders.id' },
  ],
  ['select l.e from customers c, lateral (select c.email as e) l', 'customers.email='],
  ['select l.e from customers c, (select c.email as e) l', '?'],
  ['select g from generate_series(1, 3) g', ''],
  [
    'select g.g, c.name from customers c, generate_series(1, c.id) g',
    'customers.id | customers.name=',
    { constants: ['0 customers.id'] },
  ],
  [
    'select t, u.* from customers c, unnest(c.tags) t, unnest(c.tags) u(x)',
    'customers.tags | customers.tags',
  ],
  [
    'select t.tag, t.n from customers c, unnest(c.tags) with ordinality as t(tag, n)',
    'customers.tags | customers.tags',
  ],
  [
    'select e.key, e.value, value from customers c, jsonb_each(c.data) e',
    'customers.data | customers.data | customers.data',
  ],
  ['select value from customers c, jsonb_array_elements(c.data) x', 'customers.data'],
  ['select r.a from customers c, jsonb_to_record(c.data) as r(a int, b text)', 'customers.data'],
  [
    'select r.* from customers c, jsonb_to_record(c.data) as r(a int, b text)',
    'customers.data | customers.data',
  ],
  [
    'select a, b, n from customers c, rows from (unnest(c.tags), generate_series(1, 2)) with ordinality as r(a, b, n)',
    'customers.tags | customers.tags | customers.tags',
  ],
  ['select * from own_f(1)', '?', { code: true, constants: ['0 ?'] }],
  [
    'select x.a, email from customers, own_f(1) x',
    '? | customers.email=',
    { code: true, constants: ['0 ?'] },
  ],
  ['select a, nothing from own_f(1) as x(a int)', '? | ?', { code: true, constants: ['0 ?'] }],
  [
    "select j.a, j.o from customers c, json_table(c.data, '$[*]' columns (a text path '$.a', o for ordinality, nested path '$.b' columns (b int))) j",
    'customers.data | ',
    { constants: ['0 customers.data', '1 customers.data', '2 customers.data'] },
  ],
  [
    "select x.v, x.o from customers c, xmltable('/a' passing c.data columns v text, o for ordinality) x",
    'customers.data | ',
    { constants: ['0 customers.data'] },
  ],
  [
    "select json_object('a': email), json_array(email, name), json_arrayagg(email order by name), json_objectagg(id: email) from customers",
    'customers.email | customers.email customers.name | customers.email | customers.email customers.id',
    { by: 'customers.name', constants: ['0 customers.email'] },
  ],
  [
    "select json_array(select email from customers), json_value(data, '$.a'), json_query(data, '$.a'), json_exists(data, '$.a'), data is json from customers",
    'customers.email | customers.data | customers.data | customers.data | customers.data',
    { constants: ['0 customers.data', '1 customers.data', '2 customers.data'] },
  ],
  [
    'select json_scalar(email), json_serialize(data), json(email) from customers',
    'customers.email | customers.data | customers.email',
  ],
  [
    'select xmlelement(name a, xmlattributes(email as b), name), xmlforest(email), xmlconcat(data), xmlserialize(document data as text) from customers',
    'customers.email customers.name | customers.email | customers.data | customers.data',
  ],
  [
    'select * from customers tablesample bernoulli (10)',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  [
    'select * from customers tablesample own_method (10)',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
    { code: true },
  ],
  [
    'select email from customers union select note from orders',
    'customers.email orders.note=',
    { by: 'customers.email orders.note' },
  ],
  ["select id, email from customers union all select 1, 'x'", 'customers.id | customers.email'],
  [
    'select email from customers except select note from orders',
    'customers.email orders.note=',
    { by: 'customers.email orders.note' },
  ],
  [
    'select email from customers union all select note, id from orders',
    '* customers.email orders.id orders.note',
  ],
  ["values (1, 'x'), (2, (select email from customers))", ' | customers.email'],
  [
    'table customers',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  ['with x as (select email from customers) select * from x', 'customers.email='],
  ['with x(a) as (select email from customers) select a from x', 'customers.email='],
  ['with customers as (select 1 as email) select email from customers', ''],
  ['with x as (select email from customers) select * from public.x', '* ?'],
  [
    'with x as (select email from customers), y as (select email as z from x) select z from y',
    'customers.email=',
  ],
  [
    'with recursive x(a, b) as (select email, name from customers union all select b, a from x) select a from x',
    'customers.email customers.name=',
  ],
  ['with recursive x as (select 1 as n union all select n + 1 from x) select n from x', ''],
  ['with recursive x as (select x.email from x) select * from x', '?'],
  [
    'with recursive x(a) as (select email from customers union select a from x) search breadth first by a set o cycle a set c using p select * from x',
    'customers.email= | customers.email | customers.email | customers.email',
    { by: 'customers.email' },
  ],
  [
    'with x as (insert into t (a) select email from customers returning a, b) select * from x',
    'customers.email t.a= | t.b=',
    { flows: ['insert t.a < customers.email='] },
  ],
  [
    'with x as (delete from t returning *) insert into orders (note) select a from x',
    'none',
    { flows: ['insert orders.note < t.a='] },
  ],
  ['select * from v', 'customers.email | customers.name=', { by: 'customers.country' }],
  ['select e from v', 'customers.email', { by: 'customers.country' }],
  ['select * from mv', 'customers.email', { by: 'customers.country' }],
  [
    'select * from deep',
    'customers.email | orders.note=',
    { by: 'customers.country customers.email orders.note' },
  ],
  ['select * from looping', '?'],
  ['select * from broken', '* customers.email?'],
  ['select * from twice', 's1.twice.a s2.twice.a= | s1.twice.b s2.twice.b='],
  ['select a from twice', 's1.twice.a s2.twice.a='],
  ['select * from s1.twice', 's1.twice.a= | s1.twice.b='],
  ['select * from other', '* s1.other.x s2.other.x s2.other.y'],
  ['select x from other', 's1.other.x s2.other.x='],
  ['select * from nowhere', '* ?'],
  ['select a, email from nowhere, customers', '? | customers.email='],
  ['select relname from pg_class', ''],
  ['select * from pg_class', '* '],
  ['select * from pg_stat_activity', '* ?'],
  ['select pid, query, a.query from pg_stat_activity a', ' | ? | ?'],
  ['select setting, name from pg_settings', '? | '],
  ['select most_common_vals, attname from pg_catalog.pg_stats', '? | '],
  ['select rolpassword from pg_authid', '?'],
  ['select column_name from information_schema.columns', ''],
  ['select option_value from information_schema.user_mapping_options', '?'],
  ['select pg_class from pg_class, customers', ''],
  ['select ctid, xmin, c.tableoid from customers c', ' |  | '],
  ['select email, ctid from customers order by xmin', 'customers.email= | '],
  [
    "insert into t values (1, 'x', $1)",
    'none',
    { constants: ['0 t.a', '1 t.b'], parameters: ['1 t.c'] },
  ],
  [
    "insert into t (c, a) values ('x', default) returning *",
    't.a= | t.b= | t.c=',
    { constants: ['0 t.c'] },
  ],
  [
    'insert into t (a) select email from customers',
    'none',
    { flows: ['insert t.a < customers.email='] },
  ],
  [
    'insert into t select * from customers',
    'none',
    {
      flows: [
        'insert t.null < customers.country customers.data customers.email customers.id customers.name customers.tags',
      ],
    },
  ],
  [
    "insert into t as x (a) values ('v') on conflict (a) where b = 'w' do update set b = excluded.a || x.c where x.c = 'y' returning a, x.b",
    't.a= | t.a t.b t.c',
    {
      by: 't.a t.b t.c',
      flows: ['on conflict t.b < t.a t.c'],
      constants: ['0 t.a t.b t.c', '1 t.b', '2 t.c'],
    },
  ],
  [
    'insert into t values ((select email from customers), 2)',
    'none',
    { flows: ['insert t.a < customers.email='], constants: ['0 t.b'] },
  ],
  [
    'insert into nowhere select email from customers',
    'none',
    { flows: ['insert nowhere.null < customers.email='] },
  ],
  [
    'insert into twice (a) select email from customers',
    'none',
    { flows: ['insert twice.a < customers.email=', 'insert twice.a < customers.email='] },
  ],
  [
    "update t set a = 'x', b = b || 'y' where c = 'z' returning a, t.*",
    't.a= | t.a= | t.b= | t.c=',
    { by: 't.c', flows: ['update t.b < t.b'], constants: ['0 t.a', '1 t.b', '2 t.c'] },
  ],
  [
    'update t set (a, b) = (select email, name from customers) returning a, b, c',
    'customers.email t.a= | customers.name t.b= | t.c=',
    { flows: ['update t.a < customers.email=', 'update t.b < customers.name='] },
  ],
  [
    "update t set (a, b) = ('x', c)",
    'none',
    { flows: ['update t.b < t.c='], constants: ['0 t.a'] },
  ],
  [
    'update t as x set a = c.email from customers c where c.id = x.b returning x.a, c.name',
    'customers.email t.a= | customers.name=',
    { by: 'customers.id t.b', flows: ['update t.a < customers.email='] },
  ],
  [
    'update t set a = 1 returning old.a, new.a, old.*',
    't.a= | t.a= | t.a= | t.b= | t.c=',
    { constants: ['0 t.a'] },
  ],
  ['update t set a = 1 returning with (old as o) o.b', 't.b=', { constants: ['0 t.a'] }],
  [
    "delete from t where a = 'x' returning *",
    't.a= | t.b= | t.c=',
    { by: 't.a', constants: ['0 t.a'] },
  ],
  [
    'delete from t using customers c where c.id = t.a and c.email = $2 returning c.email',
    'customers.email=',
    { by: 'customers.email customers.id t.a', parameters: ['2 customers.email'] },
  ],
  [
    "merge into t using customers c on c.id = t.a when matched and c.country = 'x' then update set b = c.email when not matched then insert (a, c) values (c.id, 'k')",
    'none',
    {
      by: 'customers.country customers.id t.a',
      flows: ['merge t.a < customers.id=', 'merge t.b < customers.email='],
      constants: ['0 customers.country', '1 t.c'],
    },
  ],
  [
    'merge into t using customers c on c.id = t.a when not matched then insert values (c.id, c.name) returning merge_action(), t.b, c.email',
    ' | customers.name t.b= | customers.email=',
    { by: 'customers.id t.a', flows: ['merge t.a < customers.id=', 'merge t.b < customers.name='] },
  ],
  [
    'copy customers to stdout',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  ['copy customers (name, email) to stdout', 'customers.name= | customers.email='],
  ['copy (select email from customers) to stdout', 'customers.email='],
  [
    "copy customers to '/tmp/x'",
    'none',
    {
      flows: [
        'copy to a file < customers.country customers.data customers.email customers.id customers.name customers.tags',
      ],
    },
  ],
  [
    "copy customers to program 'x'",
    'none',
    {
      flows: [
        'copy to a program < customers.country customers.data customers.email customers.id customers.name customers.tags',
      ],
    },
  ],
  [
    'copy customers from stdin',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  ['copy customers (email) from stdin', 'customers.email='],
  ['copy nowhere to stdout', '* ?'],
  ['declare k cursor for select email from customers', 'customers.email=', { makes: 'cursor k' }],
  ['fetch 10 from k', '* ?', { defers: 'cursor k' }],
  ['move k', 'none', { defers: 'cursor k' }],
  [
    'prepare p as select email from customers where id = $1',
    'customers.email=',
    { by: 'customers.id', parameters: ['1 customers.id'], makes: 'prepared p' },
  ],
  ["execute p('x', 1)", '* ?', { code: true, constants: ['0 ?', '1 ?'], defers: 'prepared p' }],
  [
    "explain select email from customers where name = 'x'",
    '',
    { by: 'customers.name', constants: ['0 customers.name'] },
  ],
  ['explain analyze select email from customers', ''],
  [
    'explain analyze insert into t (a) select email from customers',
    '',
    { flows: ['insert t.a < customers.email='] },
  ],
  [
    'explain (analyze) create table n as select email from customers',
    '',
    { flows: ['create table n.email < customers.email='] },
  ],
  ['show timezone', ''],
  ['show a.b', '?'],
  ['show all', ' | ? | '],
  ["set a.password = 'x'", 'none', { constants: ['0!'] }],
  ["set timezone = 'UTC'", 'none'],
  ["alter role r set x.token to 'y'", 'none', { constants: ['0!'] }],
  [
    'create table n as select email, name as x from customers',
    'none',
    { flows: ['create table n.email < customers.email=', 'create table n.x < customers.name='] },
  ],
  [
    'create table n (p, q) as select email, name from customers',
    'none',
    { flows: ['create table n.p < customers.email=', 'create table n.q < customers.name='] },
  ],
  ['create table n as execute p', 'none', { flows: ['create table n.null < ?'], code: true }],
  ['create table n as select * from nowhere', 'none', { flows: ['create table n.null < ?'] }],
  [
    'select email into n from customers',
    'none',
    { flows: ['select into n.email < customers.email='] },
  ],
  [
    "create view n as select email from customers where name = 'x'",
    'none',
    { by: 'customers.name', constants: ['0 customers.name'] },
  ],
  ['create materialized view n as select email from customers', 'none'],
  ["create role r password 'x' valid until 'y'", 'none', { constants: ['0!'] }],
  ["alter user r with encrypted password 'x'", 'none', { constants: ['0!'] }],
  [
    "create user mapping for r server s options (user 'u', password 'p')",
    'none',
    { constants: ['0!', '1!'] },
  ],
  [
    "create server s foreign data wrapper f options (host 'h', password 'p')",
    'none',
    { constants: ['0!', '1!'] },
  ],
  [
    "create subscription s connection 'host=x password=y' publication p",
    'none',
    { constants: ['0!'] },
  ],
  ["create function f() returns int language sql as 'select 1'", 'none', { constants: ['0 ?'] }],
  ["do 'begin end'", 'none', { code: true, constants: ['0 ?'] }],
  ["call p(1, 'x')", '* ?', { code: true, constants: ['0 ?', '1 ?'] }],
  ['begin', 'none'],
  ['create table n (a int default own_f())', 'none', { code: true }],
  ['alter table t alter column a type text using b', 'none', { flows: ['alter table t.a < t.b='] }],
  [
    'alter table t add column n text generated always as (a || b) stored',
    'none',
    { flows: ['alter table t.n < t.a t.b'] },
  ],
  [
    "select crypt('x', 'y'), hmac(email, 'k', 'sha256'), dblink_connect('password=x') from customers",
    '? | customers.email? | ?',
    {
      flows: ['function hmac < customers.email'],
      code: true,
      constants: ['0! ?', '1! ?', '2! customers.email?', '3! customers.email?', '4! ?'],
    },
  ],
  [
    "select * from customers where email = 'x' and country = 'y' or name like $1",
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
    {
      by: 'customers.country customers.email customers.name',
      constants: ['0 customers.email', '1 customers.country'],
      parameters: ['1 customers.name'],
    },
  ],
  [
    "select * from customers where lower(email) = lower('X') and id in (1, 2, -3)",
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
    {
      by: 'customers.email customers.id',
      constants: ['0 customers.email', '1 customers.id', '2 customers.id', '3 customers.id'],
    },
  ],
  [
    "select * from customers where (email, name) in (('a', 'b'))",
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
    {
      by: 'customers.email customers.name',
      constants: ['0 customers.email customers.name', '1 customers.email customers.name'],
    },
  ],
  [
    "select * from customers where email = (select 'x')",
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
    { by: 'customers.email', constants: ['0 customers.email'] },
  ],
  [
    "select * from customers join (values ('x'), ('y')) v(e) on v.e = email",
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data= | ',
    { by: 'customers.email', constants: ['0 customers.email', '1 customers.email'] },
  ],
  [
    'select * from customers where email = any ($1) limit $2',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
    { by: 'customers.email', parameters: ['1 customers.email'] },
  ],
  [
    "select email from customers where starts_with(email, 'x') order by 1",
    'customers.email=',
    { by: 'customers.email', constants: ['0 customers.email'] },
  ],
  [
    "select country from customers group by 1 having max(email) > 'x'",
    'customers.country=',
    { by: 'customers.country customers.email', constants: ['1 customers.email'] },
  ],
  ['select distinct email from customers', 'customers.email=', { by: 'customers.email' }],
  [
    'select distinct on (country) email from customers',
    'customers.email=',
    { by: 'customers.country' },
  ],
  [
    'select email from customers order by name, upper(country)',
    'customers.email=',
    { by: 'customers.country customers.name' },
  ],
  [
    'select email as name from customers order by name',
    'customers.email=',
    { by: 'customers.email customers.name' },
  ],
  [
    "select email from customers limit (select count(*) from orders where note = 'x')",
    'customers.email=',
    { by: 'orders.note', constants: ['0 orders.note'] },
  ],
  [
    "select 1 from customers c where c.email <<< 'x'",
    '',
    {
      by: 'customers.email?',
      flows: ['operator <<< < customers.email'],
      code: true,
      constants: ['1 customers.email?'],
    },
  ],
  [
    'select * from customers natural join nowhere',
    '* customers.country customers.data customers.email customers.id customers.name customers.tags?',
    {
      by: 'customers.country customers.data customers.email customers.id customers.name customers.tags?',
    },
  ],
  [
    'select * from customers join nowhere using (id)',
    '* customers.country customers.data customers.email customers.id customers.name customers.tags?',
    { by: 'customers.id?' },
  ],
  ['select email from customers cross join pg_class', 'customers.email='],
  ['select t.* from t, t as u', 't.a= | t.b= | t.c='],
  ['select x.a from t as x(a), t as y where y.a = x.a', 't.a=', { by: 't.a' }],
  ['select (select (select email from orders)) from customers', 'customers.email='],
  [
    'select * from (select * from nowhere, customers) x',
    '* customers.country customers.data customers.email customers.id customers.name customers.tags?',
  ],
  ['select y from (select * from nowhere) x(y)', '?'],
  ['select sum(id) over (rows between 1 preceding and current row) from customers', 'customers.id'],
  [
    "select e from customers, unnest(tags) as e where e = 'x'",
    'customers.tags',
    { by: 'customers.tags', constants: ['0 customers.tags'] },
  ],
  [
    'select array_agg(x) from (select email, 1 from customers) x',
    'customers.email',
    { constants: ['0 customers.email'] },
  ],
  ['select x.email from (select c.*, o.note from customers c, orders o) x', 'customers.email='],
  [
    'select (x.c).email from (select c from customers c) x',
    'customers.country customers.data customers.email customers.id customers.name customers.tags',
  ],
  [
    "select string_agg(x::text, ',') from (select name from customers) x",
    'customers.name',
    { constants: ['0 customers.name'] },
  ],
  ['select mode() within group (order by email) from customers', 'customers.email'],
  [
    'select max(email) from customers union all select min(note) from orders order by 1',
    'customers.email orders.note',
    { by: 'customers.email orders.note' },
  ],
  [
    '(select email from customers) intersect all (select note from orders) limit 1',
    'customers.email orders.note=',
    { by: 'customers.email orders.note' },
  ],
  [
    'select * from customers for update',
    'customers.id= | customers.name= | customers.email= | customers.country= | customers.tags= | customers.data=',
  ],
  [
    "select e'a\\'b', u&'x', b'01', x'ff', $$a$$, $q$b$q$, 1.5e3, .5 from customers where email = $z$y$z$",
    ' |  |  |  |  |  |  | ',
    { by: 'customers.email', constants: ['8 customers.email'] },
  ],
  [
    "select 'a'\n  'b', email = 'c' from customers",
    ' | customers.email',
    { constants: ['1 customers.email'] },
  ],
  [
    "select email /* 'x' /* nested 'y' */ */ = 'z' -- 'w'\nfrom customers",
    'customers.email',
    { constants: ['0 customers.email'] },
  ],
  ['select "o\'d" from (select email as "o\'d" from customers) x', 'customers.email='],
  ["notify c, 'x'", 'none'],
  ['truncate t', 'none'],
  ['lock table t', 'none'],
  ['vacuum t', 'none'],
  ['grant select on t to r', 'none'],
  ['set search_path = a, b', 'none'],
  ['deallocate p', 'none'],
  ['close k', 'none'],
  ["create index on t (lower(a)) where b = 'x'", 'none', { constants: ['0 ?'] }],
  ['refresh materialized view mv', 'none'],
  ['import foreign schema s from server x into y', 'none'],
  ['select c.own_f, c.relname from pg_class c', '? | ', { code: true }],
  ['select email from customers order by 1 using >', 'customers.email=', { by: 'customers.email' }],
  [
    'select email from customers order by name using <<<',
    'customers.email=',
    { by: 'customers.name?', flows: ['operator <<< < customers.name'], code: true },
  ],
  [
    'select string_agg(email, name order by country using <) from customers',
    'customers.email customers.name',
    { by: 'customers.country' },
  ],
  ['with customers as (select * from customers) select email from customers', 'customers.email='],
  ['select e from (select 1 as email) a, lateral (select email as e) b, customers', ''],
  [
    'explain (analyze false) insert into t (a) select email from customers',
    '',
    { flows: ['insert t.a < customers.email='] },
  ],
  ["alter system set primary_conninfo = 'password=x'", 'none', { constants: ['0!'] }],
  ["select set_config('my.token', 'x', true)", '?', { code: true, constants: ['0! ?', '1! ?'] }],
]

let relations: Relations

beforeAll(async () => {
  await loadParser()
  const definition = (sql: string) => analyse(sql).statements[0]!.lineage
  const all: RelationFacts[] = [
    stored('public.customers', 'id name email country tags data'),
    stored('public.orders', 'id customer_id note'),
    stored('public.t', 'a b c'),
    stored('s1.twice', 'a b'),
    stored('s2.twice', 'a b'),
    stored('s1.other', 'x'),
    stored('s2.other', 'y x'),
    {
      ...stored('public.v', 'e n'),
      definition: definition("select upper(email), name from customers where country = 'x'"),
    },
    { ...stored('public.mv', 'e'), definition: definition('select e from v') },
    {
      ...stored('public.deep', 'x y'),
      definition: definition('select mv.e, o.note from mv join orders o on o.note = mv.e'),
    },
    { ...stored('public.looping', 'x'), definition: definition('select x from looping') },
    { ...stored('public.broken', 'x y'), definition: definition('select email from customers') },
  ]
  relations = {
    find: (schema, name) =>
      all.filter((one) => one.name === name && (schema === null || one.schema === schema)),
    isOwnFunction: (name) => name.includes('own_'),
    isOwnOperator: (name) => name === '<<<',
    isOwnType: (name) => name.includes('own_'),
    isTrustedFunction: (name) => name === 'trusted',
  }
})

function stored(name: string, columns: string): RelationFacts {
  const [schema, relation] = name.split('.') as [string, string]
  return { schema, name: relation, columns: columns.split(' '), definition: null }
}

function shown({ sources, exact, unknown }: Provenance): string {
  const names = sources.map(
    (one) => `${one.schema === 'public' ? '' : `${one.schema}.`}${one.relation}.${one.column}`,
  )
  return names.sort().join(' ') + (exact ? '=' : '') + (unknown === null ? '' : '?')
}

function resolved(sql: string): Resolved {
  const { statements } = analyse(sql)
  expect(statements).toHaveLength(1)
  return createResolver(relations).statement(statements[0]!.lineage)
}

function more(one: Resolved): More {
  const found: More = {}
  const predicates = shown(one.predicates)
  if (predicates !== '') found.by = predicates
  if (one.flows.length > 0)
    found.flows = one.flows.map(
      ({ to, from }) =>
        `${to.via}${to.relation === null ? '' : ` ${to.relation}.${to.column}`} < ${shown(from)}`,
    )
  if (one.code !== null) found.code = true
  const places = (list: readonly { at: number; to: Provenance; secret: boolean }[]) =>
    list.map(({ at, to, secret }) => `${at}${secret ? '!' : ''} ${shown(to)}`.trim())
  if (one.constants.length > 0)
    found.constants = places(one.constants.map((it) => ({ ...it, at: it.ordinal })))
  if (one.parameters.length > 0)
    found.parameters = places(one.parameters.map((it) => ({ ...it, at: it.number })))
  if (one.defers) found.defers = `${one.defers.kind} ${one.defers.name}`
  if (one.makes) found.makes = `${one.makes.kind} ${one.makes.name}`
  return found
}

test.each(TABLE.map(([sql, outputs, expected]) => [sql, outputs, expected ?? {}] as const))(
  '%s',
  (sql, outputs, expected) => {
    const one = resolved(sql)
    expect(one.unresolved).toBeNull()
    expect(
      one.outputs === null
        ? `* ${shown(one.whole)}`
        : one.outputs.length === 0
          ? 'none'
          : one.outputs.map(shown).join(' | '),
    ).toBe(outputs)
    expect(more(one)).toEqual(expected)
  },
)

describe('what a statement reads', () => {
  test.each([
    ['select * from deep', 'public.customers public.deep public.mv public.orders public.v'],
    ['select 1 from nowhere, s.nowhere', 'nowhere s.nowhere'],
    ['insert into t values (1)', ''],
    ['insert into t values (1) returning a', 'public.t'],
    ['with x as (select 1) select * from x', ''],
    ['select * from twice', 's1.twice s2.twice'],
    ['select * from pg_class', 'pg_catalog.pg_class'],
  ])('%s', (sql, reads) => {
    expect([...resolved(sql).reads].sort().join(' ')).toBe(reads)
  })
})

test('what was not analysed is not known', () => {
  const { statement } = createResolver(relations)
  const one = statement(unanalysed('for a reason').lineage)
  expect(one).toMatchObject({ outputs: null, unresolved: 'for a reason', code: 'for a reason' })
  expect(one.whole.unknown).toBe('for a reason')
  expect(one.predicates.unknown).toBe('for a reason')
  expect(statement(analyse('select from where').statements[0]!.lineage).unresolved).toMatch('')
})

test('statements of one string have constants of their own', () => {
  const sql = "select 'é'; update t set a = 'x', b = 2 where c = 'y'; alter role r password 'z'"
  const bytes = Buffer.from(sql)
  const { statement } = createResolver(relations)
  const found = analyse(sql).statements.map(({ start, end, lineage }) =>
    statement(lineage).constants.map(({ ordinal, to, secret }) => {
      const range = constantsOf(bytes, start, end)[ordinal]!
      return `${bytes.toString('utf8', range.start, range.end)} ${secret ? '!' : shown(to)}`
    }),
  )
  expect(found).toEqual([[], ["'x' t.a", '2 t.b', "'y' t.c"], ["'z' !"]])
})

test('statements that share an analysis have the same lineage', () => {
  let shared = 0
  for (const [sql] of TABLE) {
    const other = sql.replace(/(?<![\w.$])\d+(?![\w.])/g, (digits) => String(Number(digits) + 8))
    const key = (text: string) => statementKey(Buffer.from(text), 0, Buffer.byteLength(text))
    if (other === sql || key(other) !== key(sql)) continue
    shared++
    expect(analyse(other).statements[0]!.lineage).toEqual(analyse(sql).statements[0]!.lineage)
  }
  expect(shared).toBeGreaterThan(20)
})

describe('columns of a relation', () => {
  test('through views', () => {
    const { column } = createResolver(relations)
    const of = (relation: string, name: string) =>
      shown(column(relations.find(null, relation)[0]!, name))
    expect(of('customers', 'email')).toBe('customers.email=')
    expect(of('v', 'e')).toBe('customers.email')
    expect(of('v', 'n')).toBe('customers.name=')
    expect(of('deep', 'x')).toBe('customers.email')
    expect(of('deep', 'y')).toBe('orders.note=')
    expect(of('looping', 'x')).toBe('?')
    expect(of('broken', 'y')).toBe('customers.email?')
    expect(of('customers', 'nothing')).toBe('?')
  })

  test('through views of views of views, each of which reads the one before twice', () => {
    const definition = (sql: string) => analyse(sql).statements[0]!.lineage
    const views: RelationFacts[] = Array.from({ length: 60 }, (_, i) => ({
      ...stored(`public.v${i}`, 'x y'),
      definition:
        i === 0
          ? definition('select email, name from customers')
          : definition(`select a.y, b.x from v${i - 1} a, v${i - 1} b`),
    }))
    const { column } = createResolver({
      ...relations,
      find: (schema, name) => {
        const found = views.filter((one) => one.name === name)
        return found.length > 0 ? found : relations.find(schema, name)
      },
    })
    expect(shown(column(views[59]!, 'x'))).toBe('customers.name=')
  })
})

describe('statements that are too much', () => {
  test.each([
    ['deep brackets', `select ${'('.repeat(3000)}email${')'.repeat(3000)} from customers`],
    ['a long sum', `select ${'id + '.repeat(5000)}id from customers`],
    [
      'a long conjunction',
      `select email from customers where ${"email = 'x' and ".repeat(5000)}true`,
    ],
    ['deep functions', `select ${'upper('.repeat(2500)}email${')'.repeat(2500)} from customers`],
    [
      'deep queries',
      `${'select * from ('.repeat(500)}select email from customers${') x'.repeat(500)}`,
    ],
    [
      'many unions',
      `select email from customers${' union all select note from orders'.repeat(3000)}`,
    ],
    ['many values', `insert into t values ${Array(20_000).fill("(1, 'x', null)").join(', ')}`],
    [
      'recursion within recursion',
      `${Array.from({ length: 12 }, (_, i) => `with recursive r${i}(a, b, c) as (select 'x', 'y', email from customers union all select * from (`).join(' ')}select 1, 2, 3${Array.from({ length: 12 }, (_, i) => `) x${i} union all select b, c, a from r${11 - i}) select * from r${11 - i}`).join(' ')}`,
    ],
    [
      'joins of joins',
      `select * from ${Array.from({ length: 400 }, (_, i) => `customers c${i}`).join(' natural join ')}`,
    ],
  ])('%s', (_, sql) => {
    const start = performance.now()
    const { statements } = analyse(sql)
    const one = createResolver(relations).statement(statements[0]!.lineage)
    const clean = one.whole.unknown === null && one.whole.sources.length === 0
    expect(clean).toBe(sql.startsWith('insert'))
    expect(performance.now() - start).toBeLessThan(20_000)
  })
})

describe('constants of a text', () => {
  test.each([
    ["select 'a', 'b''c'", ["'a'", "'b''c'"]],
    ["select E'a\\'b', e'\\\\', 'x'", ["E'a\\'b'", "e'\\\\'", "'x'"]],
    [
      "select U&'\\0041' uescape '!', u&\"x'y\", B'01', x'fF', n'z'",
      ["U&'\\0041'", "'!'", "B'01'", "x'fF'", "'z'"],
    ],
    ["select 'a'\n  'b' , 'c' 'd'", ["'a'\n  'b'", "'c'", "'d'"]],
    ["select 'a' -- x\n -- 'y'\n 'b'", ["'a' -- x\n -- 'y'\n 'b'"]],
    ['select $$a$b$$, $q$b$$c$q$, $1, $12, a$b$c', ['$$a$b$$', '$q$b$$c$q$']],
    [
      'select 1, 1.5, .5, 1., 1e9, 1.5e-3, 0xFF, 1_000, a1, -7, 1..2',
      ['1', '1.5', '.5', '1.', '1e9', '1.5e-3', '0xFF', '1_000', '7', '1', '.2'],
    ],
    ["select /* 'a' /* 1 */ 2 */ 3 -- 'b' 4\n, 5", ['3', '5']],
    ['select "a\'1", "b""2", 3', ['3']],
    ["select 'never closed", ["'never closed"]],
    ['select $x$ never', ['$x$ never']],
    ['select "never 1', []],
    ['select /* never 1', []],
    ['select \'é\', "ü", ü1, 2', ["'é'", '2']],
    ['', []],
  ] as [string, string[]][])('%s', (sql, expected) => {
    const bytes = Buffer.from(`;${sql};'z'`)
    const [start, end] = [1, bytes.length - 4]
    expect(
      constantsOf(bytes, start, end).map((one) => bytes.toString('utf8', one.start, one.end)),
    ).toEqual(expected)
  })

  test('a backslash escapes where standard_conforming_strings is off', () => {
    const bytes = Buffer.from("select 'a\\'b', 'c'")
    expect(constantsOf(bytes, 0, bytes.length, false)).toHaveLength(2)
    expect(constantsOf(bytes, 0, bytes.length)).toHaveLength(3)
  })

  test('any bytes: in order, within the text', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            "'",
            '"',
            '$',
            '$a$',
            'e',
            'U&',
            '\\',
            '--',
            '/*',
            '*/',
            '\n',
            ' ',
            '1',
            '.',
            'x',
            '-',
            'é',
          ),
          { maxLength: 40 },
        ),
        (parts) => {
          const bytes = Buffer.from(parts.join(''))
          let before = 0
          for (const { start, end } of constantsOf(bytes, 0, bytes.length)) {
            expect(start).toBeGreaterThanOrEqual(before)
            expect(end).toBeGreaterThan(start)
            expect(end).toBeLessThanOrEqual(bytes.length)
            before = end
          }
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('texts that share an analysis have the same ordinals', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            'email',
            ' = ',
            ',',
            '(',
            ')',
            ' ',
            '.',
            '-',
            '+',
            'a1',
            '1e',
            '_',
            'N',
            'N',
            'N',
            'N',
          ),
          { maxLength: 20 },
        ),
        fc.array(fc.nat(), { minLength: 2, maxLength: 20 }),
        (parts, numbers) => {
          const text = (from: number) => {
            let at = from
            return Buffer.from(
              `select ${parts.map((one) => (one === 'N' ? numbers[at++ % numbers.length] : one)).join('')}`,
            )
          }
          const [a, b] = [text(0), text(1)]
          if (statementKey(a, 0, a.length) !== statementKey(b, 0, b.length)) return
          expect(constantsOf(a, 0, a.length)).toHaveLength(constantsOf(b, 0, b.length).length)
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('the parser’s own constants are found where it says', () => {
    const { constants } = resolved("select 1 from t where a = 'é' and b = -2 and c = 3.5 and 4 < a")
    expect(constants.map(({ ordinal, to }) => `${ordinal} ${shown(to)}`)).toEqual([
      '1 t.a',
      '2 t.b',
      '3 t.c',
      '4 t.a',
    ])
  })
})
