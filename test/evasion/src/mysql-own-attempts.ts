/**
 * What only MySQL and MariaDB offer those who wish to get past a policy: ways of reading that change, half characters, functions
 * in odd places, views, files, commands of the protocol. Each must do what it claims without Custody. The list only grows.
 */
import type { MysqlAttempt } from './mysql-attempts'

const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)))
/** One character of two bytes, the second a backslash, before the quote that it does not escape. */
const swallowing = (lead: number, sql: string) => bytes("select '", [lead, 0x5c], `'; ${sql}; -- '`)
const CHARSETS: [name: string, lead: number, collation: number][] = [
  ['gbk', 0xbf, 28],
  ['sjis', 0x95, 13],
  ['big5', 0xa4, 1],
  ['cp932', 0x95, 95],
]

const CALLS: [where: string, sql: string][] = [
  ['in where', 'select 1 from other where wipe() = 1'],
  ['in having', 'select count(*) as n from other having n > 0 and wipe() = 1'],
  ['in order by', 'select 1 from other order by wipe()'],
  ['in group by', 'select count(*) from other group by wipe()'],
  ['in a join', 'select 1 from other a join other b on a.id = wipe_of(b.id)'],
  ['in a subquery', 'select (select wipe())'],
  ['in a derived table', 'select * from (select wipe() as a) x'],
  ['in exists', 'select exists (select 1 from other where wipe() = 1)'],
  ['in a list', 'select 1 in (2, wipe())'],
  ['in case', 'select case when 1 then wipe() end'],
  ['in if', 'select if(1, wipe(), 2)'],
  ['in coalesce', 'select coalesce(null, wipe())'],
  ['in values', 'values (wipe())'],
  ['in a union', 'select 1 union all select wipe()'],
  ['in except', 'select 1 except select wipe()'],
  ['in a common table', 'with c as (select wipe() as a) select * from c'],
  [
    'in a recursive common table',
    'with recursive c as (select 1 as n union all select n + wipe() from c where n < 2) select * from c',
  ],
  ['in a window', 'select sum(id) over (partition by wipe_of(id)) from other'],
  ['in an aggregate', 'select sum(wipe_of(id)) from other'],
  ['in group_concat’s order', 'select group_concat(note order by wipe_of(id)) from other'],
  ['in an interval', 'select now() + interval wipe() day'],
  [
    'in json_table',
    "select * from json_table(concat('[', wipe(), ']'), '$[*]' columns (a int path '$')) j",
  ],
  ['of another database', 'select attack.wipe()'],
  ['of a quoted name', 'select `wipe`()'],
  ['of quoted names', 'select `attack`.`wipe`()'],
  ['behind a comment', 'select wipe/* */()'],
  ['behind an executable comment', 'select /*!wipe*/()'],
  ['behind a space', 'select wipe ()'],
  ['in another case', 'select WIPE()'],
  ['with the name of a built-in one', 'select attack.abs(1)'],
  ['with the quoted name of a built-in one', 'select attack.`abs`(1)'],
  ['that says it only reads', 'select calls_wipe()'],
  ['as an aggregate', 'select wipe_all(id) from other'],
  ['within a built-in one', 'select abs(wipe())'],
  ['in an escape of ODBC', 'select {fn wipe()}'],
  ['by DO', 'do wipe()'],
  ['by DO, in a list', 'do 1, sleep(0), wipe()'],
  ['by SET', 'set @a = wipe()'],
  ['by SET of a setting', 'set max_statement_time = wipe()'],
  ['by SET of a setting, in a subquery', 'set session max_statement_time = (select wipe())'],
  ['by assignment', 'select @a := wipe()'],
  ['into a variable', 'select wipe() into @a'],
  ['by SHOW', 'show tables where wipe() = 1'],
  ['by SHOW VARIABLES', "show variables where variable_name = 'port' and wipe() = 1"],
  ['by SHOW STATUS', 'show status where wipe() = 1'],
  ['by benchmark', 'select benchmark(1, wipe())'],
  ['by a query’s lock', 'select wipe() from other for update'],
  ['in JSON functions', "select json_extract(json_array(wipe()), '$[0]')"],
  ['in a comparison of rows', 'select (1, wipe()) = (1, 1)'],
  ['in match’s neighbour', "select note regexp concat('^', wipe()) from other"],
  ['of a sequence of numbers', 'select wipe_of(seq) from seq_1_to_2'],
  ['in limit’s subquery', 'select * from (select id from other limit 1) x where wipe() = 1'],
]

const COM = (type: number, payload: string | Buffer | number[] = []) =>
  Buffer.concat([Buffer.from([type]), Buffer.from(payload as string)])

export const MYSQL_OWN: readonly MysqlAttempt[] = [
  ...CALLS.map(
    ([where, sql]): MysqlAttempt => ({
      name: `a function ${where}`,
      steps: [sql],
      effect: 'victim',
    }),
  ),
  ...(
    [
      ['a view', 'select * from sneaky'],
      ['a view of a view', 'select w from sneakier'],
      ['a view of a view of a view', 'select count(*) from attack.sneakiest'],
      ['a view in a subquery', 'select (select w from sneaky)'],
      ['a view in a join', 'select * from other join sneaky on w = id'],
      ['a view in a common table', 'with c as (select * from sneaky) select * from c'],
      ['a view in another case', 'select * from ATTACK.sneaky'.replace('ATTACK', '`attack`')],
      ['a view of a function named like a built-in one', 'select a from qualified'],
      ['a view, prepared from a text', "execute immediate 'select * from sneaky'"],
      ['a view, by SET', 'set @a = (select w from sneaky)'],
      ['a view, by DO', 'do (select w from sneaky)'],
      ['a view, by HANDLER’s neighbour', 'select * from other where id = (select w from sneaky)'],
    ] satisfies [string, string][]
  ).map(([name, sql]): MysqlAttempt => ({ name, steps: [sql], effect: 'victim' })),
  { name: 'a view with letters of its own', steps: ['select * from spähen'], effect: 'victim' },
  {
    name: 'a view with letters of its own, quoted',
    steps: ['select w from `attack`.`spähen`'],
    effect: 'victim',
  },
  {
    name: 'a view with letters of its own, in latin1',
    steps: ['set names latin1', bytes('select * from sp', [0xe4], 'hen')],
    effect: 'victim',
  },
  {
    name: 'a view with letters of its own, in latin1 by the handshake',
    steps: [bytes('select * from `sp', [0xe4], 'hen`')],
    login: { collation: 8 },
    effect: 'victim',
  },
  {
    name: 'a view behind a change of database in the same text',
    steps: ['use attack; select * from sneaky'],
    login: { database: 'mysql' },
    effect: 'victim',
  },
  { name: 'a view, explained and run', steps: ['analyze select * from sneaky'], effect: 'victim' },
  {
    name: 'a view, by SHOW’s condition',
    steps: ['show tables where (select w from attack.sneaky) = 1'],
    effect: 'victim',
  },
  {
    name: 'a view, prepared by the protocol',
    steps: [{ prepare: 'select * from sneaky' }],
    effect: 'victim',
  },
  {
    name: 'a view, with a cursor',
    steps: [{ prepare: 'select * from sneaky', cursor: true }],
    effect: 'victim',
  },
  { name: 'a view of a sequence', steps: ['select n from counting'], effect: 'state' },
  { name: 'a view, after USE', steps: ['use attack', 'select * from sneaky'], effect: 'victim' },
  {
    name: 'a view, after a change of database by the protocol',
    steps: [{ send: COM(0x02, 'attack') }, 'select * from sneaky'],
    effect: 'victim',
    login: { database: 'mysql' },
  },
  ...CHARSETS.flatMap(([charset, lead, collation]): MysqlAttempt[] => [
    {
      name: `behind half a character of ${charset}, by SET NAMES`,
      steps: [`set names ${charset}`, swallowing(lead, 'delete from victim')],
      effect: 'victim',
    },
    {
      name: `behind half a character of ${charset}, by SET CHARACTER SET`,
      steps: [`set character set ${charset}`, swallowing(lead, 'delete from victim')],
      effect: 'victim',
    },
    {
      name: `behind half a character of ${charset}, by the setting`,
      steps: [
        `set @@session.character_set_client := ${charset}`,
        swallowing(lead, 'drop table victim'),
      ],
      effect: 'victim',
    },
    {
      name: `behind half a character of ${charset}, by the handshake`,
      steps: [swallowing(lead, 'delete from victim')],
      login: { collation },
      effect: 'victim',
    },
    {
      name: `behind half a character of ${charset}, by a computed setting`,
      steps: [
        `set character_set_client = concat('${charset.slice(0, 2)}', '${charset.slice(2)}')`,
        swallowing(lead, 'delete from victim'),
      ],
      effect: 'victim',
    },
    {
      name: `behind half a character of ${charset}, in a text of its own`,
      steps: [`execute immediate 'set names ${charset}'`, swallowing(lead, 'delete from victim')],
      effect: 'victim',
    },
    {
      name: `behind a whole character of utf8 that is none in ${charset}`,
      steps: [
        `set names ${charset}; set names utf8mb4`,
        bytes("select '", [0xc3, 0xa9], "\\\\'; delete from victim; -- '"),
      ],
      effect: 'victim',
    },
  ]),
  {
    name: 'behind half a character, after the session was reset',
    steps: [
      'set names gbk',
      { send: COM(0x1f) },
      'set names gbk',
      swallowing(0xbf, 'delete from victim'),
    ],
    effect: 'victim',
  },
  {
    name: 'behind half a character, where the server was told to track nothing',
    steps: [
      "set session_track_system_variables = ''",
      'set names gbk',
      swallowing(0xbf, 'delete from victim'),
    ],
    effect: 'victim',
  },
  {
    name: 'where backslashes do not escape, and the server tracks nothing',
    steps: [
      "set session_track_system_variables = ''",
      "set sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
      "select '\\'; delete from victim; -- '",
    ],
    effect: 'victim',
  },
  {
    name: 'where backslashes do not escape, by a text of its own',
    steps: [
      'prepare p from "set sql_mode = \'NO_BACKSLASH_ESCAPES\'"',
      'execute p',
      "select '\\'; delete from victim; -- '",
    ],
    effect: 'victim',
  },
  {
    name: 'where backslashes do not escape, prepared by the protocol',
    steps: [
      { prepare: "set sql_mode = 'NO_BACKSLASH_ESCAPES'" },
      "select '\\'; delete from victim; -- '",
    ],
    effect: 'victim',
  },
  {
    name: 'where backslashes do not escape, with the value as a parameter',
    steps: [
      { prepare: 'set sql_mode = ?', values: ['NO_BACKSLASH_ESCAPES'] },
      "select '\\'; delete from victim; -- '",
    ],
    effect: 'victim',
  },
  {
    name: 'where backslashes do not escape, by a number',
    steps: ['set sql_mode = 1048576', "select '\\'; delete from victim; -- '"],
    effect: 'victim',
  },
  {
    name: 'where backslashes escape again',
    steps: [
      "set sql_mode = 'NO_BACKSLASH_ESCAPES'",
      'set sql_mode = default',
      "select '\\\\'; delete from victim; -- '",
    ],
    effect: 'victim',
  },
  {
    name: 'where backslashes do not escape, in the words of another mode',
    steps: [
      "set sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI'",
      "select '\\' as \"a\"; delete from victim; -- '",
    ],
    effect: 'victim',
  },
  {
    name: 'where bars put texts together',
    steps: [
      "set sql_mode = 'PIPES_AS_CONCAT'",
      "set @t = 'delete' || ' from victim'; execute immediate @t",
    ],
    effect: 'victim',
  },
  {
    name: 'in Oracle’s words',
    steps: ["set sql_mode = 'ORACLE'", 'begin delete from victim; end;'],
    effect: 'victim',
  },
  {
    name: 'in Oracle’s words, as a sequence',
    steps: ["set sql_mode = 'ORACLE'", 'select counter.nextval from dual'],
    effect: 'state',
  },
  {
    name: 'in Oracle’s words, declared',
    steps: ["set sql_mode = 'ORACLE'", 'declare x int; begin delete from victim; end;'],
    effect: 'victim',
  },
  {
    name: 'in Oracle’s words, by a call without CALL',
    steps: ["set sql_mode = 'ORACLE'", 'begin wipe_procedure; end;'],
    effect: 'victim',
  },
  {
    name: 'in MSSQL’s words',
    steps: ["set sql_mode = 'MSSQL'", 'delete from "victim"'],
    effect: 'victim',
  },
  {
    name: 'with several statements allowed by the protocol since',
    steps: [{ send: COM(0x1b, [0, 0]), shape: 'line' }, 'select 1; delete from victim'],
    login: { capabilities: (0x1 | 0x4 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x20000 | 0x80000) >>> 0 },
    effect: 'victim',
  },
  {
    name: 'in a space of latin1',
    steps: ['set names latin1', bytes('delete', [0xa0], 'from', [0xa0], 'victim')],
    effect: 'victim',
  },
  {
    name: 'with a mark of the order of bytes before it',
    steps: [{ script: '\ufeffdelete from victim;' }],
    effect: 'victim',
  },
  { name: 'with NUL behind it', steps: ['delete from victim\0'], effect: 'victim' },
  { name: 'with NUL behind its semicolon', steps: ['delete from victim;\0\0'], effect: 'victim' },
  {
    name: 'behind 17 MB of white space',
    steps: [`${' '.repeat(17_000_000)}delete from victim`],
    effect: 'victim',
  },
  {
    name: 'behind 300 kB of a comment',
    steps: [`/*${'x'.repeat(300_000)}*/ delete from victim`],
    effect: 'victim',
  },
  {
    name: 'behind 17 MB of a comment, prepared',
    steps: [{ prepare: `/*${'x'.repeat(17_000_000)}*/ delete from victim` }],
    effect: 'victim',
  },
  {
    name: 'deep in parentheses',
    steps: [`select ${'('.repeat(400)}wipe()${')'.repeat(400)}`],
    effect: 'victim',
  },
  {
    name: 'behind 999 statements',
    steps: [`${'do 1;'.repeat(999)}delete from victim`],
    effect: 'victim',
  },
  {
    name: 'behind 1500 statements',
    steps: [`${'do 1;'.repeat(1500)}delete from victim`],
    effect: 'victim',
  },
  { name: 'compressed', steps: ['delete from victim'], compressed: true, effect: 'victim' },
  {
    name: 'compressed, behind a harmless statement',
    steps: [`select '${'x'.repeat(5000)}'; delete from victim`],
    compressed: true,
    effect: 'victim',
  },
  {
    name: 'with a database of its own',
    steps: ['delete from attack.victim'],
    login: { database: 'mysql' },
    effect: 'victim',
  },
  {
    name: 'after USE',
    steps: ['use attack; delete from victim'],
    login: { database: 'mysql' },
    effect: 'victim',
  },
  {
    name: 'after USE of a quoted name',
    steps: ['use `attack`', 'delete from victim'],
    login: { database: 'mysql' },
    effect: 'victim',
  },
  { name: 'in quotes of names', steps: ['delete from `victim`'], effect: 'victim' },
  {
    name: 'in quotes of names, with a database',
    steps: ['delete from `attack` . `victim`'],
    effect: 'victim',
  },
  { name: 'with an alias', steps: ['delete v from victim as v where 1'], effect: 'victim' },
  {
    name: 'by a trigger of another table',
    steps: ['insert into triggered values (1)'],
    effect: 'victim',
  },
  {
    name: 'by a trigger, in many rows at once',
    steps: ['insert into triggered select seq from seq_1_to_3'],
    effect: 'victim',
  },
  {
    name: 'by a table of updates with common ones',
    steps: ["insert into victim with c as (select 77 as id, 'x' as note) select * from c"],
    effect: 'victim',
  },
  {
    name: 'by a table made of a common one',
    steps: ['create table fresh with c as (select 1 as a) select * from c'],
    effect: 'state',
  },
  {
    name: 'by a temporary table that hides another',
    steps: ['create temporary table other as select wipe() as w', 'select * from other'],
    effect: 'victim',
  },
  {
    name: 'by a procedure with the name of a function',
    steps: ['call `count`()'],
    effect: 'victim',
  },
  { name: 'by a procedure without parentheses', steps: ['call wipe_procedure'], effect: 'victim' },
  {
    name: 'by a procedure that runs a text',
    steps: ["call run_text('delete from victim')"],
    effect: 'victim',
  },
  {
    name: 'by a procedure of another database',
    steps: ['call attack.wipe_procedure()'],
    login: { database: 'mysql' },
    effect: 'victim',
  },
  {
    name: 'by a procedure, prepared by the protocol',
    steps: [{ prepare: 'call run_text(?)', values: ['delete from victim'] }],
    effect: 'victim',
  },
  {
    name: 'by a procedure made and called',
    steps: ['create or replace procedure p() delete from victim; call p()'],
    effect: 'victim',
  },
  {
    name: 'with values',
    steps: [{ prepare: 'delete from victim where id = ?', values: ['1'] }],
    effect: 'victim',
  },
  {
    name: 'with values by name',
    steps: ["prepare p from 'delete from victim where id = ?'", 'set @i = 1', 'execute p using @i'],
    effect: 'victim',
  },
  {
    name: 'prepared under a name that was harmless',
    steps: [
      "prepare p from 'select 1'",
      'execute p',
      "prepare p from 'delete from victim'",
      'execute p',
    ],
    effect: 'victim',
  },
  {
    name: 'prepared under a name in another case',
    steps: ["prepare P from 'select 1'", "prepare p from 'delete from victim'", 'execute P'],
    effect: 'victim',
  },
  {
    name: 'prepared from a variable that is set in between',
    steps: ["set @t = 'select 1'", "set @t = 'delete from victim'; prepare p from @t", 'execute p'],
    effect: 'victim',
  },
  {
    name: 'prepared from a variable that a query sets',
    steps: ["select 'delete from victim' into @t", 'execute immediate @t'],
    effect: 'victim',
  },
  {
    name: 'prepared from a variable that a table sets',
    steps: [
      "select concat('delete from ', table_name) into @t from information_schema.tables where table_schema = 'attack' and table_name = 'victim'",
      'prepare p from @t',
      'execute p',
    ],
    effect: 'victim',
  },
  {
    name: 'executed by name, prepared by the protocol',
    steps: ["prepare p from 'delete from victim'", { prepare: 'execute p' }, 'execute p'],
    effect: 'victim',
  },
  {
    name: 'as the last one of many names',
    steps: ["prepare a from 'select 1'; prepare b from 'delete from victim'; execute a; execute b"],
    effect: 'victim',
  },
  {
    name: 'HANDLER in a block',
    steps: [
      "begin not atomic declare exit handler for sqlexception delete from victim; signal sqlstate '45000'; end",
    ],
    effect: 'victim',
  },
  {
    name: 'sequences by their own table',
    steps: ['alter sequence counter restart 900'],
    effect: 'state',
  },
  {
    name: 'a sequence with an odd name',
    steps: ['select nextval(`odd sequence`)'],
    effect: 'state',
  },
  {
    name: 'a sequence in a table’s default',
    steps: ['select 1 + next value for attack.counter from other'],
    effect: 'state',
  },
  {
    name: 'a sequence behind a condition',
    steps: ['select if(1, nextval(counter), 0)'],
    effect: 'state',
  },
  { name: 'out to a file', steps: ["select * from victim into outfile 'FILE'"], effect: 'file' },
  {
    name: 'out to a file, in the middle',
    steps: ["select * into outfile 'FILE' from victim"],
    effect: 'file',
  },
  { name: 'out to a file, as it is', steps: ["select 'x' into dumpfile 'FILE'"], effect: 'file' },
  {
    name: 'out to a file, of a union',
    steps: ["select 1 union select 2 into outfile 'FILE'"],
    effect: 'file',
  },
  {
    name: 'out to a file, of a common table',
    steps: ["with c as (select 1) select * from c into outfile 'FILE'"],
    effect: 'file',
  },
  { name: 'out to a file, of values', steps: ["(select 1) into outfile 'FILE'"], effect: 'file' },
  {
    name: 'out to a file, in an executable comment',
    steps: ["select 1 /*!50000 into outfile 'FILE' */"],
    effect: 'file',
  },
  {
    name: 'out to a file, prepared',
    steps: [{ prepare: "select 1 into outfile 'FILE'" }],
    effect: 'file',
  },
  {
    name: 'out to a file, in a text',
    steps: ['execute immediate "select 1 into outfile \'FILE\'"'],
    effect: 'file',
  },
  {
    name: 'out to a file, analysed',
    steps: ["analyze select 1 into outfile 'FILE'"],
    effect: 'file',
  },
  {
    name: 'out to a file, with a setting',
    steps: ["set statement max_statement_time = 5 for select 1 into outfile 'FILE'"],
    effect: 'file',
  },
  {
    name: 'out to a file, with a hint',
    steps: ["select sql_no_cache high_priority 1 into outfile 'FILE'"],
    effect: 'file',
  },
  {
    name: 'out to a log',
    steps: ["set global general_log_file = 'FILE'; set global general_log = 1; select 1"],
    effect: 'file',
    undo: 'set global general_log = 0; set global general_log_file = default',
  },
  {
    name: 'out to a table elsewhere',
    steps: ["create table fresh (a int) engine = aria data directory = 'DIRECTORY'"],
    effect: 'file',
  },
  {
    name: 'in from a file of the server',
    steps: ["select load_file('SECRET')"],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'in from a file of the server, in another case',
    steps: ["select LOAD_FILE ('SECRET')".replace(' (', '(')],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'in from a file of the server, in parts',
    steps: [
      "select substr(load_file(concat('SEC', 'RET')), 1, 30)".replace(
        "concat('SEC', 'RET')",
        "'SECRET'",
      ),
    ],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'in from a file of the server, prepared',
    steps: [{ prepare: "select load_file('SECRET')" }],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'in from a file of the server, by a variable',
    steps: ["set @f = load_file('SECRET')", 'select @f'],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'in from a file of the server, into a table',
    steps: ["load data infile 'SECRET' into table victim (note) set id = 55"],
    effect: 'victim',
  },
  {
    name: 'in from the client',
    steps: [{ query: "load data local infile 'mine' into table victim", file: '66\tx\n' }],
    effect: 'victim',
  },
  {
    name: 'in from the client, as XML',
    steps: [
      { query: "load xml local infile 'mine' into table victim", file: '<row id="67" note="x"/>' },
    ],
    effect: 'victim',
  },
  {
    name: 'in from the client, in an executable comment',
    steps: [{ query: "/*! load data local infile 'mine' into table victim */", file: '68\tx\n' }],
    effect: 'victim',
  },
  { name: 'another’s session ended', steps: ['kill OUTSIDER'], effect: 'state' },
  {
    name: 'another’s session ended by a computed number',
    steps: ['kill OUTSIDER + 0'],
    effect: 'state',
  },
  {
    name: 'another’s session ended, in a text',
    steps: ["execute immediate 'kill connection OUTSIDER'"],
    effect: 'state',
  },
  {
    name: 'another’s session ended, behind a harmless statement',
    steps: ['select 1; kill OUTSIDER'],
    effect: 'state',
  },
  {
    name: 'another’s session ended by the protocol',
    steps: [{ send: Buffer.from('OUTSIDER-by-number') }],
    effect: 'state',
  },
  { name: 'all of another’s sessions ended', steps: ['kill hard user outsider'], effect: 'state' },
  {
    name: 'a password',
    steps: ["set password for boss = password('x')"],
    effect: 'state',
    undo: "set password for boss = ''",
  },
  {
    name: 'a user’s password',
    steps: ["alter user boss identified by 'y'"],
    effect: 'state',
    undo: "set password for boss = ''",
  },
  {
    name: 'a user’s name',
    steps: ['rename user boss to chief'],
    effect: 'state',
    undo: 'rename user chief to boss',
  },
  {
    name: 'a role',
    steps: ['create role fresh'],
    effect: 'state',
    undo: 'drop role if exists fresh',
  },
  {
    name: 'a right to everything',
    steps: ['grant all on *.* to boss with grant option'],
    effect: 'state',
    undo: 'revoke all privileges, grant option from boss',
  },
  {
    name: 'a right, by its table',
    steps: [
      "update mysql.global_priv set priv = json_set(priv, '$.access', 1) where user = 'boss'",
    ],
    effect: 'state',
    undo: 'drop user boss; create user boss',
  },
  {
    name: 'a right to a procedure',
    steps: ['grant execute on procedure attack.wipe_procedure to boss'],
    effect: 'state',
    undo: 'revoke execute on procedure attack.wipe_procedure from boss',
  },
  {
    name: 'a server elsewhere',
    steps: ["create server fresh foreign data wrapper mysql options (host '127.0.0.1')"],
    effect: 'state',
    undo: 'drop server if exists fresh',
  },
  {
    name: 'a distributed transaction',
    steps: ["xa start 'x'; delete from victim; xa end 'x'; xa prepare 'x'; xa commit 'x'"],
    effect: 'victim',
  },
  {
    name: 'a distributed transaction left open',
    steps: ["xa start 'y'; insert into other values (7, 'z'); xa end 'y'; xa prepare 'y'"],
    effect: 'state',
    undo: "xa rollback 'y'",
  },
  {
    name: 'global settings by their other name',
    steps: ['set @@global.max_connections = 78'],
    effect: 'state',
    undo: 'set global max_connections = 151',
  },
  {
    name: 'global settings behind session settings',
    steps: ['set @a = 1, session max_statement_time = 5, global max_connections = 79'],
    effect: 'state',
    undo: 'set global max_connections = 151',
  },
  {
    name: 'a global way of reading',
    steps: ["set global sql_mode = ''"],
    effect: 'state',
    undo: 'set global sql_mode = default',
  },
  {
    name: 'a global isolation',
    steps: ['set global transaction isolation level serializable'],
    effect: 'state',
    undo: 'set global transaction isolation level repeatable read',
  },
  {
    name: 'what everybody runs first',
    steps: ["set global init_connect = 'set @a = 1'"],
    effect: 'state',
    undo: "set global init_connect = ''",
  },
  {
    name: 'statistics',
    steps: ['analyze table victim persistent for all'],
    effect: 'state',
    undo: 'delete from mysql.table_stats; delete from mysql.column_stats; delete from mysql.index_stats',
  },
  { name: 'a status', steps: ['flush status'], effect: 'state' },
  { name: 'a status, by the protocol', steps: [{ send: COM(0x07, [4]) }], effect: 'state' },
  { name: 'an event made to run', steps: ['alter event later enable'], effect: 'state' },
  {
    name: 'an event that runs at once',
    steps: [
      'create event fresh on schedule at now() + interval 1 day do delete from attack.victim',
    ],
    effect: 'state',
  },
  {
    name: 'a database’s character set',
    steps: ['alter database attack character set ucs2'],
    effect: 'state',
  },
  {
    name: 'a table’s comment',
    steps: ["alter table victim comment = 'custody:none'"],
    effect: 'state',
  },
  {
    name: 'a table by its partitions',
    steps: ['alter table victim partition by hash (id) partitions 2'],
    effect: 'state',
  },
  {
    name: 'two tables’ names swapped',
    steps: ['rename table victim to x1, other to victim, x1 to other'],
    effect: 'victim',
  },
  {
    name: 'a table by many names',
    steps: ['drop table if exists nothing, victim'],
    effect: 'victim',
  },
  {
    name: 'a table elsewhere',
    steps: ['create table mysql.fresh (a int)'],
    effect: 'state',
    undo: 'drop table if exists mysql.fresh',
  },
  {
    name: 'a function of a library',
    steps: ["insert into mysql.func values ('fresh', 0, 'x.so', 'function')"],
    effect: 'state',
    undo: "delete from mysql.func where name = 'fresh'",
  },
  {
    name: 'as another user in the same session',
    steps: [{ send: COM(0x11, Buffer.from('CHANGE-USER')) }, 'delete from victim'],
    effect: 'victim',
  },
  {
    name: 'after the session was reset',
    steps: [{ send: COM(0x1f) }, 'delete from attack.victim'],
    effect: 'victim',
  },
  {
    name: 'many rows in one execution',
    steps: [{ send: Buffer.from('BULK') }],
    effect: 'victim',
    login: { mariadbCapabilities: 4 },
  },
]
