/**
 * Ways to change a MySQL server, or to take out what should stay in it, in disguise. Each is run without Custody first, and must
 * do what it claims there. The list only grows.
 */
import type { RawLogin, RawShape } from '@custody/test-support'
import { MYSQL_OWN } from './mysql-own-attempts'

/** One thing that a client sends. */
export type MysqlStep =
  /** COM_QUERY; a string is UTF-8. */
  | string
  | Buffer
  /** COM_STMT_PREPARE, and COM_STMT_EXECUTE with values as strings. */
  | { prepare: string | Buffer; values?: string[]; cursor?: boolean }
  /** A command of the protocol. */
  | { send: Buffer; shape?: RawShape }
  /** A text, and the client's file for when it is asked for one. */
  | { query: string; file: string }
  /** MariaDB's own client, with this as its script. */
  | { script: string }

export interface MysqlAttempt {
  name: string
  steps: MysqlStep[]
  /** The server is another afterwards; the table `victim` is; a file appeared; the answer holds what it should not. */
  effect: 'state' | 'victim' | 'file' | { shows: string }
  login?: Partial<RawLogin>
  /** By mysql2, with compression. */
  compressed?: boolean
  /** What the attempt leaves outside of its database. */
  undo?: string
  /** It must have its effect at MySQL's own server, and is not tried at MariaDB's. */
  isOfMysql?: boolean
}

/** Made before each attempt, by a superuser who wishes no good. */
export const MYSQL_FIXTURE = `
create table victim (id int primary key, note varchar(60));
insert into victim select seq, concat('note ', seq) from seq_1_to_10;
create table other (id int, note varchar(60));
insert into other values (1, 'x'), (2, 'y');
create table triggered (id int);
create trigger also after insert on triggered for each row delete from victim;
create sequence counter;
create sequence \`odd sequence\`;
create function wipe() returns int modifies sql data begin delete from victim; return 1; end;
create function wipe_of(x int) returns int modifies sql data begin delete from victim; return x; end;
create function calls_wipe() returns int reads sql data return wipe();
create function reads_a_view() returns int reads sql data return (select count(*) from other);
create function abs(x int) returns int modifies sql data begin delete from victim; return 1; end;
create aggregate function wipe_all(x int) returns int begin declare continue handler for not found return 1; delete from victim; loop fetch group next row; end loop; end;
create procedure wipe_procedure() delete from victim;
create procedure run_text(t text) execute immediate t;
create procedure \`count\`() delete from victim;
create view sneaky as select wipe() as w;
create view sneakier as select w + 1 as w from sneaky;
create view sneakiest as select * from other where id > (select w - 2 from sneakier);
create view spähen as select wipe() as w;
create view counting as select nextval(counter) as n;
create view qualified as select id, attack.abs(id) as a from other;
create table checked (id int, doubled int as (id * 2));
create event later on schedule every 1 day disable do delete from attack.victim;
`

const REASONS: [name: string, sql: string, undo?: string][] = [
  ['delete', 'delete from victim'],
  ['update', "update victim set note = 'gone'"],
  ['insert', "insert into victim values (99, 'new')"],
  ['insert set', "insert victim set id = 98, note = 'new'"],
  ['replace', "replace into victim values (1, 'other')"],
  ['upsert', "insert into victim values (1, 'a') on duplicate key update note = 'b'"],
  ['insert select', 'insert into victim select id + 50, note from other'],
  ['delete of several tables', 'delete victim from victim join other using (id)'],
  ['update of several tables', "update victim join other using (id) set victim.note = 'x'"],
  ['insert returning', "insert into victim values (97, 'new') returning id"],
  ['delete returning', 'delete from victim returning *'],
  ['truncate', 'truncate victim'],
  ['drop table', 'drop table victim'],
  ['alter table', 'alter table victim add column more int'],
  ['rename table', 'rename table victim to gone'],
  ['create table', 'create table fresh (a int)'],
  ['create table as', 'create table fresh as select * from victim'],
  ['create or replace', 'create or replace table victim (id int)'],
  ['create view', 'create view fresh as select * from victim'],
  ['create index', 'create index fresh on victim (note)'],
  ['create function', 'create function fresh() returns int return 1'],
  ['create procedure', 'create procedure fresh() select 1'],
  ['create trigger', 'create trigger fresh before insert on other for each row set @x = 1'],
  ['create event', 'create event fresh on schedule every 1 day disable do select 1'],
  ['create sequence', 'create sequence fresh'],
  ['create database', 'create database fresh', 'drop database if exists fresh'],
  ['create user', 'create user fresh', 'drop user if exists fresh'],
  ['grant', 'grant select on attack.* to boss', 'revoke all privileges, grant option from boss'],
  ['set global', 'set global max_connections = 77', 'set global max_connections = 151'],
  ['drop function', 'drop function wipe_of'],
  ['drop view', 'drop view sneaky'],
  ['nextval', 'select nextval(counter)'],
  ['next value for', 'select next value for counter'],
  ['setval', 'select setval(counter, 5000)'],
  ['function', 'select wipe()'],
  ['procedure', 'call wipe_procedure()'],
  ['flush', 'flush tables'],
]

const DML = /^(delete|update|insert|replace)/
const SELECTING = /^(delete|update|insert|replace|select|truncate|create table)/
const quotedText = (sql: string) => `'${sql.replaceAll("'", "''")}'`
const hexOf = (sql: string) => `x'${Buffer.from(sql).toString('hex')}'`

/** The same thing, written otherwise; where not all reasons fit, or are worth the time, those that do. */
const DISGUISES: [name: string, wrap: (sql: string) => MysqlStep[], fits?: RegExp][] = [
  ['plain', (sql) => [sql]],
  [
    'prepared by the protocol',
    (sql) => [{ prepare: sql }],
    /^(?!create (trigger|event|function|procedure))/,
  ],
  ['in an executable comment', (sql) => [`/*!${sql}*/`], SELECTING],
  [
    'in an executable comment of a version',
    (sql) => [`/*!50000 ${sql} */`],
    /^(delete|drop|select wipe)/,
  ],
  [
    'in an executable comment of six digits',
    (sql) => [`/*!100100 ${sql} */`],
    /^(delete|drop|set)/,
  ],
  [
    'in an executable comment of MariaDB',
    (sql) => [`/*M!100100 ${sql} */`],
    /^(delete|drop|select wipe)/,
  ],
  ['in one of MariaDB without version', (sql) => [`/*M! ${sql}*/`], /^(delete|truncate)/],
  [
    'with its first word in an executable comment',
    (sql) => [sql.replace(/^\w+/, '/*!50000 $&*/')],
    /^(delete|update|select wipe|grant)/,
  ],
  [
    'with each word in one of its own',
    (sql) => [
      sql
        .split(' ')
        .map((word) => `/*! ${word} */`)
        .join(''),
    ],
    /^(delete from|drop|truncate)/,
  ],
  [
    'behind a comment within an executable comment',
    (sql) => [`/*! /* select 1 */ ${sql} */`],
    /^(delete from victim$|drop)/,
  ],
  [
    'behind a comment that only seems to nest',
    (sql) => [`/* /* */ ${sql} -- */`],
    /^(delete|drop|flush)/,
  ],
  ['behind a comment line', (sql) => [`-- select 1\n# select 2\n${sql}`], /^(delete|create user)/],
  ['behind a harmless statement', (sql) => [`select 1; ${sql}`]],
  [
    'between harmless statements',
    (sql) => [`begin; select 1; ${sql}; select 2; commit`],
    /^(delete|update|select|grant|set)/,
  ],
  [
    'in odd white space and case',
    (sql) => [
      `\t\r\n\f\v${sql.replaceAll(/[a-z]+/g, (word) => (/^(victim|attack|counter|other|boss|fresh|sneaky|wipe\w*|gone)$/.test(word) ? word : [...word].map((c, i) => (i % 2 ? c.toUpperCase() : c)).join(''))).replaceAll(' ', '\v\t\n')} \n;`,
    ],
  ],
  ['prepared by SQL', (sql) => [`prepare p from ${quotedText(sql)}`, 'execute p']],
  [
    'prepared from a variable',
    (sql) => [`set @t = ${quotedText(sql)}`, 'prepare p from @t', 'execute p'],
    /^(delete|drop|grant|select wipe)/,
  ],
  [
    'prepared from a variable that was put together',
    (sql) => [
      `set @t = concat(${quotedText(sql.slice(0, 3))}, ${quotedText(sql.slice(3))}); prepare p from @t; execute p; deallocate prepare p`,
    ],
    /^(delete|truncate|set)/,
  ],
  ['executed at once', (sql) => [`execute immediate ${quotedText(sql)}`]],
  [
    'executed at once, in hexadecimal',
    (sql) => [`execute immediate ${hexOf(sql)}`],
    /^(delete|drop|call)/,
  ],
  [
    'executed at once, put together',
    (sql) => [
      `execute immediate concat(${[...sql].map((c) => `char(${c.charCodeAt(0)})`).join()})`,
    ],
    /^(delete from victim$|drop table)/,
  ],
  [
    'executed at once, twice',
    (sql) => [
      `execute immediate 'execute immediate ${quotedText(sql).replaceAll("'", "''")}'`,
      sql.startsWith('x') ? sql : `prepare p from ${quotedText(sql)}; execute p`,
    ],
    /^(delete from victim$|truncate)/,
  ],
  ['in a block', (sql) => [`begin not atomic ${sql}; end`], SELECTING],
  ['in a condition', (sql) => [`if 1 then ${sql}; end if`], /^(delete|drop table|select wipe)/],
  ['in a loop', (sql) => [`for i in 1..1 do ${sql}; end for`], /^(delete|select wipe)/],
  [
    'in a case',
    (sql) => [`begin not atomic case 1 when 1 then ${sql}; end case; end`],
    /^delete from victim$/,
  ],
  ['with a setting', (sql) => [`set statement max_statement_time = 10 for ${sql}`], SELECTING],
  ['analysed', (sql) => [`analyze ${sql}`], /^(delete|update|insert|replace|select wipe)/],
  ['analysed in JSON', (sql) => [`analyze format=json ${sql}`], DML],
  [
    'where backslashes do not escape',
    (sql) => ["set sql_mode = 'NO_BACKSLASH_ESCAPES'", `select '\\'; ${sql}; -- '`],
    /^(delete|drop|select wipe|flush)/,
  ],
  [
    'where backslashes do not escape, at once',
    (sql) => [`set sql_mode = 'NO_BACKSLASH_ESCAPES'; select '\\'; ${sql}; -- '`],
    /^(delete|drop)/,
  ],
  [
    'where double quotes make names',
    (sql) => ["set session sql_mode = 'ANSI_QUOTES'", `select 1 as "\\"; ${sql}; -- "`],
    /^(delete|truncate)/,
  ],
  [
    'where double quotes make names, at once',
    (sql) => [`set sql_mode = 'ANSI_QUOTES'; select 1 as "\\"; ${sql}; -- "`],
    /^(delete|truncate)/,
  ],
  [
    'by MariaDB’s client with other delimiters',
    (sql) => [{ script: `delimiter //\n${sql} //\n` }],
    /^(delete|drop|create function)/,
  ],
]

export const MYSQL_ATTEMPTS: MysqlAttempt[] = [
  ...REASONS.flatMap(([name, sql, undo]) =>
    DISGUISES.filter(([, , fits]) => fits?.test(sql) ?? true).map(
      ([disguise, wrap]): MysqlAttempt => ({
        name: `${name}, ${disguise}`,
        steps: wrap(sql),
        effect: 'state',
        undo,
      }),
    ),
  ),
  ...MYSQL_OWN,
]
