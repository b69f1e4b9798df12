/** The event's identifier in a record, for who compares what a destination holds with the log. Null where it is not to be found. */
import type { FormatName } from '../formats'

export function idIn(format: FormatName, record: string): string | null {
  if (format === 'cef') return /\bexternalId=([0-9a-f-]{36})\b/.exec(record)?.[1] ?? null
  if (format === 'leef') return /\bcustodyId=([0-9a-f-]{36})\b/.exec(record)?.[1] ?? null
  try {
    const value = JSON.parse(record) as Record<string, Record<string, unknown>>
    switch (format) {
      case 'json':
        return text(value.id)
      case 'ocsf':
        return text(value.metadata?.uid)
      case 'ecs':
        return text(value.event?.id)
      case 'timesketch':
        return text(value.id) ?? text(value.event_id)
      case 'udm':
        return text(value.metadata?.product_log_id) ?? text(value.metadata?.productLogId)
    }
  } catch {
    return null
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
