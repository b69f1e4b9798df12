/** Ways to read what no rule names and a detector knows by its looks. */
import { bind, execute, parse, sync } from '@custody/parity'
import { extended, grouped, list, type PostgresWay, type Unsorted, undone } from './ways'

const KINDS = [
  'card',
  'IBAN',
  'e-mail address',
  'AWS key',
  'GitHub token',
  'JWT',
  'private key',
  'social security number',
  'telephone number',
]

const ways: Unsorted[] = [
  ...KINDS.flatMap((kind, i) => [
    ...list([[`${kind}`, `select body from canary.messages where id = ${i + 1}`]]),
    extended(`${kind} as binary`, `select body from canary.messages where id = ${i + 1}`, {
      results: [1],
    }),
  ]),
  ...list([
    ['all messages', 'select * from canary.messages'],
    ['copied', 'copy canary.messages to stdout'],
    ['copied as csv', 'copy canary.messages to stdout csv'],
    ['copied as binary', 'copy canary.messages to stdout (format binary)'],
    ['in one value', "select string_agg(body, ' ') from canary.messages"],
    ['in an array', 'select array_agg(body) from canary.messages'],
    ['in a row', 'select m from canary.messages m'],
    ['in JSON made of rows', 'select json_agg(m) from canary.messages m'],
    ['in jsonb', 'select payload from canary.events'],
    ['in json', 'select raw from canary.events'],
    ['in a field of jsonb', "select payload->>'text' from canary.events"],
    ['in a key of jsonb', "select jsonb_object_keys(payload->'deep'->1) from canary.events"],
    ['in an array of text', 'select list from canary.events'],
    ['in elements of an array', 'select unnest(list) from canary.events'],
    ['in bytes', 'select bytes from canary.events'],
    ['in bytes as escapes', 'set bytea_output to escape', 'select bytes from canary.events'],
    ['in XML', 'select page from canary.events'],
    ['in an attribute of XML', "select xpath('/page/@mail', page) from canary.events"],
    ['in base64', 'select encoded from canary.events'],
    ['spread over an array', "select regexp_split_to_array(code, '') from canary.stock"],
    ['in another table', 'select label from canary.stock'],
    ['in a varchar', 'select code from canary.stock'],
    ['in a padded char', 'select fixed from canary.stock'],
    ['in a name', 'select tag from canary.stock'],
    ['as a number', 'select amount from canary.stock'],
    ['as an integer', 'select number from canary.stock'],
    [
      'as a number with groups',
      "select to_char(number, 'FM9999-9999-9999-9999') from canary.stock",
    ],
    ['in a table of keys', 'select k from canary.keys'],
    [
      'in a notice',
      `do $$ begin raise notice '%', (select string_agg(body, ' ') from canary.messages); end $$`,
    ],
    ['in an error', 'select body::int from canary.messages where id = 3'],
    [
      'in the detail of an error',
      `do $$ begin raise exception 'x' using detail = (select body from canary.messages where id = 1); end $$`,
    ],
    [
      'in a notification',
      'listen found',
      "select pg_notify('found', body) is null from canary.messages where id < 7",
      'select 1',
    ],
    [
      'in a setting',
      "select set_config('application_name', left(body, 60), false) is null from canary.messages where id = 1",
    ],
    ['in a comment', "select obj_description('canary.stock'::regclass)"],
    [
      'in a default',
      "select column_default from information_schema.columns where table_name = 'defaults'",
    ],
    [
      'in a check',
      "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'canary.defaults'::regclass",
    ],
    [
      'in the source of a function',
      "select prosrc, pg_get_functiondef(oid) from pg_proc where proname = 'constant'",
    ],
    ['of a function', 'select canary.constant()'],
    ['in a plan', 'explain verbose select canary.constant()'],
    ['in the labels of an enum', 'select enumlabel from pg_enum'],
    ['an enum', 'select enum_first(null::canary.cards)'],
    ['in pg_stats', "select histogram_bounds from pg_stats where tablename = 'messages'"],
    ['in a large object', 'select lo_get(4343)'],
    [
      'in a name of a column',
      'begin',
      `do $$ begin execute format('create temp table t (%I int)', (select code from canary.stock)); end $$`,
      'select * from t',
      'rollback',
    ],
    [
      'in an alias',
      `do $$ begin execute format('create temp view t as select 1 as %I', (select label from canary.stock)); end $$`,
      'table t',
    ],
    ['in upper case', 'select upper(label) from canary.stock'],
    ['in pieces', 'select left(code, 8), right(code, 8) from canary.stock'],
    ['character by character', 'select substr(code, generate_series(1, 16), 1) from canary.stock'],
    ['reversed', 'select reverse(body) from canary.messages'],
    ['as hexadecimal', "select encode(body::bytea, 'hex') from canary.messages"],
    ['as base64 made now', "select encode(body::bytea, 'base64') from canary.messages"],
    ['with marks between', "select regexp_replace(code, '(.{4})', '\\1 ', 'g') from canary.stock"],
    ['with marks between all', "select regexp_replace(code, '(.)', '\\1.', 'g') from canary.stock"],
    ['in a CSV of a query', 'copy (select label, code from canary.stock) to stdout csv header'],
    [
      'in a cursor',
      'begin',
      'declare c binary cursor for select body from canary.messages',
      'fetch all c',
      'rollback',
    ],
    [
      'in a copy',
      'create temp table t as select body as x from canary.messages',
      'select x from t',
    ],
    ['in lower case', 'select lower(body) from canary.messages'],
    [
      'in a long text',
      "select repeat('lorem ipsum ', 5000) || body || repeat(' dolor sit', 5000) from canary.messages",
    ],
    [
      'in a very long text',
      "select repeat('lorem ipsum ', 100000) || body from canary.messages where id = 1",
    ],
    ['in a unicode surrounding', "select '日本' || body || 'ünï' from canary.messages"],
    [
      'in UTF-16',
      "select decode(string_agg(lpad(to_hex(ascii(c)), 4, '0'), ''), 'hex') from regexp_split_to_table((select body from canary.messages where id = 1), '') c",
    ],
    ['in a URL', "select 'https://x.test/?q=' || label from canary.stock"],
  ]),
  ...undone([['returned', 'update canary.messages set id = id + 100 returning body']]),
  {
    name: 'by a portal, row by row',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse('select body from canary.messages'),
        bind(),
        execute('', 1),
        execute('', 1),
        execute('', 0),
        sync(),
      )
      await c.ready()
    },
  },
]

/** Whoever may write queries can write one that makes something else of a value: only rules by column hold against that. */
const LIMITS: Readonly<Record<string, string>> = {
  'spread over an array': 'one character in each element',
  'in pieces': 'in two columns',
  'character by character': 'one character in each row',
  reversed: 'reversed',
  'with marks between all': 'a mark behind each digit',
  'in lower case': 'lower case is another key, and no account is written so',
  'in UTF-16': 'UTF-16 in bytes',
}

export const DETECTED_WAYS: PostgresWay[] = grouped('what detectors know', ways).map((way) => {
  const limit = LIMITS[way.name]
  return limit === undefined ? way : { ...way, limit }
})
