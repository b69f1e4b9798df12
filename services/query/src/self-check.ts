/**
 * Compares, from time to time, what is in the logs of this home, in Kafka and in the store, and makes an event of what comes
 * of it: `pipeline.verified`, or `alert.evidence-gap` with what is missing. Refuses nothing: an analyst reads on meanwhile.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import type { Recorder } from '@custody/event-log'
import type { Logger } from '@custody/kit'
import { type KafkaPlace, type PipelineResult, verifyPipeline } from '@custody/pipeline'
import { expiredCondition, isExpired, type RetentionDays } from '@custody/warehouse'

export interface SelfCheckOptions {
  logDirectory: string
  kafka: KafkaPlace | null
  /** Ingest's consumer group there. */
  group: string
  client: ClickHouseClient
  recorder: Recorder
  retentionDays: RetentionDays
  /** 0: never. */
  everyHours: number
  logger: Logger
  /** Before the first one; in tests sooner. */
  firstMs?: number
}

export interface SelfCheckStatus {
  /** When the last one ended; null before the first. */
  checkedMs: number | null
  ok: boolean | null
  findings: number
  /** Why the last one could not be carried through. */
  problem: string | null
}

export interface SelfCheck {
  start(): void
  stop(): Promise<void>
  status(): SelfCheckStatus
}

const HOUR_MS = 3_600_000
/** Services that start together have a backlog to get through. */
const FIRST_MS = 300_000
/** Looked at twice, so that what was on its way the last time is not passed over. */
const OVERLAP_MS = HOUR_MS
/** Told in the event; the command tells all. */
const FINDINGS_TOLD_MAX = 20

export function createSelfCheck(o: SelfCheckOptions): SelfCheck {
  const status: SelfCheckStatus = { checkedMs: null, ok: null, findings: 0, problem: null }
  const everyMs = o.everyHours * HOUR_MS
  let timer: NodeJS.Timeout | null = null
  let running: Promise<void> = Promise.resolve()
  let stopped = false
  let sinceMs = Date.now() - everyMs - OVERLAP_MS

  function schedule(ms: number): void {
    if (stopped) return
    timer = setTimeout(() => {
      running = check().finally(() => schedule(everyMs))
    }, ms)
    timer.unref()
  }

  async function check(): Promise<void> {
    const nowMs = Date.now()
    const expiredAt = nowMs + HOUR_MS
    const condition = expiredCondition(o.retentionDays, expiredAt)
    try {
      const result = await verifyPipeline({
        logDirectory: o.logDirectory,
        kafka: o.kafka,
        group: o.group,
        client: o.client,
        sinceMicros: sinceMs * 1000,
        expired:
          condition === null
            ? null
            : {
                of: (time, kind) =>
                  isExpired(kind, time, { retentionDays: o.retentionDays }, expiredAt),
                sql: condition,
              },
      })
      Object.assign(status, {
        checkedMs: Date.now(),
        ok: result.ok,
        findings: result.findings.length + result.more,
        problem: null,
      })
      record(result)
      if (result.ok) sinceMs = nowMs - OVERLAP_MS
      else o.logger.error({ findings: result.findings.slice(0, 5) }, 'evidence is missing')
    } catch (error) {
      status.problem = (error as Error).message
      o.logger.error({ err: error }, 'log, Kafka and store could not be compared')
    }
  }

  function record(result: PipelineResult): void {
    if (stopped || o.recorder.problem) return
    o.recorder.record({
      kind: result.ok ? 'pipeline.verified' : 'alert.evidence-gap',
      recording: { state: 'verified', detail: wordsOf(result) },
    })
  }

  return {
    start() {
      if (o.everyHours > 0) schedule(o.firstMs ?? FIRST_MS)
    },
    async stop() {
      stopped = true
      if (timer) clearTimeout(timer)
      await running
    },
    status: () => ({ ...status }),
  }
}

function wordsOf({ places, recorders, findings, more, sinceMicros }: PipelineResult): string {
  const compared = `${places.join(', ')} compared since ${new Date((sinceMicros ?? 0) / 1000).toISOString()}`
  const counted = recorders
    .map(({ recorder, log, kafka, store }) => `${recorder} ${log ?? '-'}/${kafka ?? '-'}/${store}`)
    .join(', ')
  const told = findings
    .slice(0, FINDINGS_TOLD_MAX)
    .map(
      ({ recorder, problem, place, from, to, detail }) =>
        `${recorder}: ${problem} (${place}) ${from} to ${to}: ${detail}`,
    )
  const left = findings.length + more - told.length
  if (left > 0) told.push(`and ${left} more`)
  return [`${compared}: ${counted}`, ...told].join('; ')
}
