/** `npm run crash`: kills, compares, and prints as its last line the counts. Exit code 1 where a promise is broken. */
import { runSuite } from '@custody/test-support'
import { type CrashOptions, type CrashResult, runCrash } from './crash'
import { type MysqlCrashResult, runMysqlCrash } from './mysql'
import { runSshCrash, type SshCrashResult } from './ssh'

runSuite({
  name: 'crash',
  usage: '[--kills 50] [--seed n] [--keep]',
  about:
    'Kills the proxy (and ingest, and the warehouse) at random moments under load, and compares the target’s own statement\nlog (of SSH: what its shell noted of each command) and what the clients saw with what was recorded and stored.',
  protocols: ['postgres', 'mysql', 'ssh'],
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    keep: { type: 'boolean', default: false },
  },
  wrong: (given) =>
    /^\d{1,5}$/.test(given.text('kills')!) && /^\d{1,9}$/.test(given.text('seed')!)
      ? undefined
      : '--kills and --seed take numbers',
  async run(given, progress) {
    progress(`seed ${given.text('seed')}`)
    const run: Record<string, (o: CrashOptions) => Promise<Counts>> = {
      postgres: runCrash,
      mysql: runMysqlCrash,
      ssh: runSshCrash,
    }
    const result = await run[given.text('protocol')!]!({
      kills: Number(given.text('kills')),
      seed: Number(given.text('seed')),
      keep: given.has('keep'),
      server: given.server,
      progress,
    })
    return {
      holds: holds(result),
      findings: result.findings.map((finding) => `crash: ${finding}`),
      summary: Object.entries(result)
        .map(([name, value]) => `${name} ${Array.isArray(value) ? value.length : value}`)
        .join(', '),
      counts: result,
    }
  },
})

/** The store is looked at with PostgreSQL. */
type Counts = SshCrashResult | MysqlCrashResult | CrashResult

function holds(result: Counts): boolean {
  return (
    result.missing === 0 &&
    result.unacknowledgedReleased === 0 &&
    result.duplicates === 0 &&
    !('notStored' in result && result.notStored > 0) &&
    !('invented' in result && result.invented > 0) &&
    result.died === 0 &&
    result.findings.length === 0 &&
    result.statements > 0
  )
}
