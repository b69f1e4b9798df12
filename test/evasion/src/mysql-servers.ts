/**
 * What MySQL's own server needs said otherwise than MariaDB's: what attempts are made at, and what shows that one had an effect.
 * Attempts that are no SQL to it do nothing there, and are counted so.
 */
import { MYSQL_FIXTURE, type MysqlAttempt, type MysqlStep } from './mysql-attempts'
import { MYSQL_SHOP } from './mysql-ordinary'

const SEQUENCES = [10, 20, 60, 200, 400]
/** What it has no like of. */
const MARIADBS = /create sequence|create aggregate function|nextval\(|execute immediate/

/** `sql`: one statement a line, as MariaDB takes it. */
function ofMysql(sql: string): string {
  return [
    // MariaDB has them as tables of an engine of their own.
    ...SEQUENCES.map(
      (n) =>
        `create table seq_1_to_${n} as with recursive s as (select 1 as seq union all select seq + 1 from s where seq < ${n}) select seq from s;`,
    ),
    ...sql.split('\n').filter((line) => !MARIADBS.test(line)),
  ].join('\n')
}

export const SHOP_OF_MYSQL = ofMysql(MYSQL_SHOP)
export const FIXTURE_OF_MYSQL = [
  ofMysql(MYSQL_FIXTURE),
  // Their names are free there.
  ...['md5', 'sha1'].map(
    (name) =>
      `create function ${name}(x int) returns int modifies sql data begin delete from victim; return 1; end;`,
  ),
  'create procedure run_text(t text) begin set @run = t; prepare run from @run; execute run; end;',
].join('\n')

const STATES: [of: string, mysql: string][] = [
  [
    'mysql.global_priv',
    "select md5(group_concat(host, user, authentication_string, plugin, account_locked, select_priv, super_priv, ifnull(user_attributes, '') order by host, user)) from mysql.user",
  ],
  [
    'information_schema.global_variables',
    "select md5(group_concat(variable_name, variable_value order by variable_name)) from performance_schema.global_variables where variable_name not like 'gtid%'",
  ],
  [
    'mysql.table_stats',
    "select (select group_concat(variable_name, variable_value) from performance_schema.persisted_variables), (select group_concat(component_urn) from mysql.component), (select group_concat(resource_group_name) from information_schema.resource_groups), (select group_concat(from_user, to_user) from mysql.role_edges), (select group_concat(user, priv order by user, priv) from mysql.global_grants), (select group_concat(table_name, column_name, extra order by table_name, column_name) from information_schema.columns where table_schema = 'attack'), (select group_concat(constraint_name, enforced order by table_name, constraint_name) from information_schema.table_constraints where table_schema = 'attack')",
  ],
  [
    'information_schema.global_status',
    "select variable_value from performance_schema.global_status where variable_name = 'Com_flush'",
  ],
]

/** The same question, or the one that asks MySQL for what is meant. */
export function stateOfMysql(sql: string): string {
  const asked = STATES.find(([of]) => sql.includes(of))?.[1] ?? sql
  // There a number is no position, and orders nothing; and there is no md5, whose place the text itself takes.
  return asked
    .replaceAll('md5(', 'upper(')
    .replace(/group_concat\((.*?) order by 1\)/g, "group_concat($1 order by concat_ws('.', $1))")
}

const latin1 = (text: string) => Buffer.from(text, 'latin1')

const BY_WORDS: [name: string, effect: MysqlAttempt['effect'], undo: string, ...MysqlStep[]][] = [
  [
    'in a comment of a version that MariaDB leaves out',
    'victim',
    '',
    '/*!90000 delete from victim */',
  ],
  ['in one of six digits', 'victim', '', '/*!090700 delete from victim */'],
  ['its last word in such a comment', 'victim', '', 'delete from /*!80000 victim */'],
  ['behind a common table', 'victim', '', 'with v as (select 1) delete from victim'],
  [
    'an update behind one',
    'victim',
    '',
    "with v as (select 3 as n) update victim join v on true set note = 'x'",
  ],
  ['a table as a statement, into a file', 'file', '', "table victim into outfile 'FILE'"],
  ['rows as a statement, into a file', 'file', '', "values row(1, 2) into outfile 'FILE'"],
  ['a function that is explained as it runs', 'victim', '', 'explain analyze select wipe()'],
  ['so in a tree', 'victim', '', 'explain analyze format=tree select wipe() from other'],
  ['a view that is', 'victim', '', 'explain analyze select * from sneakiest'],
  ['a function by a name that was built in once', 'victim', '', 'select md5(1)'],
  ['the same, prepared', 'victim', '', { prepare: 'select id from other where sha1(id) = 1' }],
  ['a function among rows', 'victim', '', 'select * from (values row(wipe())) v'],
  ['a function in values', 'victim', '', 'values row(wipe(), 1)'],
  [
    'a function beside what it stands for',
    'victim',
    '',
    'select * from other, lateral (select wipe_of(other.id) as w) l',
  ],
  [
    'a function behind JSON',
    'victim',
    '',
    "select * from json_table('[1]', '$[*]' columns (a int path '$')) j where wipe() = a",
  ],
  [
    'a function behind a hint',
    'victim',
    '',
    'select /*+ qb_name(a) max_execution_time(1000) */ wipe()',
  ],
  ['a function, but not those of another', 'victim', '', 'select wipe() except select 5'],
  ['a function, and those of another', 'victim', '', '(select wipe()) intersect (select 1)'],
  [
    'a function over a window',
    'victim',
    '',
    'select sum(wipe_of(id)) over w from other window w as (order by id)',
  ],
  [
    'a function, skipping what is locked',
    'victim',
    '',
    'select wipe_of(id) from other for update skip locked',
  ],
  ['a function in the order', 'victim', '', 'select id from other order by wipe_of(id)'],
  [
    'a statement by a procedure of the server’s own',
    'victim',
    '',
    "call sys.execute_prepared_stmt('delete from attack.victim')",
  ],
  [
    'a database by one',
    'state',
    'drop database if exists fresh',
    "call sys.create_synonym_db('attack', 'fresh')",
  ],
  [
    'a setting for good',
    'state',
    'reset persist; set global max_connections = 400',
    'set persist max_connections = 77',
  ],
  [
    'a setting from the next start on',
    'state',
    'reset persist',
    'set persist_only max_connections = 77',
  ],
  [
    'a setting, by its other name',
    'state',
    'reset persist; set global max_connections = 400',
    'set @@persist.max_connections = 77',
  ],
  [
    'roles that all have',
    'state',
    "set global mandatory_roles = ''",
    "set global mandatory_roles = 'boss'",
  ],
  ['a role for somebody', 'state', 'revoke boss from outsider', 'grant boss to outsider'],
  [
    'a right of a newer kind',
    'state',
    'revoke system_variables_admin on *.* from outsider',
    'grant system_variables_admin on *.* to outsider',
  ],
  [
    'a component',
    'state',
    "uninstall component 'file://component_query_attributes'",
    "install component 'file://component_query_attributes'",
  ],
  [
    'a part of the record, hidden',
    'state',
    '',
    'alter table victim alter column note set invisible',
  ],
  [
    'a check that nobody checks',
    'state',
    '',
    'alter table victim add constraint fresh check (id > 0) not enforced',
  ],
  ['a view that others write through', 'state', '', 'create view fresh as table victim'],
  [
    'half a character of gb18030',
    'victim',
    '',
    'set names gb18030',
    latin1("select '\xbf\\'; delete from victim; -- '"),
  ],
  [
    'the same in one text with it',
    'victim',
    '',
    latin1('set names gb18030; select 1'),
    latin1("select '\x81\\' as a; delete from victim; -- '"),
  ],
  [
    'by the name of its database, in dollars',
    'victim',
    '',
    'select 1 as `$$`; delete from victim; -- $$',
  ],
]

/** In words that MariaDB does not know, or takes for others. */
export const ATTEMPTS_OF_MYSQL: readonly MysqlAttempt[] = BY_WORDS.map(
  ([name, effect, undo, ...steps]) => ({
    ...{ name: `MySQL’s own: ${name}`, effect, steps, isOfMysql: true },
    ...(undo && { undo }),
  }),
)
