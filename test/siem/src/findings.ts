/** What of a result breaks a promise, in words. Pure. */
import type { CheckResult } from './check'

export function findingsOf(result: CheckResult): string[] {
  const { destination, sent, missing, reordered, invented, duplicates, faults } = result
  const suffered = Object.values(faults).reduce((total, times) => total + times, 0)
  const found: string[] = []
  const say = (what: string) => found.push(`siem: ${destination}: ${what}`)
  if (sent === 0) say('nothing was sent')
  // Of datagrams nobody promises anything; what is missing is counted all the same.
  if (missing > 0 && !destination.endsWith('udp'))
    say(`${missing} of ${sent} are missing, such as ${result.missingIds[0]}`)
  if (reordered > 0) say(`${reordered} came before what was before them in their session`)
  if (invented > 0) say(`${invented} are not in the log`)
  if (duplicates > suffered * result.batchEventsMax)
    say(`${duplicates} copies after ${suffered} faults are more than a batch for each`)
  if (found.length > 0 && result.log) say(`its last words: ${result.log}`)
  return found
}
