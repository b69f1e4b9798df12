/**
 * What a client asks of a session channel before it has something run: a terminal, variables, its agent or display; and the
 * replies that are owed, in the order of the requests. Refuses what the resource, the credential and the policies do not let
 * through, more replies than are kept, and variables that the resource does not name.
 */
import type { UserCertificateTerms } from '@custody/identity'
import type { SshResource } from '@custody/kit'
import type { SessionGate } from '../../gate'
import type { Channel } from './connection'
import type { WireReader } from './numbers'
import { printable } from './transport'

/** Replies that are owed on one channel. */
const REPLIES_MAX = 1000
/** Variables of one channel. */
const ENV_MAX = 100
const ENV_CHARACTERS_KEPT = 1000
const REASON_CHARACTERS_MAX = 1000

export type Reply = (ok: boolean) => void

export interface AsksParts {
  readonly resource: SshResource
  readonly terms: UserCertificateTerms | null
  gate(reason: string | null): SessionGate
  /** Whether an agent's or X11's connections may come back from the target. */
  mayComeBack(type: 'auth-agent@openssh.com' | 'x11', gate: SessionGate): boolean
}

export interface Pty {
  term: string
  columns: number
  rows: number
}

export class ChannelAsks {
  pty: Pty | null = null
  reason: string | null = null
  /** It asks to be shown what is masked. */
  wantsReveal = false
  private readonly env = new Map<string, string>()
  private variables = 0
  private readonly backward = new Set<string>()

  constructor(
    private readonly parts: AsksParts,
    private readonly target: Channel,
  ) {}

  /** False for what is none of it. */
  take(name: string, reader: WireReader, data: Buffer, reply: Reply | null): boolean {
    switch (name) {
      case 'pty-req':
        this.onPty(reader, data, reply)
        return true
      case 'env':
        this.onEnv(reader.text(), reader.text(), data, reply)
        return true
      case 'auth-agent-req@openssh.com':
      case 'x11-req':
        this.onBackward(name, data, reply)
        return true
      default:
        return false
    }
  }

  /** A terminal's new size; null where there is none. */
  resized(reader: WireReader): Pty | null {
    if (this.pty === null) return null
    this.pty = { ...this.pty, columns: reader.uint32(), rows: reader.uint32() }
    return this.pty
  }

  /** For the record of what is started with it. */
  attributes(): Record<string, string> {
    const { pty, reason } = this
    const found: Record<string, string> = {
      ...(pty && { term: pty.term, columns: String(pty.columns), rows: String(pty.rows) }),
      ...(reason !== null && { reason }),
      ...(this.wantsReveal && { reveal: 'on' }),
    }
    for (const [key, value] of this.env) found[`env.${key}`] = value.slice(0, ENV_CHARACTERS_KEPT)
    return found
  }

  private onPty(reader: WireReader, data: Buffer, reply: Reply | null): void {
    const { resource, terms } = this.parts
    if (!resource.allow.includes('pty') || terms?.permitPty === false || this.pty !== null) {
      reply?.(false)
      return
    }
    this.pty = { term: printable(reader.text()), columns: reader.uint32(), rows: reader.uint32() }
    this.target.request('pty-req', data, (ok) => {
      if (!ok) this.pty = null
      reply?.(ok)
    })
  }

  private onEnv(name: string, value: string, data: Buffer, reply: Reply | null): void {
    if (name === 'CUSTODY_REASON') {
      this.reason = value.trim().slice(0, REASON_CHARACTERS_MAX) || null
      reply?.(true)
      return
    }
    if (name === 'CUSTODY_REVEAL') {
      this.wantsReveal = value === 'on'
      reply?.(value === 'on' || value === 'off')
      return
    }
    const isAllowed = this.parts.resource.env.some((pattern) => fits(pattern, name))
    // Counted each time: one that is set again goes to the target again.
    if (!isAllowed || `${name}${value}`.includes('\0') || ++this.variables > ENV_MAX) {
      reply?.(false)
      return
    }
    this.env.set(name, value)
    this.target.request('env', data, reply)
  }

  /** An agent, or X11: connections that come back to the client. */
  private onBackward(
    name: 'auth-agent-req@openssh.com' | 'x11-req',
    data: Buffer,
    reply: Reply | null,
  ): void {
    const { resource, terms } = this.parts
    const isAgent = name === 'auth-agent-req@openssh.com'
    const isPermitted = isAgent ? terms?.permitAgentForwarding : terms?.permitX11Forwarding
    const isAsked = this.backward.has(name)
    this.backward.add(name)
    if (
      isAsked ||
      !resource.allow.includes(isAgent ? 'agent' : 'x11') ||
      isPermitted === false ||
      !this.parts.mayComeBack(
        isAgent ? 'auth-agent@openssh.com' : 'x11',
        this.parts.gate(this.reason),
      )
    ) {
      reply?.(false)
      return
    }
    this.target.request(name, data, reply)
  }
}

/** Replies go out in the order of their requests. */
export class Replies {
  private readonly owed: { ok: boolean | null }[] = []

  constructor(private readonly send: Reply) {}

  owe(): Reply {
    if (this.owed.length >= REPLIES_MAX) throw new Error('more requests than are taken at once')
    const one: { ok: boolean | null } = { ok: null }
    this.owed.push(one)
    return (ok) => {
      one.ok ??= ok
      this.settle()
    }
  }

  /** To the oldest that has none. */
  answerFirst(ok: boolean): void {
    const [first] = this.owed
    if (first) first.ok ??= ok
    this.settle()
  }

  answerAll(ok: boolean): void {
    for (const one of this.owed) one.ok ??= ok
    this.settle()
  }

  private settle(): void {
    while (this.owed.length > 0 && this.owed[0]!.ok !== null) this.send(this.owed.shift()!.ok!)
  }
}

/** `LC_*` */
function fits(pattern: string, name: string): boolean {
  if (!pattern.includes('*')) return pattern === name
  const parts = pattern.split('*').map((part) => part.replace(/[^\w]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}
