/** `npm run siem`: delivers to every destination, or to one, and compares. Exit code 1 where a promise is broken. */
import { runSuite } from '@custody/test-support'
import { type CheckResult, check, FAULTS, type Fault } from './check'
import { DESTINATIONS } from './destinations'
import { findingsOf } from './findings'

const NAMES = Object.keys(DESTINATIONS)

runSuite({
  name: 'siem',
  usage: `[--destination <name>] [--events 5000] [--chaos] [--faults ${FAULTS.join(',')}] [--times 3] [--seed n]`,
  about: `Delivers recorded sessions to real receivers (and to simulators, called so, where there is none), kills and cuts and fills
on the way with --chaos, and compares what was received with the log. Destinations: ${NAMES.join(', ')}.`,
  options: {
    destination: { type: 'string', multiple: true },
    events: { type: 'string', default: '5000' },
    chaos: { type: 'boolean', default: false },
    faults: { type: 'string', default: FAULTS.join(',') },
    times: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
  wrong(given) {
    const unknown = wantedOf(given).find((name) => !NAMES.includes(name))
    if (unknown !== undefined) return `there is no ${unknown}; there are ${NAMES.join(', ')}`
    const fault = faultsOf(given).find((name) => !FAULTS.includes(name))
    if (fault !== undefined) return `there is no fault ${fault}; there are ${FAULTS.join(', ')}`
    return ['events', 'times', 'seed'].every((one) => /^\d{1,9}$/.test(given.text(one)!))
      ? undefined
      : '--events, --times and --seed take numbers'
  },
  async run(given, progress) {
    const results: CheckResult[] = []
    for (const destination of wantedOf(given)) {
      for (const faults of given.has('chaos') ? roundsOf(destination, faultsOf(given)) : [[]]) {
        const result = await check({
          ...DESTINATIONS[destination]!,
          destination,
          events: Number(given.text('events')),
          times: Number(given.text('times')),
          seed: Number(given.text('seed')),
          faults,
          progress,
        })
        results.push(result)
        progress(oneLine(result))
      }
    }
    const findings = results.flatMap(findingsOf)
    const sum = (of: 'sent' | 'received' | 'missing' | 'reordered' | 'duplicates') =>
      results.reduce((total, result) => total + result[of], 0)
    const counts = {
      destinations: results.length,
      ...{ sent: sum('sent'), received: sum('received'), missing: sum('missing') },
      ...{ reordered: sum('reordered'), duplicates: sum('duplicates') },
      results,
    }
    return {
      holds: findings.length === 0 && counts.sent > 0,
      findings,
      summary: `destinations ${counts.destinations}, sent ${counts.sent}, received ${counts.received}, missing ${counts.missing}, reordered ${counts.reordered}, duplicates ${counts.duplicates}`,
      counts,
    }
  },
})

function wantedOf(given: { text(name: string): unknown }): string[] {
  const some = given.text('destination') as string[] | undefined
  return some === undefined ? NAMES : some
}

function faultsOf(given: { text(name: string): string | undefined }): Fault[] {
  return given.text('faults')!.split(',') as Fault[]
}

/**
 * Where nothing but the connection says what arrived, a receiver that is killed is reached directly: a relay in between would
 * still stand. The network is cut in a round of its own then.
 */
function roundsOf(destination: string, faults: readonly Fault[]): Fault[][] {
  if (!destination.includes('syslog')) return [[...faults]]
  const rounds: Fault[][] = [faults.filter((one) => one !== 'kill-receiver')]
  if (faults.includes('kill-receiver')) rounds.push(['kill-receiver'])
  return rounds.filter((round) => round.length > 0)
}

function oneLine(r: CheckResult): string {
  const faults = Object.entries(r.faults).map(([fault, times]) => `${fault} ${times}`)
  return `${r.destination} (${r.receiver}): sent ${r.sent}, received ${r.received}, missing ${r.missing}, reordered ${r.ordered ? r.reordered : '-'}, duplicates ${r.duplicates}, dead letters ${r.deadLetters}${faults.length > 0 ? `; ${faults.join(', ')}` : ''}; ${Math.round(r.msTaken / 1000)} s`
}
