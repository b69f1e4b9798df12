/** Values that the client says: what Custody keeps of them. */
import { Readable } from 'node:stream'
import { toldCanary } from '../../values'
import { literal } from '../fixture'
import type { MysqlWay, Run } from './ways'

const said = (
  name: string,
  statements: (value: string) => string[],
  isBinary = false,
): MysqlWay => {
  const { value } = toldCanary(`mysql ${name}`)
  const run: Run = async (to) => {
    const client = await to.client()
    for (const sql of statements(literal(value)))
      await (isBinary ? client.execute(sql) : client.query(sql)).catch((error: Error) =>
        to.sees(error.message),
      )
  }
  return { group: 'what the client says', name, run, fresh: true, told: true }
}

const parameter = (name: string, sql: string, more: (string | number)[] = []): MysqlWay => {
  const { value } = toldCanary(`mysql ${name}`)
  return {
    ...{ group: 'what the client says', name, fresh: true, told: true },
    async run(to) {
      const client = await to.client()
      await client.execute(sql, [value, ...more]).catch((error: Error) => to.sees(error.message))
    },
  }
}

export const TOLD: readonly MysqlWay[] = [
  said('a comparison', (v) => [`select id from customers where name = ${v}`]),
  said('a comparison, the other way', (v) => [`select id from customers where ${v} = email`]),
  said('in a list', (v) => [`select id from customers where secret in ('x', ${v})`]),
  said('like', (v) => [`select id from customers where name like concat('%', ${v})`]),
  said('between', (v) => [`select id from customers where name between 'a' and ${v}`]),
  said('having', (v) => [`select name, count(*) from customers group by name having name = ${v}`]),
  said('a join', (v) => [`select c.id from customers c join orders o on c.name = ${v}`]),
  said('an insert', (v) => [`insert into customers (id, name) values (50, ${v})`]),
  said('an insert with set', (v) => [`insert into customers set id = 50, name = ${v}`]),
  said('a replace', (v) => [`replace into customers (id, name) values (50, ${v})`]),
  said('on duplicate key', (v) => [
    `insert into customers (id, name) values (1, 'x') on duplicate key update name = ${v}`,
  ]),
  said('an update', (v) => [`update customers set secret = ${v} where id = 1`]),
  said('a delete', (v) => [`delete from customers where email = ${v}`]),
  said('prepared', (v) => [`update customers set name = ${v} where id = 1`], true),
  said('in a text that is prepared', (v) => [
    `execute immediate "select id from customers where name = ${v}"`,
  ]),
  said('in a view', (v) => [`create view x as select id from customers where name = ${v}`]),
  said('a handler', (v) => ['handler customers open', `handler customers read email = (${v})`]),
  said('an explain', (v) => [`explain select id from customers where name = ${v}`]),
  said('what is not understood', (v) => [
    `select id from customers where name = ${v} frobnicate the table`,
  ]),
  said('a password', (v) =>
    [`set password for owner@127.0.0.1 = password(${v})`].map((sql) =>
      sql.replace('owner@', 'nobody_here@'),
    ),
  ),
  said('a new user', (v) => [`create user canary_${process.pid} identified by ${v}`]),
  said('an altered user', (v) => [`alter user nobody_here identified by ${v}`]),
  said('a grant', (v) => [`grant select on copies to nobody_here identified by ${v}`]),
  said('a master', (v) => [`change master to master_password = ${v}`]),
  said('a server', (v) => [
    `create server s foreign data wrapper mysql options (host 'h', password ${v})`,
  ]),
  said('a key', (v) => [`select aes_encrypt(plain, ${v}) from customers`]),
  said('a syntax error at it', (v) => [`update customers set name = = ${v}`]),
  parameter('a parameter', 'select id from customers where name = ?'),
  parameter('a parameter of an insert', 'insert into customers (name, id) values (?, ?)', [60]),
  parameter('a parameter of an update', 'update customers set secret = ? where id = ?', [1]),
  parameter('a parameter in a function', 'select id from customers where upper(name) = upper(?)'),
  {
    ...{ group: 'what the client says', name: 'a file', fresh: true, told: true },
    async run(to) {
      const { value } = toldCanary('mysql a file')
      const client = await to.client()
      await client
        .query({
          sql: "load data local infile 'people.csv' into table customers fields terminated by ',' (id, name)",
          infileStreamFactory: () => Readable.from([Buffer.from(`70,${value}\n71,${value}x\n`)]),
        } as never)
        .catch((error: Error) => to.sees(error.message))
    },
  },
]
void toldCanary('mysql a file')
