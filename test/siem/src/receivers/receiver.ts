/**
 * What events are delivered to in tests: real programs, or, where none is to be had, a simulator that is as strict as the
 * service's documentation and is called one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { connect } from 'node:net'

export interface Receiver {
  /** What it is: `rsyslog 8.2302`, `simulator of Splunk HEC`. */
  readonly what: string
  readonly isReal: boolean
  /** Whether the order of arrival can be told from what it holds. */
  readonly ordered: boolean
  /** Where it keeps what it has, where that is a directory. */
  readonly directory?: string
  /** Where the exporter's connections must end. */
  readonly port: number
  /** The destination's settings, when it is reached at that port. */
  settings(port: number): Record<string, unknown>
  /** Identifiers of what it holds, in the order of arrival where it is `ordered`. */
  received(): Promise<string[]>
  /** SIGKILL, where it is a process. */
  kill?(): Promise<void>
  restart?(): Promise<void>
  /** Its disk is full, or it says so; and is not any more. */
  fill?(): Promise<void>
  empty?(): Promise<void>
  stop(): Promise<void>
}

export const CACHE = `${__dirname}/../../../../node_modules/.cache/custody-siem`
const START_MS_MAX = 120_000

/** A program of set-up's; its output goes to a file, which is shown when it does not start. */
export class Program {
  private child: ChildProcess | null = null

  constructor(
    private readonly command: string,
    private readonly args: readonly string[],
    private readonly o: { port: number; log: string; env?: NodeJS.ProcessEnv; udp?: boolean },
  ) {}

  async start(): Promise<void> {
    const output = openSync(this.o.log, 'a')
    const child = spawn(this.command, this.args, {
      stdio: ['ignore', output, output],
      env: { ...process.env, ...this.o.env },
    })
    closeSync(output)
    this.child = child
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) =>
        reject(new Error(`${this.command} ended (${code ?? signal}); see ${this.o.log}`)),
      )
    })
    failed.catch(() => {})
    const deadline = Date.now() + START_MS_MAX
    while (!this.o.udp && !(await answers(this.o.port))) {
      if (Date.now() > deadline)
        throw new Error(`${this.command} does not listen; see ${this.o.log}`)
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 50))])
    }
    if (this.o.udp)
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 1500))])
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this
    this.child = null
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const over = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await over
    clearTimeout(timer)
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
