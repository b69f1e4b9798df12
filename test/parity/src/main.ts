/** `npm run parity`: prints what differs, and as its last line the counts. Exit code 1 where anything differs. */
import { parseArgs } from 'node:util'
import { runParity } from './parity'

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
      'npm run parity -- [--protocol postgres] [--only <part of a name>] [--json]\n\nRuns a corpus of SQL direct and through Custody and compares the bytes that come back.\n',
    )
    return 0
  }
  if (values.protocol !== 'postgres') {
    process.stderr.write(
      `parity: there is no corpus for ${values.protocol}; there is one for postgres\n`,
    )
    return 2
  }
  const { cases, different, differences, untrue, untruths } = await runParity({
    ...(values.only && { only: values.only }),
    progress: (line) => process.stderr.write(`parity: ${line}\n`),
  })
  for (const { name, direct, proxied } of differences)
    process.stderr.write(`\n${name}\n  direct   ${direct}\n  proxied  ${proxied}\n`)
  for (const untruth of untruths) process.stderr.write(`not recorded as it was: ${untruth}\n`)
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ cases, different, untrue })}\n`
      : `${cases} cases, ${different} different, ${untrue} recorded otherwise than they were\n`,
  )
  return different === 0 && untrue === 0 && cases > 0 ? 0 : 1
}

void main().then((code) => {
  process.exitCode = code
})
