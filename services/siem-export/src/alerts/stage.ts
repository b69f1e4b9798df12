/** What stands between the stream and an alert channel: events that are alerts, said as often as the limiter lets them. */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Outgoing } from '../delivery/destination'
import type { Writer } from '../delivery/prepare'
import { type Alert, alertOf } from './alert'
import { Limiter, type LimiterState } from './limiter'

export type AlertDestinationSettings = Extract<SiemDestinationSettings, { alerts: unknown }>

export interface AlertStage {
  writer: Writer
  /** Counts that are due. */
  extra(): Outgoing[]
  state(): unknown
}

export const isAlertChannel = (
  settings: SiemDestinationSettings,
): settings is AlertDestinationSettings => 'alerts' in settings

export function createAlertStage(
  { alerts }: Pick<AlertDestinationSettings, 'alerts'>,
  o: { consoleUrl: string | undefined; gateway: string; state: unknown; nowMs?: () => number },
): AlertStage {
  const now = o.nowMs ?? Date.now
  const limiter = new Limiter(
    { repeatMs: alerts.repeatSeconds * 1000, perMinuteMax: alerts.perMinuteMax },
    o.state as LimiterState | undefined,
  )
  const options = { ...alerts, consoleUrl: o.consoleUrl }
  return {
    writer: {
      text(event) {
        const alert = alertOf(event, options)
        return alert !== null && limiter.admit(alert, now()) ? JSON.stringify(alert) : null
      },
    },
    extra: () => limiter.due(now()).map((alert) => outgoing(alert, o.gateway)),
    state: () => limiter.state(),
  }
}

function outgoing(alert: Alert, gateway: string): Outgoing {
  const text = JSON.stringify(alert)
  return {
    ...{ id: alert.id, key: gateway, timeMicros: alert.timeMicros, kind: 'alert.count' },
    ...{ severity: alert.severity, recorder: gateway, sequence: -1, session: null, resource: null },
    ...{ text, bytes: Buffer.byteLength(text) },
  }
}
