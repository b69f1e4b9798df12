/**
 * What a request of a channel is, as policies and events see it. The one place that knows who understands shell commands.
 * Refuses to call anything understood that nobody has understood.
 */
import { hash } from 'node:crypto'
import type { SessionRules } from '@custody/masking'
import type { CommandFacts } from '@custody/policy'
import { analyseShell, unanalysedShell } from '@custody/shell'
import type { Submitted } from './commands'
import { objectsOf, recogniseExec, type Transfer } from './recognise-exec'

/** Longer command lines are not read, and not understood. */
const PARSE_BYTES_MAX = 64 * 1024

export interface ExecRequest extends Submitted {
  /** Files that it moves, where its line says so alone. */
  transfer: Transfer | null
}

const facts = (
  verbs: string[],
  objects: CommandFacts['objects'],
  more: Partial<CommandFacts> = {},
): CommandFacts => ({
  verbs,
  objects,
  columns: [],
  breadth: {},
  fingerprint: null,
  understood: true,
  readOnly: false,
  ...more,
})

const NOT_TEXT: Analysed = {
  facts: facts(['ssh:exec', ...unanalysedShell('').verbs], [], { understood: false }),
  problem: 'it is not UTF-8',
  transfer: null,
}

const SHELL_FACTS = facts(['ssh:shell'], [], { understood: false })

/** A shell for a person. */
export function shellRequest(attributes: Record<string, string>): Submitted {
  return {
    facts: SHELL_FACTS,
    statement: {
      language: 'shell',
      interface: 'shell',
      text: '',
      textBytes: 0,
      verbs: SHELL_FACTS.verbs as string[],
      understood: false,
      problem: 'a shell runs whatever is typed into it',
      attributes,
    },
  }
}

/** One command line. `bytes`: as it came; what is not UTF-8 can't be read as a person would. */
export function execRequest(bytes: Buffer, attributes: Record<string, string>): ExecRequest {
  const text = bytes.toString('utf8')
  const isText = Buffer.from(text).equals(bytes)
  const { facts: found, problem, transfer } = isText ? analysed(text) : NOT_TEXT
  return {
    facts: found,
    transfer,
    statement: {
      language: 'shell',
      interface: 'exec',
      text,
      textBytes: bytes.length,
      textDigest: isText ? undefined : hash('sha256', bytes, 'buffer'),
      fingerprint: found.fingerprint,
      verbs: [...found.verbs],
      objects: [...found.objects],
      understood: found.understood,
      problem,
      attributes,
    },
  }
}

/** The same, with what detectors find in its words left out of the record; policies are asked about what it is. */
export function keptOf<T extends Submitted>(submitted: T, rules: SessionRules | null): T {
  const { statement } = submitted
  const masks = new Map<string, number>()
  const counts = { add: (name: string) => masks.set(name, (masks.get(name) ?? 0) + 1) }
  const masked = (text: string) =>
    rules?.maskText(Buffer.from(text), counts)?.toString('utf8') ?? text
  const text = masked(statement.text.toString())
  const attributes = Object.entries(statement.attributes ?? {}).map(
    ([name, value]) => [name, masked(String(value))] as const,
  )
  if (masks.size === 0) return submitted
  return {
    ...submitted,
    statement: {
      ...statement,
      text,
      // Whoever knows the rest could try what was left out.
      textDigest: undefined,
      fingerprint: undefined,
      objects: statement.objects?.map((one) =>
        'name' in one ? { ...one, name: masked(String(one.name)) } : one,
      ),
      problem: statement.problem && masked(String(statement.problem)),
      attributes: Object.fromEntries(attributes),
    },
  }
}

interface Analysed {
  facts: CommandFacts
  problem: string | null
  transfer: Transfer | null
}

/** Lines that come again share what was found, and what was decided on it. */
const known = new Map<string, Analysed>()
const KNOWN_MAX = 2000
const KNOWN_CHARACTERS_MAX = 4096

function analysed(text: string): Analysed {
  const before = known.get(text)
  if (before) return before
  const shell = analyseShell(text, { parseBytesMax: PARSE_BYTES_MAX })
  const transfer = recogniseExec(text)
  const moved = transfer ? objectsOf(transfer) : []
  const found: Analysed = {
    facts: {
      verbs: [...new Set(['ssh:exec', ...shell.verbs, ...moved.map(({ verb }) => verb)])],
      objects: [...shell.objects, ...moved],
      columns: [],
      breadth: {},
      fingerprint: shell.fingerprint,
      understood: shell.understood,
      readOnly: false,
    },
    problem: shell.problem,
    transfer,
  }
  if (text.length <= KNOWN_CHARACTERS_MAX) {
    if (known.size >= KNOWN_MAX) known.delete(known.keys().next().value!)
    known.set(text, found)
  }
  return found
}

export function subsystemRequest(name: string, attributes: Record<string, string>): Submitted {
  const found = facts(['ssh:subsystem'], [{ kind: 'subsystem', name, verb: 'ssh:subsystem' }], {
    fingerprint: `subsystem ${name}`,
  })
  return { facts: found, statement: statementOf(found, 'subsystem', name, attributes) }
}

export type ForwardVerb =
  | 'ssh:forward-local'
  | 'ssh:forward-remote'
  | 'ssh:forward-socket'
  | 'ssh:agent'
  | 'ssh:x11'

/** A connection, or the wish to be given connections, to or from an address. */
export function forwardRequest(
  verb: ForwardVerb,
  by: string,
  address: string,
  attributes: Record<string, string>,
): Submitted {
  const kind = verb === 'ssh:forward-socket' ? 'path' : 'address'
  const found = facts([verb], [{ kind, name: address, verb }], { fingerprint: `${by} ${address}` })
  return { facts: found, statement: statementOf(found, by, `${by} ${address}`, attributes) }
}

function statementOf(
  found: CommandFacts,
  by: string,
  text: string,
  attributes: Record<string, string>,
): Submitted['statement'] {
  return {
    language: 'ssh',
    interface: by,
    text,
    textBytes: Buffer.byteLength(text),
    fingerprint: found.fingerprint,
    verbs: [...found.verbs],
    objects: [...found.objects],
    understood: true,
    attributes,
  }
}
