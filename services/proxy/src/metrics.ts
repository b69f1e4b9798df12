/** What the proxy tells of itself at /metrics. Names what is counted, never who or what is in it. */
import { shipperMetrics } from '@custody/event-log-kafka'
import type { Metric } from '@custody/kit'
import type { ProxyStatus } from './proxy'

export function metricsOf({ sessions, held, log, policy, cluster }: ProxyStatus): Metric[] {
  const one = (name: string, help: string, value: number | boolean | null | undefined): Metric => ({
    name,
    help,
    values:
      value == null ? [] : [{ value: Number(value), labels: { recorder: log?.recorder ?? '' } }],
  })
  return [
    one('custody_proxy_sessions', 'Sessions now open.', sessions),
    one('custody_proxy_held_commands', 'Commands that wait for approval.', held),
    one('custody_log_events_total', 'Events recorded.', log?.nextSequence),
    one('custody_log_bytes', 'Bytes of the event log.', log?.logBytes),
    one('custody_log_bytes_max', 'Bytes that the event log never grows beyond.', log?.logBytesMax),
    one(
      'custody_log_refusing',
      '1 while nothing can be recorded and so no command runs.',
      log && log.problem !== null,
    ),
    one(
      'custody_log_refused_commands',
      'Commands refused since nothing can be recorded.',
      log?.refusedCommands,
    ),
    one(
      'custody_policy_problem',
      '1 while the policy files as they are now are not in force.',
      policy.problem !== null,
    ),
    one(
      'custody_not_replicated_commands_total',
      'Commands that did not run because Kafka did not acknowledge their record.',
      log?.notReplicated,
    ),
    one(
      'custody_replication_refusing',
      '1 while commands of replicated resources are refused because Kafka is away.',
      log && log.replicationProblem !== null,
    ),
    ...shipperMetrics(cluster),
  ]
}
