/** `custody connect` to a MySQL resource: the native client, with the token in its environment, and the URL for any other. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import {
  type MysqlServer,
  mysql,
  mysqlClient,
  runProgram,
  standaloneUnderTest,
  startMysql,
} from '@custody/test-support'
import { custody } from './cli'

let server: MysqlServer
const standalone = standaloneUnderTest('cli-mysql', (directory) => ({
  CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  CUSTODY_PORT_MYSQL: '0',
}))

beforeAll(async () => {
  server = await startMysql({ sql: 'create table t(a int); insert into t values (42)' })
  writeFileSync(
    join(standalone.directory, 'custody.yaml'),
    `resources: {shop: ${server.resource()}}\n`,
  )
  await standalone.start()
}, 120_000)

afterAll(async () => {
  await standalone.stop()
  await server?.stop()
})

async function run(words: string[]): Promise<{ code: number; out: string }> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  let out = ''
  streams.stdout.on('data', (data) => {
    out += data
  })
  const code = await custody(
    words,
    { ...streams, environment: standalone.environment },
    standalone.directory,
  )
  await new Promise((resolve) => setImmediate(resolve))
  return { code, out }
}

test('--print gives a URL that any client can use', async () => {
  const { code, out } = await run(['connect', 'shop', '--subject', 'ada', '--print'])
  expect(code).toBe(0)
  const url = new URL(out.trim())
  expect(url).toMatchObject({ protocol: 'mysql:', username: 'ada', pathname: '/shop' })
  const login = { port: Number(url.port), user: 'ada', password: url.password, database: 'shop' }
  expect((await mysql(login, ['--ssl', '-Ne', 'select a from t'])).stdout).toBe('42\n')
})

test('the client is started, its token is in no process list, and why is recorded', async () => {
  const main = join(__dirname, '../dist/main.js')
  const words = ['connect', 'shop', '--subject', 'ada', '--reason', 'INC 42', '--']
  const result = await runProgram(process.execPath, [main, ...words, '-Ne', 'select a from t'], {
    env: standalone.environment,
    cwd: standalone.directory,
  })
  expect(result).toMatchObject({ code: 0, stdout: '42\n' })
  const { out } = await run(['timeline', 'last', '--json'])
  expect(out).toContain('INC 42')
  expect(out).toContain('select a from t')
})

test('where MySQL’s own client is the one there is, with the options that it has', async () => {
  const place = join(standalone.directory, 'programs')
  mkdirSync(place)
  for (const program of ['/usr/bin/dirname', '/usr/bin/readlink', mysqlClient()!])
    symlinkSync(program, join(place, program.slice(program.lastIndexOf('/') + 1)))
  const main = join(__dirname, '../dist/main.js')
  const result = await runProgram(
    process.execPath,
    [main, 'connect', 'shop', '--subject', 'ada', '--', '-Ne', 'select a, version() from t'],
    { env: { ...standalone.environment, PATH: place }, cwd: standalone.directory },
  )
  expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/^42\t.*MariaDB/) })
})
