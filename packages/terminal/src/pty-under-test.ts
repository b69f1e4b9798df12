/** Programs in real terminals, for tests: what is typed goes in as a person would type it, what is shown comes back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { createTerminalRecorder } from './recorder'
import type { TerminalEvent, TerminalRecorder } from './types'

/** The machine may be busy. */
const WAIT_MS_MAX = 60_000

/** Both directions and the window, in the order in which the recorder heard of them. */
export type Happened =
  | { kind: 'output' | 'input'; data: Buffer; at: number }
  | { kind: 'resize'; columns: number; rows: number; at: number }

/** The same again, the output in pieces of so many bytes. */
export function replayed(log: readonly Happened[], pieceBytes: number): TerminalEvent[] {
  const recorder = createTerminalRecorder({ columns: 80, rows: 24 })
  const events: TerminalEvent[] = []
  for (const one of log) {
    if (one.kind === 'resize') recorder.resize(one.columns, one.rows, one.at)
    else if (one.kind === 'input') recorder.input(one.data, one.at)
    else
      for (let at = 0; at < one.data.length; at += pieceBytes)
        recorder.output(one.data.subarray(at, at + pieceBytes), one.at)
    events.push(...recorder.take())
  }
  recorder.end(0)
  return [...events, ...recorder.take()]
}

export interface TerminalUnderTest {
  readonly recorder: TerminalRecorder
  /** All that was shown so far, and each piece as it came. */
  readonly shown: () => string
  readonly pieces: { at: number; data: Buffer }[]
  readonly events: TerminalEvent[]
  readonly log: readonly Happened[]
  /** Types it, and waits until the screen has answered as far as it will. */
  type(text: string): Promise<void>
  /** Sends at once, and waits for nothing. */
  send(text: string): void
  /** Waits until this is shown after what was there before: characters, without what steers a terminal and `\\r`. */
  see(text: string | RegExp): Promise<void>
  until(isSo: () => boolean): Promise<void>
  resize(columns: number, rows: number): void
  end(): Promise<void>
}

const ESCAPE = '\\x1b'
const STEERING = new RegExp(
  `${ESCAPE}(?:\\[[0-?]*[ -/]*[@-~]|\\][^\\x07${ESCAPE}]*(?:\\x07|${ESCAPE}\\\\)|[()][A-Z0-9]|[^[\\]()])|[\\r\\x0e\\x0f]`,
  'g',
)
const UNFINISHED = new RegExp(`${ESCAPE}(?:\\[[0-?]*[ -/]*|\\][^\\x07${ESCAPE}]*${ESCAPE}?|[()])?$`)

const now = () => Math.round(performance.timeOrigin * 1000 + performance.now() * 1000)

export async function openTerminal(
  program: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  size: { columns: number; rows: number } = { columns: 80, rows: 24 },
): Promise<TerminalUnderTest> {
  const child: ChildProcess = spawn(
    'python3',
    [join(__dirname, 'terminal.py'), String(size.columns), String(size.rows), ...program],
    {
      stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
      env: {
        PATH: process.env.PATH,
        TERM: 'xterm-256color',
        LANG: 'C.UTF-8',
        HOME: '/nonexistent',
        ...environment,
      },
    },
  )
  const recorder = createTerminalRecorder(size)
  const pieces: { at: number; data: Buffer }[] = []
  const events: TerminalEvent[] = []
  const log: Happened[] = []
  let all = ''
  let held = ''
  let seen = 0
  let waiting: (() => void)[] = []
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  child.stdout!.on('data', (data: Buffer) => {
    const at = now()
    pieces.push({ at, data })
    log.push({ kind: 'output', data, at })
    recorder.output(data, at)
    events.push(...recorder.take())
    const text = held + data.toString('latin1')
    const cut = text.length - text.lastIndexOf('\x1b') < 64 && UNFINISHED.exec(text)
    held = cut ? cut[0] : ''
    all += text.slice(0, text.length - held.length).replaceAll(STEERING, '')
    const all_ = waiting
    waiting = []
    for (const one of all_) one()
  })
  const more = () =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new Error(`nothing more is shown: ${JSON.stringify(all.slice(seen).slice(-500))}`),
          ),
        WAIT_MS_MAX,
      )
      waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  const send = (text: string) => {
    for (const piece of recorder.splitAtEnter(Buffer.from(text))) {
      child.stdin!.write(piece)
      recorder.input(piece, now())
      log.push({ kind: 'input', data: piece, at: now() })
    }
    events.push(...recorder.take())
  }
  const see = async (wanted: string | RegExp) => {
    for (;;) {
      const rest = all.slice(seen)
      const at = typeof wanted === 'string' ? rest.indexOf(wanted) : rest.search(wanted)
      if (at >= 0) {
        seen += at + (typeof wanted === 'string' ? wanted.length : 1)
        return
      }
      await more()
    }
  }
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await more()
  }
  return {
    recorder,
    until,
    shown: () => all,
    pieces,
    events,
    log,
    send,
    see,
    async type(text) {
      send(text)
      await until(() => !recorder.isAwaitingEcho)
    },
    resize(columns, rows) {
      ;(child.stdio[3] as Writable).write(`${columns} ${rows}\n`)
      recorder.resize(columns, rows, now())
      log.push({ kind: 'resize', columns, rows, at: now() })
    },
    async end() {
      child.stdin!.end()
      ;(child.stdio[3] as Writable).end()
      await ended
      recorder.end(now())
      events.push(...recorder.take())
    },
  }
}
