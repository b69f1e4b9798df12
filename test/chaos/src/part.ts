/**
 * One process of the system under test, kept running as an operator's supervisor would: what ends by itself is noted and
 * started again. Can be killed, stopped in its tracks, and asked to end.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'

export interface Part {
  readonly name: string
  readonly pid: number | null
  /** Times it ended by itself, with what it said last. */
  readonly died: { code: number | null; signal: string | null; said: string }[]
  /** Resolves when it has said that it is ready for the first time. */
  start(): Promise<void>
  kill(): Promise<void>
  pause(): void
  resume(): void
  /** SIGTERM, and waits; it is not started again. */
  stop(): Promise<void>
}

export interface PartOptions {
  name: string
  spawn(): ChildProcess
  /** Says that it is ready; by default its message over IPC. */
  ready?(child: ChildProcess): Promise<void>
  logFile: string
}

const RESTART_MS_MIN = 300
const RESTART_MS_MAX = 3000
const STOP_MS_MAX = 60_000
const SAID_LINES = 4

export function createPart(o: PartOptions): Part {
  let child: ChildProcess | null = null
  let wanted = false
  let isPaused = false
  let restartMs = RESTART_MS_MIN
  let timer: NodeJS.Timeout | null = null
  const died: Part['died'] = []
  const log: WriteStream = createWriteStream(o.logFile, { flags: 'a' })
  const ready =
    o.ready ??
    ((one: ChildProcess) =>
      new Promise<void>((resolve, reject) => {
        one.on('message', (message: { type?: string; message?: string }) => {
          if (message?.type === 'ready') resolve()
          else if (message?.type === 'failed')
            reject(new Error(`${o.name} did not start: ${message.message}`))
        })
        one.once('exit', () => reject(new Error(`${o.name} ended before it was ready`)))
      }))

  function launch(): Promise<void> {
    const mine = o.spawn()
    child = mine
    isPaused = false
    let said = ''
    for (const stream of [mine.stdout, mine.stderr])
      stream?.on('data', (bytes: Buffer) => {
        said = (said + bytes).slice(-4000)
        log.write(bytes)
      })
    mine.once('error', (error) => log.write(`${error.stack}\n`))
    mine.once('exit', (code, signal) => {
      log.write(`--- ${o.name} ended: code ${code}, signal ${signal}\n`)
      if (child === mine) child = null
      if (!wanted || child !== null) return
      died.push({
        code,
        signal,
        said: said.trim().split('\n').slice(-SAID_LINES).join('\n'),
      })
      timer = setTimeout(() => void launch().catch(() => {}), restartMs)
      restartMs = Math.min(2 * restartMs, RESTART_MS_MAX)
    })
    const up = ready(mine).then(() => {
      restartMs = RESTART_MS_MIN
    })
    up.catch(() => {})
    return up
  }

  /** SIGCONT, so that a stopped process can end at all. */
  async function end(signal: NodeJS.Signals): Promise<void> {
    wanted = false
    if (timer) clearTimeout(timer)
    timer = null
    const mine = child
    if (mine === null) return
    const gone = once(mine, 'exit')
    mine.kill(signal)
    if (isPaused) mine.kill('SIGCONT')
    const forced = setTimeout(() => mine.kill('SIGKILL'), STOP_MS_MAX)
    await gone
    clearTimeout(forced)
  }

  return {
    name: o.name,
    get pid() {
      return child?.pid ?? null
    },
    died,
    start() {
      wanted = true
      return launch()
    },
    kill: () => end('SIGKILL'),
    pause() {
      isPaused = true
      child?.kill('SIGSTOP')
    },
    resume() {
      isPaused = false
      child?.kill('SIGCONT')
    },
    stop: () => end('SIGTERM'),
  }
}
