/**
 * Reads a command line, runs the command, and tells how it ended: 0 done, 1 failed, 2 the line itself is wrong.
 * Every failure is told with its stable code and what to do; as JSON where that was asked for.
 */
import { CustodyError, isCustodyError } from '@custody/kit'
import { helpOf, helpOfAll, readArguments, usageError } from './arguments'
import { ApiError } from './client'
import { commands, homeOf } from './commands'
import { createOutput, type Streams } from './output'
import { visible } from './table'

const version: string = require('../package.json').version

export async function custody(
  words: readonly string[],
  streams: Streams,
  cwd: string,
): Promise<number> {
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words
  const output = createOutput(own.includes('--json'), streams)
  try {
    // `--json` may stand anywhere, the command's name before or behind it.
    const [name, ...more] = own.includes('--json')
      ? [...own.filter((word) => word !== '--json'), ...words.slice(own.length)]
      : words
    if (
      name === undefined ||
      name === '--help' ||
      name === '-h' ||
      (name === 'help' && more.length === 0)
    ) {
      if (output.json)
        output.object({
          version,
          commands: commands.map(({ name: called, takes, summary }) => ({
            name: called,
            takes,
            summary,
          })),
        })
      else output.lines(helpOfAll(commands, version))
      return name === undefined ? 2 : 0
    }
    if (name === '--version' || name === '-V' || name === 'version') {
      if (output.json) output.object({ version })
      else output.line(version)
      return 0
    }
    const wanted = name === 'help' ? more[0] : name
    const command = commands.find((one) => one.name === wanted)
    if (!command) {
      const near = commands.filter(
        (one) => wanted && (one.name.startsWith(wanted) || wanted.startsWith(one.name)),
      )
      throw usageError(
        `there is no command ${JSON.stringify(wanted)}${near.length > 0 ? `; did you mean ${near.map((one) => one.name).join(' or ')}?` : ''}`,
      )
    }
    if (name === 'help') {
      output.lines(helpOf(command))
      return 0
    }
    const given = readArguments(command, more)
    if (given.has('help')) {
      output.lines(helpOf(command))
      return 0
    }
    return await command.run({
      given,
      output,
      home: homeOf(streams.environment, cwd),
      environment: streams.environment,
      cwd,
      nowMs: Date.now(),
    })
  } catch (error) {
    return tell(error, output.json, streams)
  }
}

function tell(error: unknown, json: boolean, { stderr }: Streams): number {
  const wrongLine = isCustodyError(error) && error.code === 'CUSTODY-CLI-002'
  const known =
    error instanceof ApiError
      ? error
      : isCustodyError(error)
        ? {
            code: error.code,
            message: error.message,
            action: wrongLine ? `See \`${error.details.help}\`.` : error.duty,
            suggestions: [],
          }
        : null
  if (known === null) {
    stderr.write(
      `custody: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    return 1
  }
  const { code, message, action, suggestions } = known
  if (json) stderr.write(`${JSON.stringify({ error: { code, message, action, suggestions } })}\n`)
  else {
    const lines = [`${code}: ${visible(message)}`, ...(action ? [`  ${visible(action)}`] : [])]
    const cause =
      error instanceof CustodyError ? (error.cause as Error | undefined)?.message : undefined
    if (cause && !message.includes(cause)) lines.splice(1, 0, `  cause: ${visible(cause)}`)
    if (suggestions.length > 0) lines.push(`  Did you mean: ${suggestions.map(visible).join(', ')}`)
    stderr.write(`${lines.join('\n')}\n`)
  }
  return wrongLine ? 2 : 1
}
