/**
 * What a destination's delivery remembers on disk, beside the positions in the log: CUSTODY_HOME/siem/<destination>/. The exporter
 * writes it; the command line reads it, and asks through it.
 *   state.json      since when it delivers, what was acknowledged within a slice, what no receipt says yet
 *   dead-letters/   one event each, as it was recorded, and why it is there
 *   requests/       what `custody siem` asks for; answers beside them
 * Files are replaced as a whole. Refuses to keep more dead letters than a bound: then delivery waits.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { CustodyError, type Home } from '@custody/kit'

export const siemDirectory = (home: Home): string => join(home.directory, 'siem')

export const DEAD_LETTERS_MAX = 100_000

/** A range of one origin that was dealt with; what became of the events in it adds up to all of them. */
export interface ReceiptRange {
  origin: string
  /** [from, to): sequences of a recorder, offsets of a partition. */
  from: number
  to: number
  acknowledged: number
  deadLettered: number
  before: number
  filtered: number
  sampled: number
  /**
   * Of what was acknowledged, in order: d0 = 32 zeros, d(n) = SHA-256(d(n-1) || identifier of event n).
   */
  digest: string
}

export interface State {
  /** Events before it are not this destination's. */
  sinceMicros: number
  /** By origin: all before `next` is dealt with, of what is read from `base`. */
  progress: Record<string, { base: string; next: number }>
  /** Not in a receipt yet, by origin. */
  unreceipted: Record<string, ReceiptRange>
  /** Whether something is among these that is no receipt itself, and since when. */
  unreceiptedSinceMs: number | null
  counts: Counts
  /** By origin: what the log let go before it was delivered, told already; until delivery is past it. */
  letGo?: Record<string, { from: number; to: number }>
  /** What an alert channel remembers of what it has said. */
  alerts?: unknown
  /** What correlations of Sigma rules remember, as it was behind `progress`. */
  windows?: unknown
}

export interface Counts {
  acknowledged: number
  bytes: number
  batches: number
  retries: number
  deadLettered: number
  before: number
  filtered: number
  sampled: number
  lost: number
}

export interface Letter {
  id: string
  message: Buffer
  code: string
  reason: string
  at: string
}

export interface Request {
  id: string
  /** Who asked, as the operating system calls them. */
  by: string
  what: 'send' | 'reconcile' | 'dead-letters'
  fromMicros?: number
  toMicros?: number
  /** Of dead letters, these alone; of a reconciliation: what is missing is not sent. */
  ids?: string[]
  lookOnly?: boolean
}

export class StateFiles {
  readonly directory: string
  private readonly file: string
  private readonly letters: string
  private readonly requests: string
  /** Dead letters that lie there. */
  letterCount: number

  constructor(siemDirectory: string, destination: string) {
    this.directory = join(siemDirectory, destination)
    this.file = join(this.directory, 'state.json')
    this.letters = join(this.directory, 'dead-letters')
    this.requests = join(this.directory, 'requests')
    for (const one of [this.letters, this.requests])
      mkdirSync(one, { recursive: true, mode: 0o700 })
    this.letterCount = this.letterIds().length
  }

  /**
   * What was saved last, or the state of a destination that is new. What can't be read, such as what a loss of power made of it, is kept
   * beside it: then everything behind the position in the log is this destination's.
   */
  load(sinceMicros: () => number): State {
    const isNew = !existsSync(this.file)
    if (!isNew)
      try {
        return JSON.parse(readFileSync(this.file, 'utf8')) as State
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error
        renameSync(this.file, `${this.file}.unreadable`)
      }
    const state: State = {
      sinceMicros: isNew ? sinceMicros() : 0,
      progress: {},
      unreceipted: {},
      unreceiptedSinceMs: null,
      counts: {
        acknowledged: 0,
        bytes: 0,
        batches: 0,
        retries: 0,
        deadLettered: 0,
        before: 0,
        filtered: 0,
        sampled: 0,
        lost: 0,
      },
    }
    this.save(state)
    return state
  }

  /** Outlives this process, not a loss of power: then what was acknowledged last is sent once more. */
  save(state: State): void {
    writeWhole(this.file, JSON.stringify(state))
  }

  putAside(letter: Letter): void {
    const base = join(this.letters, letter.id)
    if (!existsSync(`${base}.json`)) {
      // Somebody may have removed some by hand.
      if (this.letterCount >= DEAD_LETTERS_MAX) this.letterCount = this.letterIds().length
      if (this.letterCount >= DEAD_LETTERS_MAX)
        throw new CustodyError(
          'CUSTODY-SIEM-004',
          `${DEAD_LETTERS_MAX} dead letters are in ${this.letters}; there are no more until some are sent or removed`,
        )
      this.letterCount++
    }
    writeFileSync(`${base}.event`, letter.message, { mode: 0o600, flush: true })
    const { code, reason, at } = letter
    writeWhole(`${base}.json`, JSON.stringify({ code, reason, at }))
  }

  letterIds(): string[] {
    return readdirSync(this.letters)
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .sort()
  }

  letter(id: string): Letter | null {
    if (!/^[0-9a-f-]{1,64}$/.test(id)) return null
    try {
      const told = JSON.parse(readFileSync(join(this.letters, `${id}.json`), 'utf8')) as Letter
      return { ...told, id, message: readFileSync(join(this.letters, `${id}.event`)) }
    } catch {
      return null
    }
  }

  removeLetter(id: string): void {
    for (const end of ['.json', '.event'])
      rmSync(join(this.letters, `${id}${end}`), { force: true })
    this.letterCount = Math.max(0, this.letterCount - 1)
  }

  ask(request: Request): void {
    writeWhole(join(this.requests, `${request.id}.json`), JSON.stringify(request))
  }

  asked(): Request | null {
    const name = readdirSync(this.requests)
      .filter((one) => /^[0-9a-f-]{36}\.json$/.test(one))
      .sort()[0]
    if (name === undefined) return null
    try {
      return JSON.parse(readFileSync(join(this.requests, name), 'utf8')) as Request
    } catch {
      rmSync(join(this.requests, name), { force: true })
      return null
    }
  }

  /** `done: false` while it is under way. */
  answer(id: string, answer: { done: boolean } & Record<string, unknown>): void {
    writeWhole(join(this.requests, `${id}.answer`), JSON.stringify(answer))
    if (answer.done) rmSync(join(this.requests, `${id}.json`), { force: true })
  }

  answerOf(id: string): ({ done: boolean } & Record<string, unknown>) | null {
    try {
      return JSON.parse(readFileSync(join(this.requests, `${id}.answer`), 'utf8'))
    } catch {
      return null
    }
  }

  forgetAnswer(id: string): void {
    rmSync(join(this.requests, `${id}.answer`), { force: true })
    rmSync(join(this.requests, `${id}.json`), { force: true })
  }
}

export function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.next`, `${text}\n`, { mode: 0o600 })
  renameSync(`${file}.next`, file)
}
