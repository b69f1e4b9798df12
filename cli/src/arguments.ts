/**
 * The command line: what each command is called, takes and means, and reading it. Help is made from the same table, so the
 * two can't disagree. Pure; refuses to run anything.
 */
import { parseArgs } from 'node:util'
import { CustodyError } from '@custody/kit'

export interface OptionSpec {
  /** What stands for the value in help; absent for a switch. */
  value?: string
  short?: string
  multiple?: boolean
  help: string
}

export interface CommandSpec {
  name: string
  /** Words behind the name in help. */
  takes?: string
  summary: string
  details?: readonly string[]
  options: Record<string, OptionSpec>
  positionalsMin: number
  positionalsMax: number
  examples?: readonly string[]
}

export interface Given {
  positionals: string[]
  text(name: string): string | undefined
  texts(name: string): string[]
  has(name: string): boolean
  /** Everything behind `--`. */
  rest: string[]
}

/** Options of every command. */
export const COMMON: Record<string, OptionSpec> = {
  json: { help: 'one JSON object a line, for programs' },
  help: { short: 'h', help: 'this help' },
}

export function usageError(message: string, spec?: CommandSpec): CustodyError {
  return new CustodyError('CUSTODY-CLI-002', message, {
    details: { help: spec ? `custody ${spec.name} --help` : 'custody help' },
  })
}

export function readArguments(spec: CommandSpec, words: readonly string[]): Given {
  const behind = words.indexOf('--')
  const own = behind < 0 ? words : words.slice(0, behind)
  const options = { ...COMMON, ...spec.options }
  let values: Record<string, unknown>
  let positionals: string[]
  try {
    ;({ values, positionals } = parseArgs({
      args: [...own],
      allowPositionals: true,
      strict: true,
      options: Object.fromEntries(
        Object.entries(options).map(([name, option]) => [
          name,
          {
            type: option.value === undefined ? ('boolean' as const) : ('string' as const),
            multiple: option.multiple ?? false,
            ...(option.short ? { short: option.short } : {}),
          },
        ]),
      ),
    }))
  } catch (error) {
    throw usageError((error as Error).message.split('. ')[0]!, spec)
  }
  if (!values.help) {
    if (positionals.length < spec.positionalsMin)
      throw usageError(`custody ${spec.name} takes ${spec.takes ?? 'no arguments'}`, spec)
    if (positionals.length > spec.positionalsMax)
      throw usageError(
        `custody ${spec.name} does not take ${JSON.stringify(positionals[spec.positionalsMax])}`,
        spec,
      )
  }
  return {
    positionals,
    text: (name) => values[name] as string | undefined,
    texts: (name) => (values[name] as string[] | undefined) ?? [],
    has: (name) => values[name] === true,
    rest: behind < 0 ? [] : words.slice(behind + 1),
  }
}

export function helpOf(spec: CommandSpec): string[] {
  const lines = [`custody ${spec.name}${spec.takes ? ` ${spec.takes}` : ''}`, '', spec.summary]
  for (const detail of spec.details ?? []) lines.push(detail)
  lines.push('', 'Options')
  const options = Object.entries({ ...spec.options, ...COMMON })
  const left = options.map(
    ([name, { value, short }]) =>
      `${short ? `-${short}, ` : ''}--${name}${value ? ` <${value}>` : ''}`,
  )
  const widest = Math.max(...left.map((one) => one.length))
  options.forEach(([, { help }], i) => {
    lines.push(`  ${left[i]!.padEnd(widest)}  ${help}`)
  })
  if (spec.examples?.length) lines.push('', 'Examples', ...spec.examples.map((one) => `  ${one}`))
  return lines
}

export function helpOfAll(specs: readonly CommandSpec[], version: string): string[] {
  const left = specs.map(({ name, takes }) => `custody ${name}${takes ? ` ${takes}` : ''}`)
  const widest = Math.max(...left.map((one) => one.length))
  return [
    `custody ${version}: chain of custody for production access`,
    '',
    ...specs.map(({ summary }, i) => `  ${left[i]!.padEnd(widest)}  ${summary}`),
    '',
    '`custody <command> --help` tells more. Every command takes --json.',
    '',
    'CUSTODY_HOME names the home directory of the Custody to ask (default ./.custody);',
    'CUSTODY_URL another one by its address, and CUSTODY_TOKEN the token to present there.',
    'Exit codes: 0 done, 1 failed, 2 the command line is wrong.',
  ]
}

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** A hundred years; longer is a slip of the finger. */
const SECONDS_MAX = 100 * 365 * 86_400

/** Seconds of `90s`, `15m`, `8h`, `2d`, or null. */
export function durationSeconds(text: string): number | null {
  const match = /^(\d{1,9})([smhdw])$/.exec(text)
  const seconds = match ? Number(match[1]) * UNITS[match[2]!]! : 0
  return match && seconds > 0 && seconds <= SECONDS_MAX ? seconds : null
}

/** A moment: ISO 8601 as it is, or how long ago (`2h`). */
export function moment(name: string, text: string | undefined, nowMs: number): string | undefined {
  if (text === undefined) return undefined
  const seconds = durationSeconds(text)
  if (seconds !== null) return new Date(nowMs - seconds * 1000).toISOString()
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(Date.parse(text)))
    throw usageError(
      `--${name} ${JSON.stringify(text)}: give a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h`,
    )
  return text
}

export function wholeNumber(
  name: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (!/^\d{1,12}$/.test(text) || number < min || number > max)
    throw usageError(`--${name} ${JSON.stringify(text)}: give a whole number from ${min} to ${max}`)
  return number
}
