/** For channels that take one alert at a time: each that was taken is acknowledged, and what is behind a failure comes again. */
import type { Alert } from '../alerts/alert'
import type { Batch, Receipt } from '../delivery/destination'
import { Undelivered } from '../delivery/destination'

export async function oneByOne(
  { records }: Batch,
  say: (alert: Alert) => Promise<void>,
): Promise<Receipt> {
  const refused: { index: number; code: string; reason: string }[] = []
  for (let index = 0; index < records.length; index++) {
    try {
      await say(JSON.parse(records[index]!.text) as Alert)
    } catch (error) {
      const known = error instanceof Undelivered ? error : null
      if (known?.fault === 'refused' || known?.fault === 'too-large') {
        refused.push({ index, code: 'CUSTODY-SIEM-003', reason: known.message })
        continue
      }
      if (index === 0) throw error
      return {
        refused,
        again: {
          indices: records.map((_, i) => i).slice(index),
          reason: (error as Error).message,
          ...(known?.afterMs !== undefined && { afterMs: known.afterMs }),
        },
      }
    }
  }
  return { refused }
}
