/** `npm run parity`: prints what differs, and as its last line the counts. Exit code 1 where anything differs. */
import { runSuite } from '@custody/test-support'
import { runParity } from './parity'

runSuite({
  name: 'parity',
  usage: '[--only <part of a name>]',
  about: 'Runs a corpus of SQL direct and through Custody and compares the bytes that come back.',
  options: { only: { type: 'string' } },
  async run(given, progress) {
    const { cases, different, differences, untrue, untruths } = await runParity({
      only: given.text('only') || undefined,
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
