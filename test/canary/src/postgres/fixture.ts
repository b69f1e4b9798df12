/**
 * The database that ways read from: a table whose columns are masked by name, others that are masked by the ends of their
 * names or where a partition is, and unmasked places that hold what detectors know. Made once, as a template.
 */
import { DETECTED, OTHERS, ROWS, type Row } from '../values'

/** A literal, whatever the value has in it. */
export const literal = (value: string): string =>
  value.includes('\\')
    ? `E'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${value.replaceAll("'", "''")}'`

/** All but `id`, `plain` and `city`. */
export const MASKED_COLUMNS = [
  'name',
  'email',
  'card_number',
  'phone',
  'secret',
  'notes',
  'tags',
  'born',
  'salary',
  'account',
  'token',
  'blob',
  'address',
  'attrs',
  'doc',
] as const

/** What the rules of a configuration name. */
export const MASKED: readonly string[] = [
  ...MASKED_COLUMNS.filter((column) => column !== 'email').map(
    (column) => `canary.customers.${column}`,
  ),
  '*.email',
  'canary.logins.who',
  'canary.visits_1.who',
]

const values = (one: Row, id: number) =>
  [
    id,
    literal(one.name.value),
    literal(one.email.value),
    literal(one.card.value),
    literal(one.phone.value),
    literal(one.secret.value),
    literal(JSON.stringify({ note: one.note.value, deep: { list: [1, one.deep.value] }, n: id })),
    `array[${literal(one.tag.value)}, ${literal(one.tag2.value)}]`,
    literal(one.born.value),
    one.salary.value,
    one.account.value,
    literal(one.token.value),
    `'\\x00ff'::bytea || ${literal(one.blob.value)}::bytea || '\\x0080'::bytea`,
    `row(${literal(one.street.value)}, 'Graz')::canary.place`,
    `hstore('known', ${literal(one.attr.value)})`,
    `xmlparse(content '<doc><note>${one.doc.value}</note></doc>')`,
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
const everything = sentences.join(' ')

export const FIXTURE = `
create extension hstore;
create schema canary;
create type canary.place as (street text, town text);
create domain canary.mail as text check (value <> '');
create type canary.mood as enum ('sad', 'ok');
create table canary.customers (
  id int primary key, name text not null, email text unique, card_number text, phone text, secret text, notes jsonb,
  tags text[], born date, salary numeric, account bigint, token uuid, blob bytea, address canary.place, attrs hstore,
  doc xml, plain text, city text);
${ROWS.map((one, i) => `insert into canary.customers values (${values(one, i + 1)});`).join('\n')}
create index on canary.customers (upper(name));

create table canary.orders (id int primary key, customer_id int references canary.customers, email text, amount numeric);
insert into canary.orders values (1, 1, ${literal(OTHERS.orderEmail.value)}, 10), (2, 2, null, 20);
create table canary.mails (id int primary key, whom text references canary.customers (email));
create table canary.numbers (n int unique, small smallint check (small < 10), checked text check (length(checked) < 5), must text not null, short varchar(4), mood canary.mood, period int4range, exclude using gist (period with &&));
create table canary.uniques (word text primary key);
insert into canary.uniques select name from canary.customers;
delete from canary.uniques;
create table canary.notices (id serial primary key, body text);
create table canary.copies (id int, body text, more text);

create table canary.beings (kind text);
create table canary.logins (who text, at int) partition by range (at);
create table canary.logins_1 partition of canary.logins for values from (0) to (10);
insert into canary.logins values (${literal(OTHERS.login.value)}, 1);
create table canary.visits (who text, at int) partition by range (at);
create table canary.visits_1 partition of canary.visits for values from (0) to (10);
insert into canary.visits values (${literal(OTHERS.visit.value)}, 1);
create table canary.parent (name text);
create table canary.vip () inherits (canary.customers);
insert into canary.vip select 100 + id, name || 'v', email || 'v', card_number, phone, secret, notes, tags, born, salary, account, token, blob, address, attrs, doc, plain, city from canary.customers where id = 1;

create view canary.people as select id, name, email, plain from canary.customers;
create view canary.renamed (a, b, c) as select id, name, secret from canary.customers;
create view canary.deeper as select b as harmless, c as more from canary.renamed;
create view canary.computed as select id, upper(name) || ' ' || email as label, left(name, 12) as short, length(name) as n from canary.customers;
create view canary.barrier with (security_barrier) as select id, phone as p from canary.customers;
create view canary.united as select name as v from canary.customers union all select secret from canary.customers;
create view canary.whole as select c from canary.customers c;
create view canary.documented as select to_jsonb(c) as j from canary.customers c;
create materialized view canary.kept as select id, name as kept_name, email as kept from canary.customers;
create recursive view canary.recursing (id, v) as select id, name from canary.customers where id = 1 union all select c.id, c.name from canary.customers c, recursing r where c.id = r.id + 1;

create function canary.name_of(i int) returns text language sql stable as 'select name from canary.customers where id = i';
create function canary.name_atomic(i int) returns text language sql stable begin atomic select name from canary.customers where id = i; end;
create function canary.names() returns setof text language sql stable as 'select name from canary.customers order by id';
create function canary.everybody() returns setof canary.customers language sql stable as 'select * from canary.customers where id < 100 order by id';
create function canary.somebody(i int) returns canary.customers language sql stable as 'select * from canary.customers where id = i';
create function canary.as_table() returns table (x int, y text) language sql stable as 'select id, email from canary.customers';
create function canary.as_record() returns setof record language sql stable as 'select id, phone from canary.customers';
create function canary.with_out(i int, out a text, out b text) language sql stable as 'select name, secret from canary.customers where id = i';
create function canary.as_json() returns json language sql stable as 'select json_agg(c) from canary.customers c';
create function canary.definer(i int) returns text language sql stable security definer as 'select secret from canary.customers where id = i';
create function canary.pl(i int) returns text language plpgsql stable as $$ declare v text; begin select email into v from canary.customers where id = i; return v; end $$;
create function canary.pl_row(i int) returns canary.customers language plpgsql stable as $$ declare v canary.customers; begin select * into v from canary.customers where id = i; return v; end $$;
create function canary.pl_query() returns setof text language plpgsql stable as $$ begin return query select name from canary.customers; end $$;
create function canary.pl_next() returns setof text language plpgsql stable as $$ declare r record; begin for r in select phone from canary.customers loop return next r.phone; end loop; end $$;
create function canary.pl_execute(what text, at text) returns setof text language plpgsql stable as $$ begin return query execute format('select %I::text from %s', what, at); end $$;
create function canary.pl_out(out a text, inout i int) language plpgsql stable as $$ begin select secret into a from canary.customers where id = i; end $$;
create function canary.pl_cursor() returns refcursor language plpgsql as $$ declare c refcursor := 'told'; begin open c for select name, email from canary.customers; return c; end $$;
create function canary.pl_build() returns text language plpgsql stable as $$ declare r record; v text := ''; begin for r in select * from canary.customers loop v := v || r.name || ';' || r.salary; end loop; return v; end $$;
create function canary.says(level text) returns void language plpgsql as $$ declare v text; begin select name into v from canary.customers where id = 1;
  if level = 'notice' then raise notice 'found %', v; elsif level = 'warning' then raise warning '%', v; elsif level = 'info' then raise info '%', v; elsif level = 'log' then raise log '%', v;
  elsif level = 'detail' then raise notice 'look' using detail = v, hint = v; elsif level = 'exception' then raise exception 'gone: %', v; elsif level = 'exception detail' then raise exception 'gone' using detail = v;
  elsif level = 'exception hint' then raise exception 'gone' using hint = v; elsif level = 'exception column' then raise exception 'gone' using column = v; elsif level = 'exception table' then raise exception 'gone' using table = v, schema = v;
  elsif level = 'exception constraint' then raise exception 'gone' using constraint = v, datatype = v; elsif level = 'assert' then assert false, v; elsif level = 'debug' then raise debug '%', v; end if; end $$;
create function canary.notices_said() returns trigger language plpgsql as $$ begin raise notice 'for %', (select email from canary.customers where id = 1); return new; end $$;
create trigger notices_said after insert on canary.notices for each row execute function canary.notices_said();
create function canary.changes_said() returns trigger language plpgsql as $$ begin raise notice 'was %', old; return new; end $$;
create trigger changes_said before update on canary.customers for each row when (new.city = 'Linz') execute function canary.changes_said();
create function canary.change_told() returns trigger language plpgsql as $$ begin perform pg_notify('changes', to_jsonb(new)::text); return new; end $$;
create trigger change_told after update on canary.customers for each row when (new.city = 'Wels') execute function canary.change_told();
create procedure canary.take(inout a text, i int default 1) language plpgsql as $$ begin select name into a from canary.customers where id = i; end $$;
create procedure canary.take_commit(inout a text) language plpgsql as $$ begin select secret into a from canary.customers where id = 1; commit; end $$;
create function canary.joined_state(text, text) returns text language sql immutable as $$ select $1 || coalesce($2, '') $$;
create aggregate canary.joined(text) (sfunc = canary.joined_state, stype = text, initcond = '');
create operator canary.<+> (leftarg = text, rightarg = text, function = canary.joined_state);
create function canary.wrap(canary.customers) returns text language sql stable as 'select $1.phone';
create function canary.to_place(text) returns canary.place language sql immutable as $$ select row($1, 'x')::canary.place $$;

create function canary.tells() returns int language plpgsql stable as $$ begin raise notice '%', (select name from canary.customers where id = 1); return 1; end $$;
create function canary.fails() returns int language plpgsql stable as $$ begin raise exception '%', (select name from canary.customers where id = 1); end $$;

create table canary.messages (id int primary key, body text);
insert into canary.messages values ${sentences.map((text, i) => `(${i + 1}, ${literal(text)})`).join(', ')};
create table canary.events (id int primary key, payload jsonb, raw json, list text[], bytes bytea, page xml, encoded text);
insert into canary.events values (1, jsonb_build_object('text', ${literal(everything)}, 'deep', jsonb_build_array(1, jsonb_build_object('card', ${literal(card.value)}, ${literal(email.value)}, 'as a key'))),
  json_build_object('text', ${literal(everything)}), array[${sentences.map(literal).join(', ')}], ${literal(everything)}::bytea,
  xmlelement(name page, xmlattributes(${literal(email.value)} as mail), ${literal(everything)}), encode(${literal(everything)}::bytea, 'base64'));
create table canary.stock (id int primary key, label text, code varchar(80), fixed char(80), tag name, amount numeric, number bigint);
insert into canary.stock values (1, ${literal(`ask ${email.value}`)}, ${literal(card.value)}, ${literal(iban.value)}, ${literal(phone.value)}, ${card.value}, ${card.value});
create table canary.keys (id int primary key, k text);
insert into canary.keys values (1, ${literal(key.value)}), (2, ${literal(jwt.value)}), (3, ${literal(aws.value)}), (4, ${literal(github.value)});
comment on table canary.stock is ${literal(`asked by ${email.value}`)};
create table canary.defaults (id int, mail text default ${literal(email.value)}, card text check (card <> ${literal(card.value)}));
create function canary.constant() returns text language sql immutable as $$ select ${literal(card.value)}::text $$;
create type canary.cards as enum (${literal(card.value)}, 'none');
`

/** In the database itself, since it is told to no other: what needs names of its own. */
export const AFTERWARDS = `
insert into canary.numbers (n, must) values (1, 'x');
select lo_from_bytea(4242, convert_to((select name || ' ' || secret from canary.customers where id = 1), 'UTF8'));
select lo_from_bytea(4343, convert_to(${literal(everything)}, 'UTF8'));
analyze canary.customers;
analyze canary.messages;
`
