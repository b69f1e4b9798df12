/**
 * Microsoft Sentinel by the Logs Ingestion API: a JSON array to a stream of a data collection rule, at most 1 MB at once and
 * 64 KB in a column; a longer record is put aside (`statementBytesMax` keeps them shorter).
 * The token is asked for with the application's secret and kept until shortly before it ends.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination, Outgoing } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { KeptToken } from './credentials'

type Settings = Extract<SiemDestinationSettings, { type: 'sentinel' }>

const SCOPE = 'https://monitor.azure.com//.default'
const API_VERSION = '2023-01-01'
/** Of 1 MB, counted before compression; quotes that are escaped may double a record. */
const BYTES_MAX = 450_000
/** Of 64 KB: what is longer in a column it cuts off and says nothing. */
const RECORD_BYTES_MAX = 64_000

export function createSentinel(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const token = new KeptToken(name, async (signal) =>
    outbound.ask(
      `${settings.loginUrl.replace(/\/+$/, '')}/${settings.tenantId}/oauth2/v2.0/token`,
      {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: settings.clientId,
          client_secret: await secrets.read(settings.clientSecret),
          scope: SCOPE,
        }).toString(),
        signal,
      },
    ),
  )

  return {
    name,
    acknowledges: 'stored',
    limits: { bytesMax: BYTES_MAX, recordBytesMax: RECORD_BYTES_MAX },
    async deliver({ records }, signal) {
      const url = `${settings.url.replace(/\/+$/, '')}/dataCollectionRules/${settings.ruleId}/streams/${settings.stream}?api-version=${API_VERSION}`
      try {
        await outbound.ask(url, {
          headers: {
            'content-type': 'application/json',
            authorization: `Bearer ${await token.bearer(signal)}`,
          },
          body: bodyOf(records),
          gzip: settings.gzip,
          signal,
        })
      } catch (error) {
        token.refused(error)
        throw error
      }
      return {}
    },
    async close() {
      outbound.close()
    },
  }
}

/** The columns of the rule's stream; `Record` is what the format made of the event. */
export function bodyOf(records: readonly Outgoing[]): string {
  return JSON.stringify(
    records.map(
      ({ id, kind, severity, timeMicros, session, resource, recorder, sequence, text }) => ({
        TimeGenerated: new Date(Math.floor(timeMicros / 1000)).toISOString(),
        EventId: id,
        Kind: kind,
        Severity: severity,
        Session: session,
        Resource: resource,
        Recorder: recorder,
        Sequence: sequence,
        Record: text,
      }),
    ),
  )
}
