/** `npm run evasion`: prints what got past or was wrongly blocked, and as its last line the counts. Exit code 1 for either. */
import { runSuite } from '@custody/test-support'
import { runEvasion } from './evasion'
import { runMysqlEvasion } from './mysql'
import { runSshEvasion } from './ssh'

runSuite({
  name: 'evasion',
  usage: '[--only <part of a name>]',
  about:
    'Tries to change a real PostgreSQL or MariaDB, or a file at the end of an SSH connection, past a read-only policy, each attempt\nproven to work without Custody; and runs ordinary statements or commands, which must not be blocked.',
  protocols: ['postgres', 'mysql', 'ssh'],
  options: { only: { type: 'string' } },
  async run(given, progress) {
    const run = { postgres: runEvasion, mysql: runMysqlEvasion, ssh: runSshEvasion }
    const { findings, ...counts } = await run[given.text('protocol') as keyof typeof run]({
      only: given.text('only') || undefined,
      server: given.server,
      progress,
    })
    const { statements, wronglyAllowed, ordinary, wronglyBlocked, unproven, elsewhere } = counts
    return {
      holds: wronglyAllowed + wronglyBlocked + unproven === 0 && statements > 0,
      findings,
      summary: `${statements} attempts, ${wronglyAllowed} wrongly allowed, ${unproven} not proven${elsewhere ? `, ${elsewhere} without effect at this server` : ''}; ${ordinary} ordinary statements, ${wronglyBlocked} wrongly blocked`,
      counts,
    }
  },
})
