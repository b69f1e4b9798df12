/**
 * What tests of transfers share: a host that keeps everything a gate does in one list, in order, and a way to put a gate
 * between a real client and a real server.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { Encoded } from '@custody/schemas'
import type {
  Completion,
  FileOperation,
  Ruling,
  Started,
  TransferGate,
  TransferHost,
} from './transfers'

export type Deed =
  | { did: 'started'; text: string; verbs: readonly string[]; command: Started }
  | { did: 'completed'; command: Started; text: string; completion: Completion }
  | { did: 'blocked'; text: string; code: string; reason: string }
  | { did: 'toTarget' | 'toClient'; bytes: Buffer; waits: boolean; isWhole: boolean }
  | { did: 'failed'; code: string; message: string }
  | { did: 'paused' | 'resumed' }

export const ALLOWED: Ruling = {
  outcome: 'allow',
  decision: new Encoded(Buffer.alloc(0)),
  alert: null,
}

export function forbidden(reason: string): Ruling {
  return { outcome: 'block', decision: null, code: 'CUSTODY-POLICY-002', reason }
}

export class HostUnderTest implements TransferHost {
  readonly deeds: Deed[] = []
  private readonly texts = new Map<Started, string>()
  restricted = false
  rule: (operation: FileOperation) => Ruling | Promise<Ruling> = () => ALLOWED
  onSend: (to: 'toTarget' | 'toClient', bytes: Buffer) => void = () => {}
  onFail: () => void = () => {}
  onPause: (paused: boolean) => void = () => {}

  decide(operation: FileOperation) {
    return this.rule(operation)
  }

  started(operation: FileOperation): Started {
    const text = String(operation.statement.text)
    const command: Started = {
      id: Buffer.alloc(16, this.texts.size),
      micros: 0,
      durability: operation.facts.readOnly ? 'os' : 'disk',
    }
    this.texts.set(command, text)
    this.deeds.push({ did: 'started', text, verbs: operation.facts.verbs, command })
    return command
  }

  completed(command: Started, completion: Completion): void {
    const text = this.texts.get(command)!
    this.deeds.push({ did: 'completed', command, text, completion })
  }

  blocked(operation: FileOperation, { code, reason }: { code: string; reason: string }): void {
    this.deeds.push({ did: 'blocked', text: String(operation.statement.text), code, reason })
  }

  toTarget(bytes: Buffer, durability: string | null, isWhole: boolean): void {
    this.deeds.push({ did: 'toTarget', bytes, waits: durability !== null, isWhole })
    this.onSend('toTarget', bytes)
  }

  toClient(bytes: Buffer, durability: string | null, isWhole: boolean): void {
    this.deeds.push({ did: 'toClient', bytes, waits: durability !== null, isWhole })
    this.onSend('toClient', bytes)
  }

  pauseClient(paused: boolean): void {
    this.deeds.push({ did: paused ? 'paused' : 'resumed' })
    this.onPause(paused)
  }

  withdraw(): void {}

  fail(code: string, message: string): void {
    this.deeds.push({ did: 'failed', code, message })
    this.onFail()
  }

  sent(to: 'toTarget' | 'toClient'): Buffer {
    return Buffer.concat(this.of(to).map(({ bytes }) => bytes))
  }

  of<D extends Deed['did']>(did: D): Extract<Deed, { did: D }>[] {
    return this.deeds.filter((deed): deed is Extract<Deed, { did: D }> => deed.did === did)
  }

  /** What was started and never completed, or completed more than once. */
  unsettled(): string[] {
    const count = (command: Started) =>
      this.of('completed').filter((deed) => deed.command === command).length
    return this.of('started').flatMap(({ text, command }) => (count(command) === 1 ? [] : [text]))
  }
}

/** A port where whoever connects talks to `server` through a gate. */
export async function between(
  serverOf: () => readonly string[],
  gated: (socket: Socket) => { host: HostUnderTest; gate: TransferGate },
  environment: NodeJS.ProcessEnv = process.env,
): Promise<{ port: number; stop(): Promise<void> }> {
  const children: ChildProcess[] = []
  const listener = createServer((socket) => {
    const server = serverOf()
    const child = spawn(server[0]!, server.slice(1), {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: environment,
    })
    children.push(child)
    const { host, gate } = gated(socket)
    host.onSend = (to, bytes) => {
      if (to === 'toTarget') child.stdin!.write(bytes)
      else socket.write(bytes)
    }
    host.onPause = (paused) => (paused ? socket.pause() : socket.resume())
    host.onFail = () => socket.destroy()
    socket.on('data', (bytes) => gate.fromClient(bytes))
    child.stdout!.on('data', (bytes) => gate.fromTarget(bytes))
    socket.on('end', () => gate.clientEnd(() => child.stdin!.end()))
    socket.on('error', () => {})
    child.stdin!.on('error', () => {})
    socket.on('close', () => gate.end('the client went away'))
    child.stdout!.on('end', () => socket.end())
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as { port: number }).port,
    async stop() {
      for (const child of children) child.kill('SIGKILL')
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/**
 * A program for `sftp -D` and `scp -S`: its standard input and output are those of the port. What it is to run there, its
 * last argument, it leaves beside itself.
 */
export const BRIDGE = `#!${process.execPath}
require('node:fs').writeFileSync(__dirname + '/command', process.argv.at(-1))
const port = process.env.BRIDGE_PORT
const socket = require('node:net').connect(Number(port), '127.0.0.1')
process.stdin.pipe(socket)
socket.pipe(process.stdout)
socket.on('end', () => process.exit(0))
socket.on('error', () => process.exit(1))
`

export interface Ran {
  status: number | null
  stdout: string
  stderr: string
}

export async function run(
  program: string,
  parameters: readonly string[],
  o: { input?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  const child = spawn(program, parameters, { cwd: o.cwd, env: o.env ?? process.env })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (bytes) => stdout.push(bytes))
  child.stderr.on('data', (bytes) => stderr.push(bytes))
  child.stdin.end(o.input ?? '')
  const [status] = await once(child, 'close')
  return {
    status,
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
  }
}
