/** What a process tells at /metrics of the way from its log to Kafka. */
import type { Metric } from '@custody/kit'
import type { ClusterStatus } from './cluster'

/** Of the way to Kafka; none on one machine. */
export function shipperMetrics(cluster: ClusterStatus | null): Metric[] {
  if (cluster === null) return []
  const one = (name: string, help: string, value: number): Metric => ({
    name,
    help,
    values: [{ value, labels: { recorder: cluster.recorder } }],
  })
  return [
    one(
      'custody_kafka_shipped_sequence',
      'Every event below it is acknowledged by Kafka.',
      cluster.shippedSequence,
    ),
    one(
      'custody_kafka_shipped_events_total',
      'Events acknowledged by Kafka since the start.',
      cluster.events,
    ),
    one(
      'custody_kafka_shipped_batches_total',
      'Batches acknowledged by Kafka since the start.',
      cluster.batches,
    ),
    one(
      'custody_kafka_behind_events',
      'Events that Kafka has not acknowledged yet.',
      cluster.behindEvents,
    ),
    one(
      'custody_kafka_behind_bytes',
      'Bytes of log that Kafka has not acknowledged yet.',
      cluster.behindBytes,
    ),
    one(
      'custody_kafka_behind_seconds',
      'Age of the oldest event that Kafka has not acknowledged.',
      (cluster.oldestUnshippedMs ?? 0) / 1000,
    ),
    one(
      'custody_kafka_problem',
      '1 while nothing can be shipped.',
      cluster.problem === null ? 0 : 1,
    ),
    one(
      'custody_control_hearing',
      '1 while who is locked and what people say elsewhere is heard.',
      cluster.isHearing ? 1 : 0,
    ),
    one(
      'custody_control_unheard_seconds',
      'For how long who is locked and what people say elsewhere has not been heard.',
      cluster.hearingProblem === null ? 0 : (Date.now() - cluster.hearingProblem.sinceMs) / 1000,
    ),
  ]
}
