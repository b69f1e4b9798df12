/** The exporter as it runs: a process of its own, on a home of its own, that can be killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { prepareHome } from '@custody/kit'
import { temporaryDirectory } from '@custody/test-support'

const MAIN = join(__dirname, '../../../services/siem-export/dist/main.js')
const START_MS_MAX = 60_000

export interface ExporterStatus {
  counts: { acknowledged: number; deadLettered: number; retries: number; lost: number }
  problem: { code: string; message: string } | null
  lag: { bytes: number; events: number }[]
  inFlight: number
  heapBytes?: number
}

export class Exporter {
  private child: ChildProcess | null = null
  private readonly directory = temporaryDirectory('siem-home')
  readonly home = this.directory.path
  private readonly log: string

  constructor(configuration: object) {
    prepareHome(this.home)
    this.log = join(this.home, 'siem.log')
    this.configure(configuration)
  }

  /** For its next start. JSON is YAML. */
  configure(configuration: object): void {
    writeFileSync(join(this.home, 'custody.yaml'), JSON.stringify(configuration))
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  async start(environment: NodeJS.ProcessEnv = {}): Promise<void> {
    const output = openSync(this.log, 'a')
    const child = spawn(process.execPath, ['--no-warnings', MAIN], {
      stdio: ['ignore', output, output, 'ipc'],
      env: {
        ...process.env,
        ...environment,
        CUSTODY_HOME: this.home,
        CUSTODY_CONFIG: join(this.home, 'custody.yaml'),
      },
    })
    closeSync(output)
    this.child = child
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no start; see ${this.log}`)), START_MS_MAX)
      const over = (act: () => void) => {
        clearTimeout(timer)
        act()
      }
      child.once('exit', (code) =>
        over(() => reject(new Error(`ended with ${code}: ${this.tail()}`))),
      )
      child.on('message', (message: { type: string; message?: string }) => {
        if (message.type === 'ready') over(resolve)
        if (message.type === 'failed') over(() => reject(new Error(message.message)))
      })
    })
  }

  kill(): Promise<void> {
    return this.end('SIGKILL')
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { child } = this
    this.child = null
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const over = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await over
  }

  status(destination: string): ExporterStatus | null {
    try {
      const text = readFileSync(join(this.home, 'siem/status.json'), 'utf8')
      return JSON.parse(text).destinations[destination] ?? null
    } catch {
      return null
    }
  }

  tail(characters = 2000): string {
    try {
      return readFileSync(this.log, 'utf8').slice(-characters)
    } catch {
      return ''
    }
  }

  async stop(): Promise<void> {
    await this.end()
    this.directory.remove()
  }
}
