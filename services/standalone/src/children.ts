/**
 * The processes of stand-alone: starts them, knows when they are ready, starts one again that crashed, stops them in
 * order, and waits for those of an earlier run that was killed. Refuses to signal a process it cannot name for certain.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CustodyError,
  type Home,
  type Logger,
  type ServiceMessage,
  withTimeout,
  writeFileAtomic,
} from '@custody/kit'
import { isAlive, nameProcess, type ProcessName } from './lock'

export interface ChildOptions {
  name: string
  /** The program it runs. */
  module: string
  environment: NodeJS.ProcessEnv
  nodeArguments?: readonly string[]
  /** Told after each restart; a child that others depend on may come back elsewhere. */
  restarted?(ready: Record<string, unknown>): void
}

export interface Child {
  readonly name: string
  readonly pid: number | undefined
  stop(): Promise<void>
}

const startMsMax = 60_000
const stopMsMax = 35_000
const restartsMax = 5
const restartWindowMs = 60_000

export class Children {
  private readonly running = new Map<string, ChildProcess>()
  /** Settles (with the reason) when a child cannot be kept alive. */
  readonly lost: Promise<CustodyError>
  private lose!: (error: CustodyError) => void

  constructor(
    private readonly home: Home,
    private readonly logger: Logger,
    /** The open file that what they print goes to. */
    private readonly output: number,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve
    })
  }

  private get register(): string {
    return join(this.home.run, 'processes.json')
  }

  /** Children end by themselves when their parent is gone; this waits for them, and ends those that hang. */
  async awaitLeftovers(msMax = 20_000): Promise<void> {
    let left: ProcessName[]
    try {
      left = JSON.parse(readFileSync(this.register, 'utf8')) as ProcessName[]
    } catch {
      return
    }
    const deadline = Date.now() + msMax
    while (left.some(isAlive) && Date.now() < deadline) await pause(50)
    for (const name of left) {
      if (!isAlive(name)) continue
      this.logger.warn({ pid: name.pid }, 'a process of an earlier run hangs and is ended')
      process.kill(name.pid, 'SIGKILL')
      while (isAlive(name)) await pause(20)
    }
  }

  /** Starts one and answers what it said when it was ready. */
  async start(o: ChildOptions): Promise<{ child: Child; ready: Record<string, unknown> }> {
    let stopping = false
    let current: ChildProcess | undefined
    const restarts: number[] = []

    const launch = async (): Promise<Record<string, unknown>> => {
      const { process: launched, ready, exited } = this.launch(o)
      current = launched
      const told = await ready
      void exited.then(async (how) => {
        if (stopping) return
        this.logger.error({ child: o.name, how }, 'a process ended unexpectedly')
        const now = Date.now()
        restarts.push(now)
        while ((restarts[0] ?? now) < now - restartWindowMs) restarts.shift()
        if (restarts.length > restartsMax) {
          this.lose(
            this.gone(o, `it ended ${restarts.length} times within a minute, last with ${how}`),
          )
          return
        }
        await pause(100 * 2 ** restarts.length)
        if (stopping) return
        try {
          const told = await launch()
          o.restarted?.(told)
          this.logger.info({ child: o.name }, 'the process was started again')
        } catch (error) {
          this.lose(
            error instanceof CustodyError ? error : this.gone(o, (error as Error).message, error),
          )
        }
      })
      return told
    }

    const stop = async () => {
      stopping = true
      if (current) await stopProcess(current)
    }
    try {
      const ready = await launch()
      return {
        child: {
          name: o.name,
          get pid() {
            return current?.pid
          },
          stop,
        },
        ready,
      }
    } catch (error) {
      await stop()
      throw error
    }
  }

  private launch(o: ChildOptions): {
    process: ChildProcess
    ready: Promise<Record<string, unknown>>
    exited: Promise<string>
  } {
    const child = fork(o.module, {
      env: o.environment,
      execArgv: [...(o.nodeArguments ?? [])],
      stdio: ['ignore', this.output, this.output, 'ipc'],
    })
    this.running.set(o.name, child)
    this.writeRegister()
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
      child.once('error', (error) => resolve(error.message))
    })
    void exited.then(() => {
      if (this.running.get(o.name) === child) this.running.delete(o.name)
      this.writeRegister()
    })
    const ready = new Promise<Record<string, unknown>>((resolve, reject) => {
      child.on('message', (message: ServiceMessage) => {
        if (message.type === 'ready') resolve(message.ready)
        else if (message.type === 'failed') {
          reject(
            message.code
              ? new CustodyError(message.code, message.message, { details: message.details })
              : this.gone(o, message.message),
          )
        }
      })
      // What it said before it ended explains more than how it ended, so that is read first.
      void exited.then((how) => setImmediate(() => reject(this.gone(o, `it ended with ${how}`))))
    })
    return {
      process: child,
      exited,
      ready: withTimeout(ready, startMsMax, () => {
        child.kill('SIGKILL')
        return this.gone(o, `it was not ready after ${startMsMax / 1000} seconds`)
      }),
    }
  }

  private writeRegister(): void {
    const names = [...this.running.values()].flatMap(({ pid }) => (pid ? [nameProcess(pid)] : []))
    try {
      writeFileAtomic(this.register, `${JSON.stringify(names)}\n`)
    } catch (error) {
      this.logger.warn({ err: error }, 'cannot write down the process numbers')
    }
  }

  private gone(o: ChildOptions, why: string, cause?: unknown): CustodyError {
    return new CustodyError(
      'CUSTODY-START-001',
      `the ${o.name} process failed: ${why} (log: ${join(this.home.directory, 'custody.log')})`,
      { cause },
    )
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  if (child.connected) child.send({ type: 'stop' }, () => {})
  else child.kill('SIGTERM')
  const forced = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
  await exited
  clearTimeout(forced)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
