/**
 * The database that ways read from: a table whose columns are masked by name, another that is masked by the end of a name, and
 * unmasked places that hold what detectors know. Rules name no database, since every way may have one of its own.
 */
import { DETECTED, OTHERS, ROWS, type Row } from '../values'

/** A literal, whatever the value has in it. */
export const literal = (value: string): string =>
  `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')}'`

/** All but `id`, `plain` and `city`. */
export const MASKED_COLUMNS = [
  ...['name', 'email', 'card_number', 'phone', 'secret', 'notes', 'tags', 'born', 'salary'],
  ...['account', 'token', 'blob_', 'attrs', 'doc', 'address'],
] as const

/** What the rules of a configuration name. */
export const MASKED: readonly string[] = [
  ...MASKED_COLUMNS.filter((column) => column !== 'email').map((column) => `customers.${column}`),
  '*.email',
  'logins.who',
]

const row = (one: Row, id: number) =>
  [
    id,
    literal(one.name.value),
    literal(one.email.value),
    literal(one.card.value),
    literal(one.phone.value),
    literal(one.secret.value),
    literal(JSON.stringify({ note: one.note.value, deep: { list: [1, one.deep.value] }, n: id })),
    literal(`${one.tag.value},${one.tag2.value}`),
    literal(one.born.value),
    one.salary.value,
    one.account.value,
    literal(one.token.value),
    `concat(x'00ff', ${literal(one.blob.value)}, x'0080')`,
    literal(one.attr.value),
    literal(`<doc><note>${one.doc.value}</note></doc>`),
    literal(one.street.value),
    literal(`plain ${id}`),
    `'Graz'`,
  ].join(', ')

const { card, iban, email, aws, github, jwt, key, ssn, phone } = DETECTED
const sentences = [
  `please charge ${card.value} today`,
  `pay to ${iban.value}, thanks`,
  `write to ${email.value}!`,
  `export AWS_ACCESS_KEY_ID=${aws.value}`,
  `token: ${github.value}`,
  `Authorization: Bearer ${jwt.value}`,
  `the key:\n${key.value}\n`,
  `my SSN is ${ssn.value}.`,
  `call ${phone.value} now`,
]

/** Statements, one after the other, in a database that is empty. */
export const FIXTURE: readonly string[] = [
  `create table customers (
    id int primary key, name varchar(60) not null, email varchar(80) unique, card_number varchar(40), phone varchar(40),
    secret varchar(80), notes json, tags varchar(100), born date, salary decimal(20, 2), account bigint, token char(36), blob_ blob,
    attrs text, doc text, address varchar(80), plain varchar(20), city varchar(20),
    label varchar(200) as (concat(name, ' / ', plain)) virtual, kept_label varchar(200) as (upper(secret)) stored,
    key (phone)) default charset utf8mb4`,
  ...ROWS.map(
    (
      one,
      i,
    ) => `insert into customers (id, name, email, card_number, phone, secret, notes, tags, born, salary, account, token,
      blob_, attrs, doc, address, plain, city) values (${row(one, i + 1)})`,
  ),
  `create table orders (id int primary key, customer_id int, email varchar(80), amount int, note varchar(100),
    foreign key (customer_id) references customers (id))`,
  `insert into orders values (1, 1, ${literal(OTHERS.orderEmail.value)}, 10, 'first'), (2, 2, null, 20, 'second')`,
  `create table logins (who varchar(60), at int) partition by range (at) (partition p0 values less than (10))`,
  `insert into logins values (${literal(OTHERS.login.value)}, 1)`,
  `create table numbers (n int unique, small tinyint, checked varchar(100), short varchar(4), day date, j json,
    mood enum('sad', 'ok'), g geometry, check (length(checked) < 5))`,
  `create table copies (id int, body text, more text)`,
  `create table words (word varchar(100) primary key)`,
  `create table texts (id int primary key auto_increment, body text, bytes blob, wide varchar(2000) character set utf16)`,
  ...sentences.map(
    (text) =>
      `insert into texts (body, bytes, wide) values (${literal(text)}, ${literal(text)}, ${literal(text)})`,
  ),
  `create table documents (id int, j json)`,
  ...sentences.map(
    (text, i) =>
      `insert into documents values (${i}, json_object('text', ${literal(text)}, 'list', json_array(1, ${literal(text)})))`,
  ),
  'create algorithm=merge view people as select id, name, email, plain from customers',
  'create algorithm=merge view renamed (a, b, c) as select id, name, secret from customers',
  'create algorithm=merge view deeper as select b as harmless, c as more from renamed',
  'create algorithm=temptable view kept as select id, name as kept_name, email as kept from customers',
  "create algorithm=temptable view computed as select id, concat(upper(name), ' ', email) as label from customers",
  'create view united as select name as v from customers union all select secret from customers',
  'create view grouped as select group_concat(name) as all_names, count(*) as n from customers',
  'create function name_of(n int) returns varchar(60) reads sql data return (select name from customers where id = n)',
  'create function echo_of(v varchar(200)) returns varchar(200) deterministic return v',
  'create procedure everyone() select name, email from customers',
  'create procedure aliased() select d.id from (select name as id from customers) d',
  'create procedure into_out(out v varchar(60)) select name into v from customers where id = 1',
  `create procedure told() begin
     declare v varchar(60); select name into v from customers where id = 1;
     signal sqlstate '45000' set message_text = v;
   end`,
  `create procedure told_as_another() begin
     declare v varchar(60); select name into v from customers where id = 2;
     signal sqlstate '23000' set message_text = v, mysql_errno = 1062;
   end`,
  `create procedure by_cursor() begin
     declare v varchar(60); declare c cursor for select secret from customers; open c; fetch c into v; close c; select v;
   end`,
  `create procedure by_text() begin
     set @q = 'select name from customers'; prepare p from @q; execute p;
   end`,
  'create procedure copying() insert into copies (id, body) select id, name from customers',
  `create trigger telling before insert on words for each row
     set new.word = concat(new.word, (select name from customers where id = 1))`,
]
