/** What deliveries have to say, as events. Pure. */
import { type EventInput, uuidBytes } from '@custody/schemas'
import type { Fact } from './delivery/delivery'

export function eventOf(destination: string, fact: Fact): EventInput {
  switch (fact.type) {
    case 'acknowledged': {
      const { ranges, acknowledges } = fact
      return {
        kind: 'siem.acknowledged',
        audit: {
          action: 'deliver',
          subject: destination,
          query: JSON.stringify({ acknowledges, ranges }),
          results: ranges.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
          durationMicros: 0,
        },
      }
    }
    case 'lost':
      return {
        kind: 'alert.siem-lost',
        recording: {
          state: 'lost',
          detail: `${destination}: ${fact.origin} ${fact.from} to ${fact.to} were gone before they were delivered; the store has them`,
        },
      }
    case 'put-aside':
      return {
        kind: 'siem.put-aside',
        recording: {
          state: 'put-aside',
          detail: `${destination}: ${fact.id} (${fact.code}) ${fact.reason}`,
        },
      }
    case 'detected': {
      const { who, path, event, ...attributes } = fact.detected
      return {
        kind: 'alert.detection',
        parent: uuidBytes(event),
        ...(who && { who }),
        ...(path && { path }),
        lifecycle: { state: 'detected', attributes },
      }
    }
    case 'asked':
      return {
        kind: 'siem.asked',
        audit: {
          action: fact.what,
          subject: destination,
          query: JSON.stringify({ by: fact.by, ...fact.detail }),
          results: 0,
          durationMicros: 0,
        },
      }
  }
}
