/**
 * Requests of one session that have no answer yet, oldest first, and which of them the target answers now. It answers in
 * order, passes over what follows an error of the extended protocol until Sync, and does not read Syncs while it copies;
 * what we answer in its stead has its turn in the same order.
 * Sends and records nothing. Refuses an answer that fits no request, and more requests than are ever sent ahead.
 */
import type { Durability } from '@custody/event-log'
import type { ColumnDraft } from '@custody/schemas'
import type { Command } from './evidence'
import type { Change, Changing, Portal, Prepared } from './names'
import { WireError } from './wire'

/** Requests that a client may have sent ahead of their answers. */
export const PIPELINE_REQUESTS_MAX = 100_000

export enum Kind {
  query,
  parse,
  bind,
  describe,
  execute,
  close,
  sync,
  functionCall,
  /** Where COPY data begins. */
  copyMark,
  /** Answered by us. */
  local,
}

export interface Request extends Changing {
  readonly kind: Kind
  /** query: one for each statement; execute, functionCall: one. */
  readonly commands: readonly Command[]
  /** Of its commands, the one that is answered next. */
  next: number
  prepared: Prepared | null
  portal: Portal | null
  changes: Change[] | null
  readonly group: number
  readonly isPassedOver: boolean
  /** Asked by us: its answer is not the client's. */
  own: boolean
  /** An answer of our own, and whether it was recorded. */
  bytes: Buffer | null
  durability: Durability | null
  /** Bytes sent towards the target before it: it is taken back with what is not sent from there on. */
  mark: number
}

const NO_COMMANDS: readonly Command[] = []
const ENDS_GROUP = new Set<Kind>([Kind.sync, Kind.query, Kind.functionCall, Kind.local])
const ENDS_WITH_READY = new Set<Kind>([Kind.sync, Kind.query, Kind.functionCall])
/** Answered requests that the queue may begin with before it is made shorter. */
const ANSWERED_MAX = 1024

export class Requests {
  /** From `first` on. */
  private queue: Request[] = []
  private first = 0
  /** Answers of our own waiting for their turn. */
  private locals = 0
  private skipping = false
  private current = 0

  /** That requests belong to now: those up to and with one Sync or Query. */
  get group(): number {
    return this.current
  }

  /** The target passes over everything until a Sync that is still to come. */
  get isSkipping(): boolean {
    return this.skipping
  }

  // ── as they are sent ─────────────────────────────────────────────────────────────────────────────────────────

  make(kind: Kind, commands: readonly Command[] = NO_COMMANDS): Request {
    return {
      kind,
      commands,
      next: 0,
      prepared: null,
      portal: null,
      changes: null,
      group: this.current,
      isPassedOver: this.skipping && kind !== Kind.sync,
      own: false,
      bytes: null,
      durability: null,
      mark: 0,
    }
  }

  /** The request is sent, or answered by us, when so many bytes have been sent. None that is passed over. */
  add(one: Request, mark: number): void {
    if (this.queue.length - this.first >= PIPELINE_REQUESTS_MAX)
      throw new WireError(`more than ${PIPELINE_REQUESTS_MAX} requests without answer`)
    one.mark = mark
    if (one.kind === Kind.sync) this.skipping = false
    else if (one.kind === Kind.local) this.locals++
    this.queue.push(one)
  }

  endGroup(): void {
    this.current++
  }

  /** What was not sent from this byte on is not asked any more. Oldest first. */
  retract(from: number): Request[] {
    let kept = this.first
    while (kept < this.queue.length && this.queue[kept]!.mark < from) kept++
    const retracted = this.queue.splice(kept)
    for (const { kind } of retracted) if (kind === Kind.local) this.locals--
    return retracted
  }

  // ── what is under way ────────────────────────────────────────────────────────────────────────────────────────

  get isEmpty(): boolean {
    return this.queue.length === this.first
  }

  /** Everything is answered, and nothing passed over that is to come. */
  get isIdle(): boolean {
    return this.isEmpty && !this.skipping
  }

  /** Some of a group has been sent, and what ends it has not. */
  get isInGroup(): boolean {
    return !this.isEmpty && !ENDS_GROUP.has(this.queue[this.queue.length - 1]!.kind)
  }

  /** The target will say ReadyForQuery without being sent more. */
  get awaitsReady(): boolean {
    for (let i = this.first; i < this.queue.length; i++)
      if (endsWithReady(this.queue[i]!)) return true
    return false
  }

  /** The command that was sent last, of those without answer. */
  get newestCommand(): Command | null {
    for (let i = this.queue.length - 1; i >= this.first; i--) {
      const { commands } = this.queue[i]!
      if (commands.length > 0) return commands[commands.length - 1]!
    }
    return null
  }

  // ── as they are answered ─────────────────────────────────────────────────────────────────────────────────────

  /** The request that the target answers now; marks are not the target's. */
  head(): Request | undefined {
    for (;;) {
      const head = this.queue[this.first]
      if (head === undefined || head.kind !== Kind.copyMark) return head
      this.shift()
    }
  }

  command(): Command | undefined {
    const head = this.head()
    return head?.commands[head.next]
  }

  /** The command that bytes still arriving will belong to. */
  pending(): Command | null {
    for (let i = this.first; i < this.queue.length; i++) {
      const one = this.queue[i]!
      if (one.next < one.commands.length) return one.commands[one.next]!
      if (one.kind === Kind.sync) return null
    }
    return null
  }

  /** The oldest is answered, or passed over. */
  shift(): void {
    if (this.queue[this.first]?.kind === Kind.local) this.locals--
    this.queue[this.first] = undefined as unknown as Request
    this.first++
    if (this.first === this.queue.length) {
      this.queue.length = 0
      this.first = 0
    } else if (this.first > ANSWERED_MAX) {
      this.queue = this.queue.slice(this.first)
      this.first = 0
    }
  }

  /** The target has answered a request of this kind. */
  answered(kind: Kind): Request {
    const head = this.head()
    if (head === undefined || head.kind !== kind) throw new WireError('an answer fits no request')
    this.shift()
    return head
  }

  get hasLocal(): boolean {
    return this.locals > 0
  }

  /** It is the turn of one that we answer. */
  get isLocalNext(): boolean {
    return this.queue[this.first]?.kind === Kind.local
  }

  /** The next one that we answer, if it is its turn. */
  takeLocal(): Request | null {
    if (!this.isLocalNext) return null
    const one = this.queue[this.first]!
    this.shift()
    return one
  }

  /** Executes of what is described now, that were already sent, learn their columns too. */
  describe(prepared: Prepared | null, columns: ColumnDraft[]): void {
    for (let i = this.first; i < this.queue.length; i++) {
      const one = this.queue[i]!
      if (one.kind === Kind.sync) break
      if (one.kind === Kind.execute && one.prepared === prepared) one.commands[0]!.columns = columns
    }
  }

  /**
   * After an error in the extended protocol the target reads on to the next Sync without doing anything. What it passes over,
   * oldest first. The client sees one error a Sync: ours would be a second.
   */
  skipToSync(): Request[] {
    const passed: Request[] = []
    for (;;) {
      const one = this.queue[this.first]
      if (one === undefined) {
        this.skipping = true
        return passed
      }
      if (one.kind === Kind.sync) return passed
      if (one.kind !== Kind.local) passed.push(one)
      this.shift()
    }
  }

  /** A COPY is over. Sync sent before its data was read by the target while it copied, and ignored there. */
  dropIgnoredSyncs(failed: boolean): void {
    const rest = this.queue.slice(this.first)
    const hasMark = rest.some(({ kind }) => kind === Kind.copyMark)
    let marked = false
    this.queue = rest.filter(({ kind }) => {
      if (kind === Kind.copyMark) marked = true
      else if (kind === Kind.sync) return marked || !(hasMark || failed)
      return kind !== Kind.copyMark
    })
    this.first = 0
  }
}

/** Its answer ends with ReadyForQuery. */
export function endsWithReady({ kind }: Request): boolean {
  return ENDS_WITH_READY.has(kind)
}
