/** What can be asked for by name: every destination, and who receives in its place. */
import { startTopic } from './receivers/kafka'
import { startOpenSearch } from './receivers/opensearch'
import type { Receiver } from './receivers/receiver'
import { startS3 } from './receivers/s3'
import * as simulators from './receivers/simulators'
import { startSyslog } from './receivers/syslog'

export interface Named {
  start(): Promise<Receiver>
  settings?: Record<string, unknown>
}

export const DESTINATIONS: Record<string, Named> = {
  'rsyslog-tcp': { start: () => startSyslog({ program: 'rsyslog', transport: 'tcp' }) },
  'rsyslog-tls': { start: () => startSyslog({ program: 'rsyslog', transport: 'tls' }) },
  'rsyslog-udp': { start: () => startSyslog({ program: 'rsyslog', transport: 'udp' }) },
  'syslog-ng-tcp': { start: () => startSyslog({ program: 'syslog-ng', transport: 'tcp' }) },
  'syslog-ng-tls': {
    start: () => startSyslog({ program: 'syslog-ng', transport: 'tls', format: 'leef' }),
  },
  opensearch: { start: () => startOpenSearch() },
  'opensearch-data-stream': { start: () => startOpenSearch({ dataStream: true }) },
  kafka: { start: startTopic },
  's3-jsonl': { start: () => startS3('jsonl.gz'), settings: { batch: { lingerMs: 300 } } },
  's3-parquet': { start: () => startS3('parquet'), settings: { batch: { lingerMs: 300 } } },
  http: { start: () => simulators.simulate(simulators.webhook) },
  splunk: { start: () => simulators.simulate(simulators.splunk()) },
  otlp: { start: () => simulators.simulate(simulators.otlp) },
  loki: { start: () => simulators.simulate(simulators.loki) },
  datadog: { start: () => simulators.simulate(simulators.datadog) },
  sentinel: { start: () => simulators.simulate(simulators.sentinel()) },
  secops: { start: () => simulators.simulate(simulators.secops()) },
}
