/** `npm run crash`: kills, compares, and prints as its last line the counts. Exit code 1 where a promise is broken. */
import { parseArgs } from 'node:util'
import { runCrash } from './crash'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    protocol: { type: 'string', default: 'postgres' },
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(
      'npm run crash -- [--protocol postgres] [--kills 50] [--seed n] [--keep] [--json]\n\nKills the proxy (and ingest, and the warehouse) at random moments under load, and compares the target’s own statement\nlog and what the clients saw with what was recorded and stored.\n',
    )
    return 0
  }
  if (
    values.protocol !== 'postgres' ||
    !/^\d{1,5}$/.test(values.kills) ||
    !/^\d{1,9}$/.test(values.seed)
  ) {
    process.stderr.write(
      'crash: --protocol postgres, --kills <number> and --seed <number> are what there is\n',
    )
    return 2
  }
  process.stderr.write(`crash: seed ${values.seed}\n`)
  const result = await runCrash({
    kills: Number(values.kills),
    seed: Number(values.seed),
    keep: values.keep,
    progress: (line) => process.stderr.write(`crash: ${line}\n`),
  })
  for (const finding of result.findings) process.stderr.write(`crash: ${finding}\n`)
  process.stdout.write(
    values.json
      ? `${JSON.stringify(result)}\n`
      : `${Object.entries(result)
          .map(([name, value]) => `${name} ${Array.isArray(value) ? value.length : value}`)
          .join(', ')}\n`,
  )
  return holds(result) ? 0 : 1
}

function holds(result: Awaited<ReturnType<typeof runCrash>>): boolean {
  return (
    result.missing === 0 &&
    result.unacknowledgedReleased === 0 &&
    result.duplicates === 0 &&
    result.notStored === 0 &&
    result.invented === 0 &&
    result.died === 0 &&
    result.findings.length === 0 &&
    result.statements > 0
  )
}

void main().then((code) => {
  process.exitCode = code
})
