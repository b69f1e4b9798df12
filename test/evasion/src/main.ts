/** `npm run evasion`: prints what got past or was wrongly blocked, and as its last line the counts. Exit code 1 for either. */
import { runSuite } from '@custody/test-support'
import { runEvasion } from './evasion'

runSuite({
  name: 'evasion',
  usage: '[--only <part of a name>]',
  about:
    'Tries to change a real PostgreSQL past a read-only policy, each attempt proven to work without Custody; and runs\nordinary statements, which must not be blocked.',
  options: { only: { type: 'string' } },
  async run(given, progress) {
    const { findings, ...counts } = await runEvasion({
      only: given.text('only') || undefined,
      progress,
    })
    const { statements, wronglyAllowed, ordinary, wronglyBlocked, unproven } = counts
    return {
      holds: wronglyAllowed + wronglyBlocked + unproven === 0 && statements > 0,
      findings,
      summary: `${statements} attempts, ${wronglyAllowed} wrongly allowed, ${unproven} not proven; ${ordinary} ordinary statements, ${wronglyBlocked} wrongly blocked`,
      counts: { statements, wronglyAllowed, ordinary, wronglyBlocked, unproven },
    }
  },
})
