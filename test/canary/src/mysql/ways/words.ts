/** What the server says in words: errors, warnings, plans, what others do, logs, statistics. */
import { freshWays, type MysqlWay, prepared, type Run, text, ways } from './ways'

const NAME = '(select name from customers where id = 1)'

/** Somebody else's statement says it while it is looked for. */
export const whileOthers =
  (look: string): Run =>
  async (to) => {
    const other = await to.besides()
    const [rows] = (await other.query('select name from customers where id = 1')) as unknown as [
      { name: string }[],
    ]
    const running = other.query(`select sleep(1.5), ? as v`, [rows[0]!.name]).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 300))
    const client = await to.client()
    await client.query(look).catch((error: Error) => to.sees(error.message))
    await running
  }

export const WORDS: readonly MysqlWay[] = [
  ...ways('errors', {
    'XPath in extractvalue': text(`select extractvalue('<a/>', concat('~', ${NAME}))`),
    'XPath in updatexml': text(`select updatexml('<a/>', concat('~', ${NAME}), '')`),
    'a duplicate key made by grouping': text(
      `select count(*), concat(${NAME}, floor(rand(0) * 2)) x from information_schema.tables group by x`,
      `select extractvalue('<a/>', concat('~', ${NAME}))`,
    ),
    'a signal': text('call told()'),
    'a signal that says it is another error': text('call told_as_another()'),
    'a name of a table that is no name': text(
      `set @q = concat('select * from \`', ${NAME}, '\`')`,
      'prepare p from @q',
      "execute immediate concat('select * from `', (select name from customers where id = 1), '`')",
    ),
    'a kill of a value': text(
      'kill (select account from customers where id = 1)',
      `kill query id (select account from customers where id = 1)`,
      `select extractvalue('<a/>', concat('~', ${NAME}))`,
    ),
    'a syntax error': text(
      "set @q = (select concat('select ', name, ' ', name, ' ', name) from customers where id = 1)",
      'prepare p from @q',
    ),
    'a function that is not there': text(
      "set @q = (select concat('select ', name, '()') from customers where id = 1)",
      'prepare p from @q',
    ),
    'a table that is not there': text(
      "set @q = (select concat('select * from ', name) from customers where id = 1)",
      'prepare p from @q',
    ),
    'a time zone': text(`set time_zone = ${NAME}`),
    'a character set': text(`set character_set_results = ${NAME}`),
    'a setting': text(`set sql_mode = ${NAME}`),
    'a regular expression': text(
      `select 'x' regexp concat('(', ${NAME})`,
      `select extractvalue('<a/>', concat('~', ${NAME}))`,
    ),
  }),
  ...freshWays('errors of changes', {
    'a duplicate key': text(
      'insert into customers (id, name, email) select 100, name, email from customers where id = 1',
    ),
    'a duplicate key, prepared': prepared(
      'select 1',
      'insert into customers (id, name, email) select 100, name, email from customers where id = 1',
    ),
    'a duplicate key by update': text(
      'update customers set email = (select e from (select email as e from customers where id = 1) x) where id = 2',
    ),
    'a duplicate key of a new key': text(
      'insert into customers (id, name, phone) select 100, name, phone from customers where id = 1',
      'alter table customers add unique (phone)',
    ),
    'a number that is none': text(
      'insert into numbers (n) select name from customers where id = 1',
    ),
    'a number that is none, updated': text(
      'insert into numbers (n) values (1)',
      'update numbers set n = (select name from customers where id = 1)',
    ),
    'a date that is none': text(
      'insert into numbers (day) select name from customers where id = 1',
    ),
    'a document that is none': text(
      `insert into numbers (j) select concat('{', name) from customers where id = 1`,
      `insert into numbers (n) select name from customers where id = 1`,
    ),
    'a value that an enum has not': text(
      'insert into numbers (n, mood) select name, name from customers where id = 1',
    ),
    'ignored, and then asked for': text(
      'insert ignore into numbers (n) select name from customers',
      'show warnings',
    ),
    'ignored duplicates': text(
      'insert ignore into customers (id, name, email) select id + 100, name, email from customers',
      'show warnings',
    ),
    'a trigger that adds': text("insert into words values ('x')", "insert into words values ('x')"),
    'a column that is changed to a number': text('alter table customers modify email int'),
    'a column that is made shorter': text(
      'alter table customers modify name int not null',
      'show warnings',
    ),
    'a generated column': text('alter table customers add g int as (name) stored'),
    'a check that does not hold': text(
      "alter table customers add check (name = 'x')",
      'insert into numbers (n) select name from customers where id = 1',
    ),
    'a partition that is not there': text(
      'insert into logins select name, salary from customers where id = 1',
      'insert into numbers (n) select name from customers where id = 1',
    ),
    'a file': text(
      `load data infile '/nowhere' into table copies`,
      'insert into numbers (n) select name from customers where id = 1',
    ),
  }),
  ...ways('warnings', {
    'a cast': text('select cast(name as signed) from customers', 'show warnings'),
    'a cast, prepared': prepared('select cast(name as signed) from customers', 'show warnings'),
    'a comparison': text('select id from customers where name = 1', 'show warnings'),
    'a sum': text('select sum(name) from customers', 'show errors', 'show warnings'),
    'a date': text('select date(name) from customers', 'show warnings limit 2'),
    'a date that is added to': text(
      'select date_add(email, interval 1 day) from customers',
      'show warnings',
    ),
    'a time': text('select time(email), sec_to_time(name) from customers', 'show warnings'),
    'a number in another base': text(
      'select cast(email as decimal(3, 1)) from customers',
      'show warnings',
    ),
    'by diagnostics': text(
      'select cast(name as signed) from customers',
      'get diagnostics condition 1 @m = message_text',
      'select @m',
    ),
    'in one text': text('select cast(name as signed) from customers; show warnings'),
    'with a comment in front': text(
      'select cast(name as signed) from customers',
      '/* x */ show warnings',
    ),
    'with code in a comment': text(
      'select cast(name as signed) from customers',
      '/*!50000 show warnings */',
    ),
    'a query with the names of warnings': text(
      "select 'Warning' as Level, 1 as Code, name as Message from customers",
    ),
  }),
  ...ways('plans', {
    'explain extended': text(
      'explain extended select * from customers where id = 1',
      'show warnings',
    ),
    'explain with a value that is known': text(
      'explain format=json select o.id from customers c join orders o on o.note = c.name where c.id = 1',
    ),
    'analyze with a value that is known': text(
      'analyze format=json select o.id from customers c join orders o on o.note = c.name where c.id = 1',
    ),
    'what the optimizer did': text(
      "set optimizer_trace = 'enabled=on'",
      'select o.id from customers c join orders o on o.note = c.name where c.id = 1',
      'select trace from information_schema.optimizer_trace',
    ),
    'show explain of it': text(
      'explain extended select name, email from customers where id = 2',
      'show warnings',
    ),
  }),
  ...ways('what others do', {
    'show processlist': whileOthers('show processlist'),
    'show full processlist': whileOthers('show full processlist'),
    'information_schema.processlist': whileOthers(
      'select info from information_schema.processlist',
    ),
    'innodb status': whileOthers('show engine innodb status; show full processlist'),
    'the general log': whileOthers(
      'select argument from mysql.general_log order by event_time desc limit 50',
    ),
    'the slow log': whileOthers(
      'select sql_text from mysql.slow_log; select argument from mysql.general_log order by event_time desc limit 50',
    ),
    'statements in the performance schema': whileOthers(
      'select sql_text from performance_schema.events_statements_current',
    ),
    'statements in its history': whileOthers(
      'select sql_text from performance_schema.events_statements_history; select sql_text from performance_schema.events_statements_current',
    ),
    threads: whileOthers('select processlist_info from performance_schema.threads'),
  }),
  ...ways('statistics and logs', {
    'column statistics': text('select min_value, max_value from mysql.column_stats'),
    'their histograms': text(
      'select decode_histogram(hist_type, histogram), histogram, min_value from mysql.column_stats',
    ),
    'user variables': text(
      `set @seen = ${NAME}`,
      'select variable_value from information_schema.user_variables',
    ),
    'binary log': async (to) => {
      const other = await to.besides()
      await other.query(
        'insert into copies (id, body) select 1, name from customers limit 1; delete from copies',
      )
      const client = await to.client()
      const [logs] = (await other.query('show binary logs')) as unknown as [{ Log_name: string }[]]
      await client
        .query(`show binlog events in '${logs.at(-1)!.Log_name}' limit 100000`)
        .catch((error: Error) => to.sees(error.message))
    },
    'own statements': async (to) => {
      const client = await to.client()
      await client.query('set profiling = 1')
      await client.query(`select ${NAME} as v`)
      await client.query('show profiles')
    },
  }),
]
