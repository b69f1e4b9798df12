/**
 * SQL for MySQL and MariaDB, and commands of their protocol, whose answers must come through Custody byte for byte. What they
 * do is done at both servers alike, so that later ones find the same.
 */

export const MYSQL_TEMPLATE = `
create table types (id int primary key auto_increment, t tinyint, tu tinyint unsigned, s smallint, m mediumint, i int unsigned zerofill, b bigint, bu bigint unsigned, f float, d double, dd decimal(30,10), bi bit(13), dt date, ti time(6), dtm datetime(6), ts timestamp(3) null, y year, c char(5), v varchar(200), bn binary(4), vb varbinary(40), tx text, bl longblob, e enum('one','two','drei'), st set('a','b','c'), j json, g geometry, u uuid, i6 inet6);
insert into types (id) values (1);
insert into types values (2, -128, 255, -32768, 8388607, 7, -9223372036854775808, 18446744073709551615, 1.5, 3.141592653589793, 12345678901234567890.0123456789, b'1010101010101', '2026-11-22', '-838:59:59.000000', '9999-12-31 23:59:59.999999', '2026-01-01 00:00:00.123', 2026, 'abc', 'späße 🐘', 'xy', 'bytes', 'text', 'blob', 'drei', 'a,c', '{"a": [1, null, "x"]}', point(1, 2), '123e4567-e89b-12d3-a456-426655440000', '2001:db8::1');
insert into types values (3, 0, 0, 0, 0, 0, 0, 0, 0, -0.0, 0, 0, '0001-01-01', '00:00:00', '1000-01-01', null, 1901, '', '', '', '', '', '', 'one', '', '[]', null, null, null);
create table pairs (id int primary key, note varchar(60));
insert into pairs select seq, if(seq % 7 = 0, null, concat('note ', seq)) from seq_1_to_1000;
create table empty_one (a int, b text);
create table keyed (id int primary key auto_increment, name varchar(20) unique, n int default 5, made timestamp default '2026-01-01');
create view seen as select id, upper(note) as note from pairs where id < 10;
create sequence counter;
create procedure two_results() begin select 1 as a; select 2 as b, 'x' as c; end;
create procedure out_one(in x int, out y int, inout z varchar(20)) begin set y = x * 2; set z = concat(z, '!'); select y; end;
create procedure fails_late() begin select 1; signal sqlstate '45000' set message_text = 'later', mysql_errno = 5001; end;
create procedure warns() begin signal sqlstate '01000' set message_text = 'careful'; end;
create procedure none() begin end;
create function twice(x int) returns int deterministic return x * 2;
create trigger stamped before insert on keyed for each row set new.n = ifnull(new.n, 0) + 1;
`

/** The same for a server that has no sequences, and neither UUIDs nor addresses as types. */
export const MYSQL_TEMPLATE_OF_MYSQL = MYSQL_TEMPLATE.replace(
  'u uuid, i6 inet6',
  'u binary(16), i6 varbinary(16)',
)
  .replace(
    "'123e4567-e89b-12d3-a456-426655440000'",
    "uuid_to_bin('123e4567-e89b-12d3-a456-426655440000')",
  )
  .replace("'2001:db8::1'", "inet6_aton('2001:db8::1')")
  .replace(
    "insert into pairs select seq, if(seq % 7 = 0, null, concat('note ', seq)) from seq_1_to_1000",
    "insert into pairs with recursive seqs as (select 1 as seq union all select seq + 1 from seqs where seq < 1000) select seq, if(seq % 7 = 0, null, concat('note ', seq)) from seqs",
  )
  .replace('create sequence counter;', '')

/** Each is asked as text and, prepared, in the binary protocol. */
export const MYSQL_QUERIES: readonly string[] = [
  ...`select 1
select null, null as nothing
select 1 as a, 'text' as b, 1.5 as c, 1e3 as d, true as e, x'00ff41' as f, b'101' as g
select -1, 18446744073709551615, -9223372036854775808, 0.1 + 0.2, 1/3, 5 div 2, 5 % 3
select 1e308 * 10
select 1/0
select cast(1 as unsigned), cast('x' as char), cast(1.5 as decimal(10,3)), cast('2026-01-01' as date), cast('10:11:12.5' as time(1)), cast(1 as double)
select * from types
select * from types where id = 1
select t, tu, s, m, i, b, bu from types
select f, d, dd from types
select f * 1.1, d / 3, dd / 7 from types
select bi, bi + 0, hex(bi) from types
select dt, ti, dtm, ts, y from types
select date '2026-02-28' + interval 1 day, time '-12:13:14.000015', timestamp '2026-01-01 00:00:00'
select timediff('10:00:00', '12:00:01.5'), sec_to_time(-5), maketime(800, 1, 1.000001)
select c, v, tx from types
select bn, vb, bl from types
select e, st, e + 0, st + 0 from types
select j, json_extract(j, '$.a'), json_length(j) from types
select g, st_astext(g), st_asbinary(g) from types
select u, i6, hex(u) from types
select id, note from pairs
select * from pairs order by id desc limit 3
select * from pairs limit 0
select * from empty_one
select count(*), sum(id), avg(id), min(note), max(note), std(id), group_concat(note order by id limit 3) from pairs
select note, count(*) as n from pairs group by note having n > 1
select note from pairs group by note with rollup limit 5
select distinct id % 3 as m from pairs order by m
select p.id, q.note as other from pairs p left join pairs q on q.id = p.id + 995 where p.id > 3 limit 8
select * from pairs a join pairs b using (id) where id = 5
select (select max(id) from pairs) as top, exists(select 1 from empty_one) as any_row
select id from pairs where id in (1, 5, 9) union all select 77 union select null
select * from (values (1, 'a'), (2, 'b')) v
with recursive n as (select 1 as i union all select i + 1 from n where i < 20) select * from n
select id, row_number() over (order by id), lag(id, 2) over (order by id), sum(id) over () from pairs limit 4
select * from seen
select seen.note as n, s.id from seen as s join seen using (id) limit 2
select id as \`a column with a very long name which is nearly as long as names may be!!\` from pairs limit 1
select id 'Spaß', note as \`名前\` from pairs limit 1
select 'späße', '🐘', _latin1 x'e4', convert('ä' using latin1), _binary 'x'
select repeat('x', 250), repeat('y', 251), repeat('z', 252)
select repeat('x', 65535), repeat('y', 65536)
select length(repeat('x', 1000000)), repeat('ab', 500000)
select group_concat(seq) from seq_1_to_1000
select seq, repeat('r', seq) from seq_1_to_300
select seq from seq_1_to_20000
select ${Array.from({ length: 300 }, (_, i) => `${i} as c${i}`).join(', ')}
select version(), @@version_comment, database(), user() is not null
select @@sql_mode, @@character_set_client, @@collation_connection, @@autocommit, @@max_allowed_packet
select @@session_track_system_variables is not null
select now(), curdate(), now(6), unix_timestamp()
select rand(3), rand(7), crc32('x'), md5('x'), sha2('x', 512)
select twice(21)
select twice(id) from pairs limit 2
select 'x' collate utf8mb4_bin = 'X', 'a' < 'B', 'ß' = 'ss'
select * from information_schema.schemata where schema_name = 'parity'
select column_name, column_type from information_schema.columns where table_schema = 'parity' and table_name = 'types' order by ordinal_position
select * from no_such_table
select no_such_column from pairs
select no_such_function(1)
select 1 from
selec 1
select '
select * from pairs where id = (select id from pairs)
select json_extract('{', '$.a')
select cast('x' as signed), '5 apples' + 1
show warnings
show count(*) warnings
show errors
insert into keyed (name) values ('a')
insert into keyed (name) values ('b'), ('c'), ('d')
select last_insert_id(), row_count()
insert into keyed (name) values ('a')
insert ignore into keyed (name) values ('a'), ('e')
show warnings
insert into keyed (name, n) values ('a', 9) on duplicate key update n = n + 1
insert into keyed (name) select concat('s', seq) from seq_1_to_5
insert into keyed (name, n) values ('r', 3) returning id, name, n
insert into keyed (name) values (repeat('too long', 10))
replace into keyed (id, name) values (1, 'z')
update keyed set n = 10
update keyed set n = 10
update keyed set n = 11 where id = 2
update keyed set n = 'x' where id = 3
update pairs p join keyed k on k.id = p.id set p.note = k.name
delete from keyed where id = 2
delete from keyed where id = 999
delete from keyed where n > 100 returning *
select row_count()
select sql_calc_found_rows id from pairs limit 3
select found_rows()
select nextval(counter), lastval(counter)
select id into @kept from pairs order by id limit 1
select @kept, @unset, @v := 5
set @a = 1, @b = 'x', @c = 1.5, @d = null
select @a, @b, @c, @d
begin
insert into empty_one values (1, 'in a transaction')
savepoint one
insert into empty_one values (2, repeat('b', 70000))
rollback to savepoint one
select a, length(b) from empty_one
commit
start transaction read only
insert into empty_one values (3, 'refused')
rollback
set autocommit = 0
insert into empty_one values (4, 'later')
rollback
set autocommit = 1
call two_results()
call none()
call warns()
call fails_late()
call out_one(21, @y, @z)
call no_such_procedure()
set @z = 'start'
call out_one(4, @y, @z)
select @y, @z
create table made (a int, b varchar(10))
create table made (a int)
create table if not exists made (a int)
alter table made add column c date default '2026-01-01'
insert into made (a) values (1), (2)
select * from made
create index on_a on made (a)
truncate made
drop table made
drop table if exists made
create temporary table passing as select id from pairs limit 3
select * from passing
drop temporary table passing
describe types
show columns from pairs
show full columns from keyed
show create table keyed
show create view seen
show index from keyed
show tables
show full tables like '%s'
show variables like 'sql_mode'
show variables like 'character\\_set\\_%'
show session variables where variable_name = 'autocommit'
select trigger_name, action_statement, sql_mode from information_schema.triggers where trigger_schema = 'parity'
select routine_name, routine_definition from information_schema.routines where routine_schema = 'parity'
show create procedure none
show databases like 'par%'
show collation like 'utf8mb4_bin'
explain select * from pairs where id = 5
explain extended select * from pairs p join keyed k using (id)
explain format=json select note from pairs where id < 3
do 1
do sleep(0)
select get_lock('parity', 0), release_lock('parity')
select sleep(0)
handler pairs open
handler pairs read first
handler pairs read \`PRIMARY\` = (5)
handler pairs read next limit 2
handler pairs close
check table pairs
analyze table empty_one
checksum table pairs
use parity
set names utf8mb4
set names latin1
select 'ä', v, tx, note from types join pairs using (id)
set character_set_results = null
select v from types where id = 2
set names utf8mb4
set sql_mode = 'ANSI_QUOTES'
select "id" from pairs limit 1
set sql_mode = 'NO_BACKSLASH_ESCAPES'
select 'a\\b', '\\'
set sql_mode = 'PIPES_AS_CONCAT'
select 'a' || 'b'
set sql_mode = default
set time_zone = '+05:30'
select ts from types where id = 2
set time_zone = '+00:00'
set session transaction isolation level read committed
select @@tx_isolation
set max_statement_time = 5
set statement sql_mode = '' for select 1/0
set no_such_setting = 1
set global no_such_setting = 1
prepare p from 'select ? + 1 as n, ? as t'
execute p using 5, 'x'
execute p using @a, @b
execute p
deallocate prepare p
execute p
execute immediate 'select 42 as answer'
lock tables pairs read
select count(*) from pairs
insert into keyed (name) values ('locked out')
unlock tables
xa start 'x'
xa end 'x'
xa rollback 'x'
signal sqlstate '45000' set message_text = 'on purpose'
get diagnostics @n = number
select * from pairs where match (note) against ('x')
select * from pairs procedure analyse(10, 2000)
begin not atomic declare x int default 3; select x; end
if 1 then select 'yes'; end if
select 1 into outfile '/no/such/place/at/all'
load data infile '/no/such/file' into table pairs
-- only a comment
/* only a comment */
/*!50000 select 5 */
/*M!100000 select 6 */
select /*!99999 7, */ 8
select a.id, a.note, b.* from pairs a, keyed b where a.id = 1 limit 3
analyze format=json select 1
help 'select'`
    .split('\n')
    // Times that it took.
    .filter((sql) => !/^analyze format/.test(sql)),
  '',
  ';',
  ' ',
  'select 1;',
  'select 1 ; ',
]

/** Around 16 MB, where packets end and go on. */
export const MYSQL_LARGE: readonly string[] = [
  "select repeat('big', 5600000)",
  'select space(16777215 - 5)',
  "select repeat('a', 16777214), 1",
  "select repeat('a', 16777215 * 2 - 4)",
  `select length('${'x'.repeat(17_000_000)}')`,
  `select '${'y'.repeat(16_777_300)}'`,
]

/** As text alone: several statements, and what the gateway takes as that only. */
export const MYSQL_SEVERAL: readonly string[] = [
  'kill 4294967295',
  'select 1; select 2',
  'select 1; select * from no_such_table; select 3',
  'insert into empty_one values (5, "a"); select * from empty_one; delete from empty_one where a = 5',
  'call two_results(); select 3; call none()',
  'set @x = 5; select @x; do 1; select 1 from empty_one limit 0',
  'begin; insert into empty_one values (6, null); rollback; select count(*) from empty_one',
  'select 1;; select 2',
  'select 1; selec 2',
  `select 1; ${'do 1; '.repeat(100)}select 2`,
  "select repeat('x', 100000); select repeat('y', 100000); select 3",
  'update keyed set n = 12; select row_count(); show warnings',
  "prepare q from 'select 9'; execute q; deallocate prepare q",
  'create table brief (a int); insert into brief values (1); select * from brief; drop table brief',
  'select 1 /* ; */; select ";" ; -- done',
]

/** What is prepared once, with values of every type. */
export const MYSQL_WITH_VALUES: readonly {
  sql: string
  values: readonly (readonly [number, Buffer | null])[]
}[] = (() => {
  const int = (size: number, value: number | bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return bytes.subarray(0, size)
  }
  const double = (value: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    return bytes
  }
  const float = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatLE(value)
    return bytes
  }
  const text = (value: string) => {
    const bytes = Buffer.from(value)
    return bytes.length < 251
      ? Buffer.concat([Buffer.from([bytes.length]), bytes])
      : Buffer.concat([
          Buffer.from([0xfd, bytes.length & 255, (bytes.length >> 8) & 255, bytes.length >> 16]),
          bytes,
        ])
  }
  const all: (readonly [number, Buffer | null])[] = [
    [1, int(1, -5)],
    [2, int(2, -500)],
    [3, int(4, -70_000)],
    [8, int(8, -5_000_000_000n)],
    [0x8001, int(1, 200)],
    [0x8008, int(8, -1n)],
    [4, float(1.25)],
    [5, double(Math.PI)],
    [0xf6, text('12345.678900')],
    [0xfd, text('späße')],
    [0xfe, text('')],
    [0xfc, text('blob\0bytes')],
    [0xfd, text('x'.repeat(70_000))],
    [6, null],
    [0xfd, null],
    [10, Buffer.from([4, 0xea, 7, 11, 22])],
    [12, Buffer.from([7, 0xea, 7, 11, 22, 10, 11, 12])],
    [12, Buffer.from([11, 0xea, 7, 11, 22, 10, 11, 12, 1, 2, 3, 0])],
    [7, Buffer.from([0])],
    [11, Buffer.from([8, 1, 2, 0, 0, 0, 3, 4, 5])],
    [11, Buffer.from([12, 0, 2, 0, 0, 0, 3, 4, 5, 9, 0, 0, 0])],
    [13, int(2, 2026)],
  ]
  return [
    ...all.map((one) => ({ sql: 'select ? as value', values: [one] })),
    { sql: `select ${all.map(() => '?').join(', ')}`, values: all },
    {
      sql: 'select * from pairs where id between ? and ? order by id',
      values: [
        [3, int(4, 5)],
        [3, int(4, 9)],
      ],
    },
    {
      sql: 'select * from pairs where note like ? limit ?',
      values: [
        [0xfd, text('note 1%')],
        [8, int(8, 3)],
      ],
    },
    {
      sql: 'insert into empty_one values (?, ?)',
      values: [
        [3, int(4, 50)],
        [0xfc, text('y'.repeat(300))],
      ],
    },
    {
      sql: 'update empty_one set b = ? where a = ?',
      values: [
        [0xfd, null],
        [3, int(4, 50)],
      ],
    },
    { sql: 'delete from empty_one where a = ?', values: [[3, int(4, 50)]] },
    {
      sql: 'call out_one(?, ?, ?)',
      values: [
        [3, int(4, 5)],
        [3, int(4, 0)],
        [0xfd, text('in')],
      ],
    },
    { sql: 'insert into keyed (name) values (?)', values: [[0xfd, text('a')]] },
    { sql: 'select ? from no_such_table', values: [[3, int(4, 5)]] },
  ]
})()
