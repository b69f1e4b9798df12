/**
 * The process around a suite that runs by itself, for people and for scripts: arguments, what it found on standard error,
 * its counts as the last line of standard output, and an exit code. Refuses to judge; the suite says whether all holds.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { ServerKind } from '@custody/mysql-server'

export interface Suite {
  /** As in `npm run <name>`. */
  name: string
  /** What its own options look like, for help. */
  usage: string
  about: string
  /** What it can be run for; PostgreSQL where not given. */
  protocols?: readonly string[]
  options: NonNullable<ParseArgsConfig['options']>
  /** What is wrong with the options' values, if anything is. */
  wrong?(given: Given): string | undefined
  run(given: Given, progress: (line: string) => void): Promise<Outcome>
}

export interface Given {
  /** Of MySQL: which of its two servers. */
  readonly server: ServerKind
  text(name: string): string | undefined
  has(name: string): boolean
}

export interface Outcome {
  holds: boolean
  /** Lines for a person: what does not hold. */
  findings: readonly string[]
  /** The last line, for a person and with --json. */
  summary: string
  counts: object
}

const SERVERS: readonly string[] = ['mariadb', 'mysql'] satisfies ServerKind[]

export function runSuite(suite: Suite): void {
  void main(suite).then((code) => {
    process.exitCode = code
  })
}

async function main({
  name,
  usage,
  about,
  protocols = ['postgres'],
  options,
  wrong,
  run,
}: Suite): Promise<number> {
  const { values } = parseArgs({
    options: {
      ...options,
      json: { type: 'boolean', default: false },
      protocol: { type: 'string', default: 'postgres' },
      server: { type: 'string', default: 'mariadb' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { protocol, server } = values as { protocol: string; server: string }
  const given: Given = {
    server: server as ServerKind,
    text: (option) => (values as Record<string, unknown>)[option] as string | undefined,
    has: (option) => (values as Record<string, unknown>)[option] === true,
  }
  if (given.has('help')) {
    const which = protocols.includes('mysql') ? ` [--server ${SERVERS.join('|')}]` : ''
    process.stdout.write(
      `npm run ${name} -- [--protocol ${protocols.join('|')}]${which} ${usage} [--json]\n\n${about}\n`,
    )
    return 0
  }
  const tell = (line: string) => process.stderr.write(`${name}: ${line}\n`)
  const problem = !protocols.includes(protocol)
    ? `there is nothing for ${protocol}; there is something for ${protocols.join(', ')}`
    : !SERVERS.includes(server)
      ? `--server ${server}: ${SERVERS.join(', ')}`
      : server !== 'mariadb' && protocol !== 'mysql'
        ? `--server ${server} comes with --protocol mysql`
        : wrong?.(given)
  if (problem !== undefined) {
    tell(problem)
    return 2
  }
  const { holds, findings, summary, counts } = await run(given, tell)
  for (const line of findings) process.stderr.write(`${line}\n`)
  process.stdout.write(`${given.has('json') ? JSON.stringify(counts) : summary}\n`)
  return holds ? 0 : 1
}
