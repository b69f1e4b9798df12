/**
 * Short forms of the benches that judge as they measure: each refuses to report where an event is missing or twice. Asserts
 * nothing about how long anything takes.
 */
import { join } from 'node:path'
import { runProgram } from '@custody/test-support'
import { marksUpTo } from './growth'
import { type Row, Table } from './measure'

jest.setTimeout(900_000)

async function bench(...words: string[]): Promise<Row[]> {
  const main = join(__dirname, '../dist/main.js')
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [main, ...words, '--rounds', '1', '--seconds', '1', '--json'],
    { timeoutMs: 880_000 },
  )
  if (code !== 0) throw new Error(`${words.join(' ')}: exit code ${code}\n${stderr}`)
  return (JSON.parse(stdout.trim().split('\n').at(-1)!) as { rows: Row[] }).rows
}

const of = (rows: readonly Row[], name: string) =>
  Object.fromEntries(
    rows.filter((row) => row.case === name).map(({ subject, median }) => [subject, median]),
  )

test('growth: each event once, and its cost by size', async () => {
  const rows = await bench('growth', '--events', '20000')
  for (const name of ['ingest', 'ingest: CPU', 'in the table', 'one session’s timeline'])
    expect(of(rows, name)).toEqual({ '0.02 million': expect.any(Number) })
  expect(of(rows, 'in the table')['0.02 million']).toBeGreaterThan(0)
})

test('pipeline: every subject brings every event', async () => {
  const rows = await bench('pipeline', '--events', '3000')
  expect(Object.keys(of(rows, 'queryable'))).toEqual([
    'a plain consumer',
    'custody, from Kafka',
    'custody, log to Kafka to store',
    'custody, embedded',
    'engine, from a file',
    'engine, two files at once',
    'ClickHouse’s Kafka engine',
  ])
})

test('outage: clients are let in, what asks for replication is refused, and every event is stored once', async () => {
  const rows = await bench('outage', '--outage', '20', '--rate', '10', '--how', 'kill')
  expect(of(rows, 'psql: refused')).toEqual({ before: 0, during: 0, after: 0 })
  expect(of(rows, 'psql, replicated: refused').during).toBeGreaterThan(0)
  expect(of(rows, 'not in Kafka at most')['20 s without Kafka']).toBeGreaterThan(0)
})

test('control: an answer is acted on, here and over Kafka', async () => {
  const rows = await bench('control', '--answers', '2')
  expect(Object.keys(of(rows, 'the answer is recorded until the gateway goes on'))).toEqual([
    'one machine',
    'over Kafka',
  ])
})

test('replicated: commands of each durability', async () => {
  const rows = await bench('replicated', '--clients', '1')
  for (const [subject, perSecond] of Object.entries(of(rows, '1 client')))
    expect([subject, perSecond > 0]).toEqual([subject, true])
  expect(of(rows, '1 client')).toHaveProperty('custody replicated')
})

test('marks of growth', () => {
  expect(marksUpTo(100e6)).toEqual([1e6, 3e6, 10e6, 30e6, 100e6])
  expect(marksUpTo(1e6)).toEqual([1e6])
  expect(marksUpTo(20_000)).toEqual([20_000])
})

test('a table’s ratios are to the medians of the others of its case', () => {
  const table = new Table()
  for (const value of [1, 2, 9]) table.add('a', 'one', 's', value)
  table.add('a', 'two', 's', 4)
  expect(table.rows()).toMatchObject([
    { subject: 'one', median: 2, min: 1, max: 9, ratioTo: { two: 0.5 } },
    { subject: 'two', median: 4, ratioTo: { one: 2 } },
  ])
})

test('mysql: each statement that ran is in the record with its answer', async () => {
  const rows = await bench('mysql', '--subjects', 'pipe;custody os')
  for (const name of [
    'text, 1 client',
    'text, 16 clients',
    'prepared, 1 client',
    'prepared, 16 clients',
  ])
    expect(of(rows, name)).toEqual({ pipe: expect.any(Number), 'custody os': expect.any(Number) })
})
