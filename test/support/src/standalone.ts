/**
 * Everything that `npm start` starts, as tests and benchmarks have it: a process in a home of its own, gone with it.
 * Refuses to be ready before it has said so itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { temporaryDirectory } from './temporary'

const MAIN = join(__dirname, '../../../services/standalone/dist/main.js')

export interface StandaloneUnderTest {
  /** Where it and the command run, and the home is in it. */
  readonly directory: string
  /** For the command as well. */
  readonly environment: NodeJS.ProcessEnv
  /** What it said so far. */
  said(): string
  start(): Promise<void>
  /** Ends it, and leaves what it kept. */
  halt(): Promise<void>
  /** Ends it, and removes what it kept. */
  stop(): Promise<void>
}

export function standaloneUnderTest(
  name: string,
  environmentOf: (directory: string) => NodeJS.ProcessEnv = () => ({}),
): StandaloneUnderTest {
  // A PostgreSQL that may not run as root must pass through it.
  const directory = temporaryDirectory(name, { open: true })
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    CUSTODY_HOME: join(directory.path, 'home'),
    CUSTODY_CONFIG: undefined,
    CUSTODY_PORT_POSTGRES: '0',
    CUSTODY_PORT_CONSOLE: '0',
    npm_lifecycle_event: undefined,
    ...environmentOf(directory.path),
  }
  let running: ChildProcess | undefined
  let said = ''
  const halt = async () => {
    if (running?.exitCode !== null) return
    running.kill('SIGTERM')
    await once(running, 'exit')
  }
  return {
    directory: directory.path,
    environment,
    said: () => said,
    async start() {
      const child = spawn(process.execPath, [MAIN], {
        cwd: directory.path,
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      running = child
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (data) => {
          said += data
        })
      while (!said.includes('Ctrl-C stops')) {
        if (child.exitCode !== null) throw new Error(said)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    halt,
    async stop() {
      await halt()
      await directory.remove()
    },
  }
}
