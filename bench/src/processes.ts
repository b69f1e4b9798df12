/**
 * Parts of Custody as processes of their own, as they run in earnest: the embedded engine, ingest, a recorder under load.
 * Each has an id to read its CPU time and memory by. Ends what it started.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { issueToken, loadTokenKeys } from '@custody/identity'
import { freePort, type Home, prepareHome } from '@custody/kit'

export interface Started {
  readonly child: ChildProcess
  readonly pid: number
  stop(): Promise<void>
}

export interface Engine extends Started {
  /** Credentials included. */
  readonly url: string
}

const STOP_MS_MAX = 60_000
const PASSWORD = 'bench'

/** Resolves with the child's first message. */
export async function started(
  module: string,
  environment: Record<string, string>,
): Promise<[Started, unknown]> {
  const child = fork(module, [], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const first = once(child, 'message')
  const gone = once(child, 'exit').then(([code]) => {
    throw new Error(`${module} ended with ${code}`)
  })
  gone.catch(() => {})
  const [message] = (await Promise.race([first, gone])) as [unknown]
  const failed = message as { type?: string; message?: string }
  if (failed.type === 'failed') throw new Error(`${module}: ${failed.message}`)
  return [
    {
      child,
      pid: child.pid!,
      async stop() {
        if (child.exitCode !== null || child.signalCode !== null) return
        const end = once(child, 'exit')
        child.kill('SIGTERM')
        const forced = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
        await end
        clearTimeout(forced)
      },
    },
    message,
  ]
}

export async function startEngine(
  directory: string,
  queryMemoryBytesMax?: number,
): Promise<Engine> {
  const port = await freePort()
  const [engine] = await started(join(__dirname, 'subjects/warehouse.js'), {
    BENCH_DIRECTORY: directory,
    BENCH_PORT: String(port),
    BENCH_PASSWORD: PASSWORD,
    UV_THREADPOOL_SIZE: '24',
    ...(queryMemoryBytesMax && { BENCH_QUERY_MEMORY: String(queryMemoryBytesMax) }),
  })
  return { ...engine, url: `http://custody:${PASSWORD}@127.0.0.1:${port}` }
}

/** The service itself, over a home's log, or over Kafka where a configuration has it. */
export async function startIngest(
  home: Home,
  url: string,
  configuration?: string,
): Promise<Started> {
  const main = join(dirname(require.resolve('@custody/ingest/package.json')), 'dist/main.js')
  const [ingest] = await started(main, {
    CUSTODY_HOME: home.directory,
    CUSTODY_WAREHOUSE_URL: url,
    CUSTODY_LOG_LEVEL: 'error',
    ...(configuration && { CUSTODY_CONFIG: configuration }),
  })
  return ingest
}

export interface Gateway {
  readonly child: ChildProcess
  readonly pid: number
  readonly home: Home
  /** Of somebody who may use it. */
  readonly token: string
}

const LOOK_MS = 20

/**
 * The gateway, with its state in a new directory; resolves when it listens. CUSTODY_BENCH_PROFILE names a directory that V8's
 * CPU profile of it goes to. `output`: where it is to say what it says, a file's number.
 */
export async function startGateway(
  place: string,
  configuration: string,
  output: 'inherit' | number = 'inherit',
): Promise<Gateway> {
  const home = prepareHome(place)
  const file = `${place}.yaml`
  writeFileSync(file, configuration)
  const { token } = await issueToken(await loadTokenKeys(home, 'local'), {
    subject: 'bench',
    ttlSeconds: 24 * 3600,
  })
  const main = join(dirname(require.resolve('@custody/proxy/package.json')), 'dist/main.js')
  const told = join(home.run, 'proxy.json')
  rmSync(told, { force: true })
  const profile = process.env.CUSTODY_BENCH_PROFILE
  const child = spawn(
    process.execPath,
    [...(profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : []), main],
    {
      env: {
        ...process.env,
        CUSTODY_HOME: home.directory,
        CUSTODY_CONFIG: file,
        CUSTODY_LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', output, output],
    },
  )
  while (!existsSync(told)) {
    if (child.exitCode !== null) throw new Error('the gateway did not start')
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  return { child, pid: child.pid!, home, token }
}
