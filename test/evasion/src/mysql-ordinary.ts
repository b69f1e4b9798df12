/**
 * What people and programs run all day on MySQL and MariaDB. Reading must pass a read-only policy; reading and writing must pass
 * one that holds only what can't be taken back.
 */

export const MYSQL_SHOP = `
create table customers (id int primary key, name varchar(60) not null, email varchar(80), city varchar(30), born date, profile json, created timestamp default current_timestamp);
create table orders (id int primary key auto_increment, customer int, total decimal(10,2), status enum('new','paid','sent'), placed datetime, note text, key (customer), fulltext key (note));
create table items (order_id int, line int, product varchar(40), price decimal(10,2), quantity int, total decimal(12,2) as (price * quantity), primary key (order_id, line));
insert into customers select seq, concat('name ', seq), concat('c', seq, '@example.com'), elt(1 + seq % 3, 'Madrid', 'Paris', 'Rome'), date '1980-01-01' + interval seq day, json_object('level', seq % 5, 'likes', json_array('tea')), '2026-01-01' from seq_1_to_60;
insert into orders (customer, total, status, placed, note) select 1 + seq % 60, seq * 1.5, 1 + seq % 3, '2026-01-01' + interval seq hour, 'to be sent' from seq_1_to_200;
insert into items (order_id, line, product, price, quantity) select 1 + seq % 200, seq, concat('product ', seq % 9), seq, 1 + seq % 4 from seq_1_to_400;
create view paid as select o.id, c.name, o.total from orders o join customers c on c.id = o.customer where o.status = 'paid';
create view totals as select customer, sum(total) as total from orders group by customer;
create view big_totals as select upper(c.name) as name, t.total from totals t join customers c on c.id = t.customer where t.total > 10;
create sequence tickets;
create view tickets_left as select nextval(tickets) as n;
create procedure report() select count(*) from orders;
`

const TABLES: [table: string, number: string, text: string, time: string][] = [
  ['customers', 'id', 'name', 'created'],
  ['orders', 'total', 'status', 'placed'],
  ['items', 'price', 'product', 'now()'],
  ['paid', 'total', 'name', 'current_timestamp'],
  ['big_totals', 'total', 'name', 'curdate()'],
]

const EXPRESSIONS = `abs(N)
round(N, 1)
ceil(N), floor(N)
N % 7, N mod 7, N div 2
cast(N as char), convert(N, signed)
sqrt(abs(N)), power(N, 2), ln(abs(N) + 1)
greatest(N, 5), least(N, 5)
coalesce(N, 0), ifnull(N, 0), nullif(N, 3)
format(N, 2), truncate(N, 1), sign(N)
case when N > 5 then 1 else 2 end
N between 1 and 9, N in (1, 2, 3), N not in (4)
upper(T), lower(T), length(T), char_length(T)
substring(T, 1, 3), substring(T from 2 for 2), left(T, 2), right(T, 2), mid(T, 2, 1)
locate('a', T), instr(T, 'a'), position('a' in T)
trim(T), trim(both ' ' from T), ltrim(T), rtrim(T)
replace(T, 'a', 'b'), reverse(T), repeat(T, 2), insert(T, 1, 1, 'x')
concat(T, '!'), concat_ws('-', T, N), T like '%a%', T not like 'N%'
T regexp '^n', T rlike 'x', regexp_replace(T, 'a', 'b')
md5(T), sha1(T), sha2(T, 256), crc32(T), hex(T)
substring_index(T, ' ', 1), lpad(T, 10, '.'), rpad(T, 10, '.')
ascii(T), ord(T), soundex(T), elt(1, T), field(T, 'a'), find_in_set('a', T)
year(D), month(D), day(D), hour(D), dayofweek(D), weekofyear(D)
date(D), time(D), date_format(D, '%Y-%m'), last_day(D)
D + interval 1 day, date_add(D, interval 1 month), date_sub(D, interval 1 hour)
datediff(now(), D), timestampdiff(minute, D, now()), unix_timestamp(D)
extract(year from D), to_days(D), date_format(D, '%d.%m.%Y %H:%i')
if(N > 1, T, 'x'), N is null, T is not null, N <=> 3, not N
json_object('a', N, 'b', T), json_array(T), json_quote(T)
conv(N, 10, 16), bin(N), cast(N as decimal(10, 3)), binary T`.split('\n')

const QUERIES = (table: string, number: string, text: string): string[] =>
  `select * from T
select * from T limit 5
select * from T order by 1 desc limit 5 offset 2
select count(*) from T
select count(distinct X) from T
select X, count(*) as n from T group by X having n > 0 order by n desc
select X, sum(N), avg(N), min(N), max(N), std(N) from T group by X with rollup
select distinct X from T
select * from T where N > 10 and X like '%a%' or N is null
select group_concat(distinct X order by X separator ', ') from T
select N, row_number() over (order by N), rank() over (partition by X order by N), lag(N) over (order by N) from T limit 3
select sum(N) over w from T window w as (partition by X order by N rows between 1 preceding and current row) limit 3
with t as (select * from T where N > 5) select count(*) from t
with a as (select X from T), b as (select X from a limit 3) select * from b
select * from (select N as n from T) x where n > (select avg(N) from T)
select a.X from T a join T b on a.X = b.X and a.N < b.N limit 2
select a.X from T a left join T b using (X) limit 2
select X from T where exists (select 1 from customers where id = 1) limit 1
select X from T union select name from customers limit 4
select X from T intersect select name from customers
explain select * from T where N = 1
explain extended select X from T
explain format=json select count(*) from T
analyze select count(*) from T
describe T
show columns from T
show full columns from T like '%a%'
show create table T
show index from T
select /* a comment */ X -- another
 from T limit 1
select sql_no_cache X from T limit 1
select X as \`the text\`, N 'the number' from T limit 1
select * from T where N = 3`
    .split(/\n(?=[a-z(])/)
    .map((sql) => sql.replace(/\bT\b/g, table).replace(/\bX\b/g, text).replace(/\bN\b/g, number))

const MORE = `select 1
select 1 + 1 as two, 'x', null, true, x'41', 0x41, b'1', 1.5e3
select version(), user(), current_user(), database(), connection_id()
select @@version, @@session.sql_mode, @@global.max_connections, @@autocommit
select @@session.auto_increment_increment as auto_increment_increment, @@character_set_client as character_set_client, @@sql_mode as sql_mode
select now(), curdate(), curtime(), utc_timestamp(), sysdate(), unix_timestamp()
select found_rows(), row_count(), last_insert_id()
select uuid(), rand(), pi()
select database()
select schema()
set names utf8mb4
set names 'utf8mb4' collate 'utf8mb4_general_ci'
set autocommit = 1
set session wait_timeout = 1000
set sql_mode = 'STRICT_TRANS_TABLES'
set @a = 1, @b := 'x'
select @a, @b, @c
set time_zone = '+00:00'
set session transaction isolation level read committed
set session transaction read only
set session transaction read write
set character_set_results = NULL
set character_set_results = utf8mb4
set sql_select_limit = 100
set sql_select_limit = default
set session max_statement_time = 100
set statement max_statement_time = 10 for select 1
set sql_safe_updates = 0
start transaction
start transaction read only
start transaction with consistent snapshot
begin
commit
rollback
savepoint a
begin; select count(*) from orders; commit
show databases
show schemas like 's%'
show tables
show full tables
show tables like 'o%'
show table status
show table status like 'orders'
show variables
show variables like 'version%'
show session variables like 'sql_mode'
show global variables where variable_name = 'port'
show status
show global status like 'Threads%'
show warnings
show errors
show count(*) warnings
show processlist
show full processlist
show engines
show storage engines
show plugins
show collation like 'utf8mb4%'
show character set
show charset
show grants
show grants for current_user()
show create database shop
show create view paid
describe tickets_left
show columns from tickets_left
show create view tickets_left
show create procedure report
show procedure status like 'report'
show function status
show triggers
show events
show open tables
show privileges
show index from orders
show keys from orders
show indexes in items
show engine innodb status
show master status
show slave status
show profiles
desc customers
desc customers name
describe orders status
explain orders
help 'select'
use shop
select table_name, table_rows, engine from information_schema.tables where table_schema = database()
select column_name, data_type, column_key from information_schema.columns where table_schema = database() and table_name = 'orders' order by ordinal_position
select constraint_name, column_name, referenced_table_name from information_schema.key_column_usage where table_schema = database()
select routine_name from information_schema.routines where routine_schema = database()
select index_name, seq_in_index, column_name from information_schema.statistics where table_schema = database()
select schema_name from information_schema.schemata
select table_name, view_definition from information_schema.views where table_schema = database()
select user, host from mysql.user
select * from performance_schema.setup_consumers limit 1
select o.id, c.name, sum(i.price * i.quantity) as total from orders o join customers c on c.id = o.customer left join items i on i.order_id = o.id where o.placed >= '2026-01-01' group by o.id, c.name order by total desc limit 10
select c.city, year(o.placed) as y, count(*) as orders, round(avg(o.total), 2) as mean from customers c join orders o on o.customer = c.id group by c.city, y with rollup
select json_extract(profile, '$.level'), json_unquote(json_extract(profile, '$.likes[0]')), json_value(profile, '$.level') from customers limit 3
select json_arrayagg(id), json_objectagg(id, name) from customers where id < 4
select c.id, j.likes from customers c, json_table(c.profile, '$.likes[*]' columns (likes varchar(20) path '$')) j limit 3
select * from orders where match (note) against ('sent' in boolean mode) limit 2
with recursive n as (select 1 as i union all select i + 1 from n where i < 5) select i from n
select * from customers where (id, city) in (select id, city from customers where id < 5)
select * from customers where id = any (select customer from orders) limit 2
select * from orders where total > all (select price from items where quantity = 9)
values (1, 2), (3, 4)
(select id from customers limit 1) union all (select id from orders limit 1) order by 1
select id from customers where name = 'it''s' or name = "a ""quoted"" one" or name = 'a\\\\b'
select 'a;b', "c;d", 'e -- f', 'g /* h */'
select 'drop table orders', 'delete from orders'
select 1 as \`delete\`, 2 as \`update\`
select id as insert_id, status as created_at from orders limit 1
select /*!50000 straight_join */ id from orders limit 1
/*!40101 SET NAMES utf8 */
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */
/* ApplicationName=DBeaver */ select count(*) from orders
/* mysql-connector-java-8.0.33 */select @@session.auto_increment_increment as auto_increment_increment
select count(*) from orders; select count(*) from items
select * from seq_1_to_10
select seq from seq_1_to_20_step_5 where seq % 2 = 1
prepare p from 'select count(*) from orders where customer = ?'
set @c = 3
deallocate prepare p
select convert('x' using latin1), _utf8mb4 'x', 'x' collate utf8mb3_bin, charset('x'), collation('x')
select inet_aton('127.0.0.1'), inet_ntoa(2130706433), to_base64('x'), from_base64('eA=='), unhex('41')
select st_astext(point(1, 2)), st_distance(point(0, 0), point(3, 4))
select aes_encrypt('x', 'key'), compress('xxxx'), uncompress(compress('x'))
select str_to_date('01.02.2026', '%d.%m.%Y'), maketime(1, 2, 3), makedate(2026, 10), sec_to_time(100)
select group_concat(name) from customers where id < 3
select median(total) over (partition by customer) from orders limit 1
select percentile_cont(0.5) within group (order by total) over (partition by customer) from orders limit 1
select ifnull(max(id), 0) + 1 from orders
select exists(select 1 from orders where id = 3) as there
select * from orders procedure analyse()`
  .split('\n')
  .filter((sql) => !/procedure analyse/.test(sql))

export const MYSQL_READS: readonly string[] = [
  ...TABLES.flatMap(([table, number, text, time]) => [
    ...EXPRESSIONS.map(
      (one) =>
        `select ${one.replace(/\bN\b/g, number).replace(/\bT\b/g, text).replace(/\bD\b/g, time)} from ${table} limit 3`,
    ),
    ...QUERIES(table, number, text),
  ]),
  ...MORE,
]

export const MYSQL_WRITES: readonly string[] =
  `insert into customers (id, name) values (1000, 'new')
insert into customers (id, name) values (1001, 'a'), (1002, 'b')
insert into customers set id = 1003, name = 'c'
insert ignore into customers (id, name) values (1000, 'again')
insert into customers (id, name) values (1000, 'x') on duplicate key update name = values(name)
insert into customers (id, name) select id + 2000, name from customers where id < 5
insert into customers (id, name) values (1010, 'r') returning id, name
insert into orders (customer, total) values (1, 9.5)
select last_insert_id()
insert into orders () values ()
replace into customers (id, name) values (1000, 'replaced')
update customers set name = 'changed' where id = 1000
update customers set name = concat(name, '!'), city = null where id in (1001, 1002)
update orders set status = 'sent' where status = 'paid' and placed < '2026-01-03' order by id limit 3
update orders o join customers c on c.id = o.customer set o.note = c.name where c.id = 3
update customers set profile = json_set(profile, '$.level', 9) where id = 5
update items set quantity = quantity + 1 where order_id = 5 and line > 0
delete from customers where id = 1000
delete from customers where id between 1001 and 1003
delete from orders where id = 5 limit 1
delete from items where order_id = 6 returning line
delete o from orders o join customers c on c.id = o.customer where c.id = 7
delete from items where order_id in (select id from orders where customer = 8)
begin
insert into orders (customer, total) values (2, 3)
savepoint s
update orders set total = 4 where customer = 2 and id > 200
rollback to savepoint s
release savepoint s
commit
start transaction; update customers set city = 'Oslo' where id = 9; commit
insert into orders (customer, total, placed) values (3, 1, now())
insert into orders (customer, note) values (3, 'it''s a \\'quoted\\' note; really -- yes')
insert into orders (customer, note) values (4, "drop table customers")
select * from orders where id = 10 for update
select * from orders where id = 10 lock in share mode
create temporary table mine (id int, total decimal(10,2))
insert into mine select id, total from orders where total > 20
select count(*) from mine
create table archive like orders
insert into archive select * from orders where id < 20
create table if not exists counts as select customer, count(*) as n from orders group by customer
create index counts_customer on counts (customer)
create view recent as select * from orders where placed > '2026-01-02'
select * from recent limit 1
select nextval(tickets)
select next value for tickets
insert into counts values (nextval(tickets), 1)
select sleep(0)
select get_lock('mine', 0), release_lock('mine')
lock tables orders read, customers write
unlock tables
do sleep(0)
analyze table counts
optimize table counts
check table counts
flush status
set session sql_mode = 'TRADITIONAL'
set session sql_mode = default
insert into archive (customer, total, status, placed) values (1, 1, 'new', '2026-02-02 10:00:00')
update archive set total = 2 where customer = 1
delete from archive where customer = 1
replace into archive (id, customer) values (3, 3), (4, 4)
with c as (select id from orders where id < 3) select * from c`.split('\n')
