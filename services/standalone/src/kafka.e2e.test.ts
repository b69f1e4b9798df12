/** Stand-alone with Kafka between its parts: the same, by the longer way. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type KafkaServer,
  type PostgresServer,
  psql,
  runProgram,
  type StandaloneUnderTest,
  standaloneUnderTest,
  startKafka,
  startPostgres,
} from '@custody/test-support'

jest.setTimeout(300_000)

const MAIN = join(__dirname, '../../../cli/dist/main.js')
let kafka: KafkaServer
let server: PostgresServer
let custody: StandaloneUnderTest

beforeAll(async () => {
  kafka = await startKafka()
  server = await startPostgres()
  custody = standaloneUnderTest('over-kafka', (directory) => ({
    CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  }))
  writeFileSync(
    join(custody.directory, 'custody.yaml'),
    `kafka: {brokers: ["${kafka.brokers[0]}"], partitions: 2, replicationFactor: 1, minInsyncReplicas: 1}
log: {reserveBytes: 65536}
resources:
  shop: ${server.resource({ database: server.database, durability: 'replicated' })}
`,
  )
  await custody.start()
})

afterAll(async () => {
  await custody?.stop()
  await server?.stop()
  await kafka?.stop()
})

async function command(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(process.execPath, [MAIN, ...args], {
    env: custody.environment,
    cwd: custody.directory,
  })
  if (code !== 0) throw new Error(`custody ${args.join(' ')}: ${stderr}`)
  return stdout
}

test('what psql does is in the timeline, by way of Kafka, and the status says how it goes', async () => {
  const { token } = JSON.parse(await command('token', '--subject', 'ada', '--json'))
  const status = JSON.parse(await command('status', '--json'))
  expect(status.cluster).toMatchObject({ kafka: 'ok', shipper: { problem: null, isHearing: true } })
  expect(status.cluster.partitions).toHaveLength(2)
  const url = `postgresql://ada:${token}@127.0.0.1:${status.ports.postgres}/shop?sslmode=require`
  const said = await psql(url, ['-Atc', 'select 41 + 1'])
  expect([said.stdout, said.stderr]).toEqual(['42\n', ''])
  for (;;) {
    const timeline = await command('timeline', 'last').catch(() => '')
    if (timeline.includes('select 41 + 1')) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  expect(await command('status')).toMatch(/kafka +ok; all of its own log is there|wait to go there/)
  // Looked at by whoever trusts nothing of all this.
  expect(await command('verify')).toMatch(/The chain holds/)
})
