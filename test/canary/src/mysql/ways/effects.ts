/** Copies: values that are put where no rule masks them, and read from there. */
import { ROWS } from '../../values'
import { freshWays, type MysqlWay, type Run, text } from './ways'

const read = 'select * from copies'

/** Of the server's files, as far as it writes any. */
let files = 0
const inFile =
  (statement: (path: string) => string, after: (path: string) => string): Run =>
  async (to) => {
    const path = `/tmp/canary-${process.pid}-${++files}`
    const client = await to.client()
    for (const sql of [statement(path), after(path)])
      await client.query(sql).catch((error: Error) => to.sees(error.message))
  }

export const EFFECTS: readonly MysqlWay[] = [
  ...freshWays('copies', {
    'insert select': text('insert into copies (id, body) select id, name from customers', read),
    'insert select, prepared': async (to) => {
      const client = await to.client()
      for (const sql of ['insert into copies (id, body) select id, name from customers', read])
        await client.execute(sql).catch((error: Error) => to.sees(error.message))
    },
    'insert of a subquery': text(
      'insert into copies values (1, (select name from customers where id = 1), null)',
      read,
    ),
    'insert set': text(
      'insert into copies set body = (select name from customers where id = 1)',
      read,
    ),
    'replace select': text('replace into copies (id, body) select id, name from customers', read),
    'on duplicate key': text(
      'insert into numbers (n) values (7)',
      "insert into numbers (n) values (7) on duplicate key update short = (select left(name, 4) from customers where id = 1), checked = 'x'",
      'insert into copies (body) select name from customers',
      read,
    ),
    'a select of a function': text(
      'insert into copies (body) select upper(name) from customers',
      read,
    ),
    'of everything': text(
      'insert into copies (id, body, more) select id, concat(name, email), secret from customers',
      read,
    ),
    returning: text('insert into copies (body) select name from customers returning body'),
    'update of the same table': text(
      'update customers set plain = left(name, 20)',
      'select plain from customers',
    ),
    'update of another': text(
      'insert into copies (id) values (1)',
      'update copies set body = (select name from customers where id = 1)',
      read,
    ),
    'update of two tables': text(
      'insert into copies (id) values (1)',
      'update copies k join customers c on c.id = k.id set k.body = c.name',
      read,
    ),
    'create table as': text(
      'create table taken as select id, name as n from customers',
      'select * from taken',
    ),
    'create table with columns as': text(
      'create table taken (n varchar(100)) select name as n from customers',
      'select * from taken',
    ),
    'create temporary table': text(
      'create temporary table taken as select name as n from customers',
      'select * from taken',
    ),
    'a temporary table in the place of another': text(
      'create temporary table orders as select name as note from customers',
      'select note from orders',
    ),
    'create table like, then insert': text(
      'create table taken like copies',
      'insert into taken (body) select name from customers',
      'select * from taken',
    ),
    'create or replace': text(
      'create or replace table copies as select name as body from customers',
      'select body from copies',
    ),
    'a view': text('create view seen as select name as n from customers', 'select n from seen'),
    'a view in the place of another': text(
      'create or replace view grouped as select name as n from customers',
      'select n from grouped',
    ),
    'a view that was altered': text(
      'alter view united as select secret as n from customers',
      'select n from united',
    ),
    rename: text('rename table customers to others', 'select name from others'),
    'rename by alter': text('alter table customers rename to others', 'select name from others'),
    'rename a column': text(
      'alter table customers rename column name to called',
      'select called from customers',
    ),
    'change a column': text(
      'alter table customers change name called varchar(60)',
      'select called from customers',
    ),
    'another generated column': text(
      'alter table customers add also varchar(80) as (concat(name)) virtual',
      'select also from customers',
    ),
    'an index on it': text(
      'create index by_name on customers (name)',
      'select name from customers use index (by_name)',
    ),
    variables: text('set @v = (select name from customers where id = 1)', 'select @v'),
    'variables in a select': text('select @v := name from customers', 'select @v'),
    'variables, into': text(
      'select name, email into @a, @b from customers where id = 1',
      'select @a, @b',
    ),
    'variables, put together': text(
      "set @v = ''",
      'select @v := concat(@v, name) from customers',
      'select @v',
    ),
    'variables in an update': text(
      'update customers set plain = if(@v := name, plain, plain)',
      'select @v',
    ),
    'variables, by a procedure': text(
      'call into_out(@v)',
      'insert into copies (body) values (@v)',
      read,
    ),
    'a file': inFile(
      (path) => `select name from customers into outfile '${path}'`,
      (path) => `select load_file('${path}')`,
    ),
    'a file, dumped': inFile(
      (path) => `select group_concat(name) from customers into dumpfile '${path}'`,
      (path) => `select load_file('${path}')`,
    ),
    'a file, loaded': inFile(
      (path) => `select id, name, email from customers into outfile '${path}'`,
      (path) => `load data infile '${path}' into table copies; ${read}`,
    ),
    'a function of one’s own': text(
      'create function mine() returns text reads sql data return (select name from customers where id = 1)',
      'select mine()',
    ),
    'a procedure of one’s own': text(
      'create procedure mine() select name as n from customers',
      'call mine()',
    ),
    'a procedure that copies': text(
      'call copying()',
      'select body from copies where id > 5',
      'call everyone()',
    ),
    'a trigger': text(
      'create trigger t before update on customers for each row set new.plain = left(new.name, 20)',
      "update customers set city = 'x'",
      'select plain from customers',
    ),
    'an anonymous block': text(
      'begin not atomic insert into copies (body) select name from customers; end',
      read,
    ),
    'an anonymous block that shows': text('begin not atomic select name from customers; end'),
    'a prepared copy': text(
      "prepare p from 'insert into copies (body) select name from customers'",
      'execute p',
      read,
    ),
    'a copy by a text': text(
      "execute immediate 'insert into copies (body) select name from customers'",
      read,
    ),
    'a default': text(
      'set @d = (select name from customers where id = 1)',
      "execute immediate concat('alter table copies add d varchar(99) default ''', @d, '''')",
      'show create table copies',
    ),
    'a comment': text(
      "set @q = (select concat('alter table copies comment ''', name, '''') from customers where id = 1)",
      'prepare p from @q',
      'execute p',
      'show create table copies',
    ),
    'a name': text(
      "set @q = (select concat('create table `', name, '` (i int)') from customers where id = 1)",
      'prepare p from @q',
      'execute p',
      'show tables',
    ),
    'a database': async (to) => {
      await text(
        "set @q = (select concat('create or replace database `', name, '`') from customers where id = 1)",
        'prepare p from @q',
        'execute p',
        'show databases',
      )(to)
      const other = await to.besides()
      await other.query(`drop database if exists ${ROWS[0].name.value}`)
    },
    'a setting of the session': text(
      'set default_master_connection = (select name from customers where id = 1)',
      'select @@default_master_connection',
    ),
    'a setting, shown': text(
      'set default_master_connection = (select name from customers where id = 1)',
      "show variables like 'default_master%'",
    ),
    'the last number': text(
      'select last_insert_id(account) from customers where id = 1',
      'select last_insert_id()',
    ),
    'exchanged partitions': text(
      'create table whole (who varchar(60), at int)',
      'alter table logins exchange partition p0 with table whole',
      'select who from whole',
    ),
    'delete returning': text('delete from customers returning name'),
    'replace returning': text(
      'replace into copies (id, body) select id, name from customers returning *',
    ),
    'a multi-table delete, then what is left': text(
      'delete o from orders o where o.id = 1',
      'select name from customers',
    ),
    'a merge of tables': text(
      'create table plainest (id int, n varchar(60)) engine = myisam',
      'insert into plainest select id, name from customers',
      'create table merged (id int, n varchar(60)) engine = merge union = (plainest)',
      'select * from merged',
    ),
    'a sequence': text(
      'set @n = (select account from customers where id = 1)',
      "execute immediate concat('create sequence s start with ', @n)",
      'select next value for s',
    ),
    'an event': text(
      'create event e on schedule every 1 day do insert into copies (body) select name from customers',
      'show create event e',
      'insert into copies (body) select name from customers',
      read,
    ),
    'an undone change that shows': text(
      'begin',
      'update copies set body = 1',
      'insert into copies (body) select name from customers',
      'select body from copies',
      'rollback',
    ),
  }),
]
