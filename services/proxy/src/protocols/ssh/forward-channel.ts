/**
 * One forwarded connection: opened by the client (`direct-tcpip`) or by the target (`forwarded-tcpip`, an agent, X11), a
 * command of its own, with its bytes both ways. What it carries is not understood, only counted, hashed and kept.
 * Refuses to open the far end before that is recorded.
 */
import { NotReplicatedError } from '@custody/event-log'
import type { Commands, Started } from './commands'
import type { ChannelHandler, ChannelOpen } from './connection'
import { Flow } from './flow'
import { OpenFailure } from './numbers'
import { Outbox } from './outbox'
import { CommandOutput } from './output'
import { Recogniser } from './recognise'
import { printable } from './transport'

/** What a forwarded connection leads to, or comes from: a channel, or something in this process. */
export interface End {
  data(bytes: Buffer): void
  eof(): void
  close(): void
  abandon(): void
  consume(bytes: number): void
}

export interface ForwardParts {
  commands: Commands
  command: Started
  outputBytesMax: number
  /** Who opened it. What the client sends is `input`, whoever did. */
  by: 'client' | 'target'
  asked: ChannelOpen
  /** Opens the far end; its handler is told when. */
  reach(handler: ChannelHandler): End
  unrecordable(error: Error): void
  over(): void
}

type Item = { kind: 'data'; bytes: Buffer } | { kind: 'eof' } | { kind: 'close' }
type Early = { kind: 'data'; bytes: Buffer } | { kind: 'eof' }

export class ForwardChannel {
  private near: End | null = null
  private far: End | null = null
  private readonly output: CommandOutput
  private readonly fromNear: Flow
  private readonly fromFar: Flow
  private readonly toNear: Outbox<Item>
  private readonly toFar: Outbox<Item>
  private isOver = false
  private readonly early: Early[] = []
  private readonly recogniser = new Recogniser()

  constructor(private readonly parts: ForwardParts) {
    const { commands, command } = parts
    this.output = new CommandOutput(
      commands.recorder,
      commands.session,
      command,
      parts.outputBytesMax,
    )
    this.fromNear = new Flow((bytes) => this.near?.consume(bytes))
    this.fromFar = new Flow((bytes) => this.far?.consume(bytes))
    const failed = (error: Error) =>
      error instanceof NotReplicatedError
        ? this.end(`its bytes could not be passed on: ${error.message}`)
        : parts.unrecordable(error)
    this.toNear = new Outbox<Item>(commands.recorder, (item) => give(this.near, item), failed)
    this.toFar = new Outbox<Item>(commands.recorder, (item) => give(this.far, item), failed)
    commands.recorder.whenRecorded(command.durability, {
      recorded: (error) => {
        if (this.isOver) return
        if (error === null) {
          this.far = parts.reach(this.farHandler())
          return
        }
        parts.asked.refuse(OpenFailure.prohibited, 'custody: it can’t be recorded')
        failed(error)
        this.finish('skipped', error.message)
      },
    })
  }

  end(reason: string): void {
    if (this.isOver) return
    this.parts.asked.refuse(OpenFailure.connectFailed, reason)
    this.finish('unknown', reason)
    this.near?.abandon()
    this.far?.abandon()
  }

  private farHandler(): ChannelHandler {
    return {
      opened: () => {
        if (this.isOver) return
        this.near = this.parts.asked.accept(this.nearHandler())
        // Some speak at once.
        for (const item of this.early.splice(0)) this.pass(item)
      },
      openFailed: (reason, words) => {
        this.parts.asked.refuse(reason, printable(words))
        this.finish('error', `not connected: ${printable(words)}`)
      },
      data: (bytes, isError) => {
        this.fromFar.take(bytes.length)
        if (isError) return
        if (this.near === null) this.early.push({ kind: 'data', bytes })
        else this.pass({ kind: 'data', bytes })
      },
      eof: () => {
        if (this.near === null) this.early.push({ kind: 'eof' })
        else this.pass({ kind: 'eof' })
      },
      closed: () => {
        if (this.isOver) return
        this.finish('ok', null)
        this.toNear.push({ kind: 'close' }, this.parts.command.durability)
        if (this.near === null) this.parts.asked.refuse(OpenFailure.connectFailed, 'closed at once')
      },
      request: (_, wantsReply) => {
        if (wantsReply) (this.far as { reply?(ok: boolean): void }).reply?.(false)
      },
      sent: (bytes) => this.fromNear.sent(bytes),
    }
  }

  private nearHandler(): ChannelHandler {
    return {
      opened: () => {},
      openFailed: () => {},
      data: (bytes, isError) => {
        this.fromNear.take(bytes.length)
        if (isError || this.isOver) return
        this.record(bytes, this.parts.by === 'client')
        this.fromNear.queue(bytes.length)
        this.toFar.push({ kind: 'data', bytes }, this.parts.command.durability)
      },
      eof: () => this.toFar.push({ kind: 'eof' }, null),
      closed: () => {
        if (this.isOver) return
        this.finish('ok', null)
        this.toFar.push({ kind: 'close' }, 'os')
      },
      request: (_, wantsReply) => {
        if (wantsReply) (this.near as { reply?(ok: boolean): void }).reply?.(false)
      },
      sent: (bytes) => this.fromFar.sent(bytes),
    }
  }

  private pass(item: Early): void {
    if (this.isOver) return
    if (item.kind === 'eof') {
      this.toNear.push(item, null)
      return
    }
    this.record(item.bytes, this.parts.by === 'target')
    this.fromFar.queue(item.bytes.length)
    this.toNear.push(item, 'os')
  }

  private record(bytes: Buffer, isInput: boolean): void {
    if (isInput) this.output.in(bytes)
    else this.output.out('output', bytes)
    // Whoever opened it is the client of what is spoken in it.
    const isOpener = isInput === (this.parts.by === 'client')
    const found = isOpener ? this.recogniser.fromClient(bytes) : this.recogniser.fromTarget(bytes)
    if (found === null || found.protocol === 'unknown') return
    const { commands, command } = this.parts
    commands.recorder.record(
      {
        kind: 'forward.recognised',
        command: command.id,
        lifecycle: {
          state: 'changed',
          attributes: { ...found.attributes, protocol: found.protocol },
        },
      },
      commands.session,
    )
  }

  private finish(status: string, message: string | null): void {
    if (this.isOver) return
    this.isOver = true
    const { commands, command } = this.parts
    commands.completed(command, { status, message, ...this.output.response() })
    this.parts.over()
  }
}

function give(end: End | null, item: Item): void {
  if (item.kind === 'data') end?.data(item.bytes)
  else if (item.kind === 'eof') end?.eof()
  else end?.close()
}
