/** What a run found, for people: the faults by kind, and what each place has. */
import type { PlaceCounts } from './audit'
import type { ChaosResult } from './chaos'

export function tables(result: ChaosResult): string[] {
  const { audit } = result
  const place = (name: string, counts: PlaceCounts | null) =>
    counts === null
      ? []
      : [
          [
            name,
            counts.events,
            counts.lost,
            counts.duplicated,
            counts.reordered,
            counts.changed,
          ].map(String),
        ]
  return [
    ...aligned([
      ['fault', 'times', 'seconds', 'completions meanwhile'],
      ...result.byKind.map(({ kind, times, seconds, completions }) => [
        kind,
        String(times),
        seconds.toFixed(1),
        String(completions),
      ]),
    ]),
    '',
    ...aligned([
      ['place', 'events', 'lost', 'duplicated', 'reordered', 'changed'],
      ...place('local logs', audit.log),
      ...place('Kafka', audit.kafka),
      ...place('store', audit.store),
    ]),
    '',
    ...aligned([
      ['statements', 'of them', 'without an event', 'without a row'],
      ['ran at the target', audit.statements, audit.unrecordedLog, audit.unrecordedStore].map(
        String,
      ),
      [
        'seen to complete',
        audit.released,
        audit.unrecordedReleasedLog,
        audit.unrecordedReleasedStore,
      ].map(String),
    ]),
    '',
    ...aligned([
      ['and ran all the same', 'of them', 'ran'],
      ['refused', audit.refused, audit.refusedButRan].map(String),
      ['held, not approved', audit.held - audit.approved, audit.heldButRan].map(String),
    ]),
    '',
    `outcome unknown ${result.outcomeUnknown}; dead letters ${result.deadLetters}; gaps seen in ${result.looks} looks ${result.gapsSeen}; answers again after ${result.answersAgainMs} ms, all stored after ${result.caughtUpMs} ms`,
    `refused: ${Object.entries(result.refusals)
      .map(([code, times]) => `${code} ${times}`)
      .join(', ')}; answers of people ${result.answers}; connections broken ${result.broken}`,
    `ended by themselves: ${Object.entries(result.died)
      .map(([name, times]) => `${name} ${times}`)
      .join(', ')}`,
  ]
}

/** The first column to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  '),
  )
}
