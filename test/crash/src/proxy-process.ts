/**
 * The proxy as a process of its own that is killed and started again, on a home that stays. Refuses to start beside one that
 * runs.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Home } from '@custody/kit'

const MAIN = join(dirname(require.resolve('@custody/proxy/package.json')), 'dist/main.js')

export class ProxyProcess {
  private child: ChildProcess | null = null
  /** Times it ended without having been asked to. */
  died = 0

  constructor(
    private readonly home: Home,
    private readonly configuration: string,
    /** File descriptor, and name, of what it says. */
    private readonly output: number,
    private readonly outputFile: string,
  ) {}

  async start(): Promise<void> {
    if (this.child !== null && !hasEnded(this.child)) throw new Error('it runs already')
    const portsFile = join(this.home.run, 'proxy.json')
    rmSync(portsFile, { force: true })
    const child = spawn(process.execPath, [MAIN], {
      env: {
        ...process.env,
        CUSTODY_HOME: this.home.directory,
        CUSTODY_CONFIG: this.configuration,
      },
      stdio: ['ignore', this.output, this.output],
    })
    this.child = child
    while (!existsSync(portsFile)) {
      if (child.exitCode !== null)
        throw new Error(`the proxy did not start: ${lastLines(this.outputFile)}`)
      await pause(10)
    }
  }

  async killAndStart(): Promise<void> {
    if (hasEnded(this.child!)) this.died++
    await this.end('SIGKILL')
    await this.start()
  }

  /** In order; where it has ended by itself its recovery is part of what is looked at. */
  async stop(): Promise<void> {
    if (hasEnded(this.child!)) {
      this.died++
      await this.start()
    }
    await this.end('SIGTERM')
  }

  kill(): void {
    this.child?.kill('SIGKILL')
  }

  private async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { child } = this
    if (child === null || hasEnded(child)) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** What processes said last. */
export function lastLines(file: string): string {
  return readFileSync(file, 'utf8').split('\n').slice(-15).join('\n')
}
