/** `npm run parity`: prints what differs, and as its last line the counts. Exit code 1 where anything differs. */
import { runSuite } from '@custody/test-support'
import { runMysqlParity } from './mysql'
import { runParity } from './parity'
import { runSshParity } from './ssh'

runSuite({
  name: 'parity',
  usage: '[--only <part of a name>]',
  about:
    'Runs a corpus of SQL, or of what SSH is used for, direct and through Custody and compares the bytes that come back.',
  protocols: ['postgres', 'mysql', 'ssh'],
  options: { only: { type: 'string' } },
  async run(given, progress) {
    const run = { postgres: runParity, mysql: runMysqlParity, ssh: runSshParity }
    const { cases, different, differences, untrue, untruths } = await run[
      given.text('protocol') as keyof typeof run
    ]({
      only: given.text('only') || undefined,
      server: given.server,
      progress,
    })
    return {
      holds: different === 0 && untrue === 0 && cases > 0,
      findings: [
        ...differences.map(
          ({ name, direct, proxied }) => `\n${name}\n  direct   ${direct}\n  proxied  ${proxied}`,
        ),
        ...untruths.map((untruth) => `not recorded as it was: ${untruth}`),
      ],
      summary: `${cases} cases, ${different} different, ${untrue} recorded otherwise than they were`,
      counts: { cases, different, untrue },
    }
  },
})
