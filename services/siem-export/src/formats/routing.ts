/** What delivery needs to know of an event before it is formatted: under which key its order counts, and by which identifier it is known again. */
import { type Event, uuidText } from '@custody/schemas'
import type { Routed } from './format'
import { severityOf } from './meaning'

export const recordId = (event: Event): string => uuidText(event.id)

export const routedOf = (event: Event): Routed => ({
  id: recordId(event),
  orderingKey: event.session === null ? event.recorder : uuidText(event.session),
  severity: severityOf(event),
})
