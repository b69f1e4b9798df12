/** `npm run evasion`: prints what got past or was wrongly blocked, and as its last line the counts. Exit code 1 for either. */
import { parseArgs } from 'node:util'
import { runEvasion } from './evasion'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    protocol: { type: 'string', default: 'postgres' },
    only: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(
      'npm run evasion -- [--protocol postgres] [--only <part of a name>] [--json]\n\nTries to change a real PostgreSQL past a read-only policy, each attempt proven to work without Custody; and runs\nordinary statements, which must not be blocked.\n',
    )
    return 0
  }
  if (values.protocol !== 'postgres') {
    process.stderr.write(`evasion: there is nothing for ${values.protocol}; there is postgres\n`)
    return 2
  }
  const result = await runEvasion({
    ...(values.only && { only: values.only }),
    progress: (line) => process.stderr.write(`evasion: ${line}\n`),
  })
  for (const line of result.findings) process.stderr.write(`${line}\n`)
  const { statements, wronglyAllowed, ordinary, wronglyBlocked, unproven } = result
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ statements, wronglyAllowed, ordinary, wronglyBlocked, unproven })}\n`
      : `${statements} attempts, ${wronglyAllowed} wrongly allowed, ${unproven} not proven; ${ordinary} ordinary statements, ${wronglyBlocked} wrongly blocked\n`,
  )
  return wronglyAllowed + wronglyBlocked + unproven === 0 && statements > 0 ? 0 : 1
}

void main().then((code) => {
  process.exitCode = code
})
