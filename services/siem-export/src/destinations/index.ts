/**
 * Every kind of destination, in one list. To add one: settings in packages/kit/src/siem-settings.ts, a file here that makes a
 * Destination of them, a line below, and its receiver in test/siem; docs/siem.md says more.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination } from '../delivery/destination'
import type { DestinationContext } from './context'
import { createDatadog } from './datadog'
import { createElasticsearch } from './elasticsearch'
import { createEmail } from './email'
import { createHttp } from './http'
import { createJira } from './jira'
import { createKafkaTopic } from './kafka'
import { createLoki } from './loki'
import { createOtlp } from './otlp'
import { createPagerDuty } from './pagerduty'
import { createS3 } from './s3'
import { createSecops } from './secops'
import { createSentinel } from './sentinel'
import { createServiceNow } from './servicenow'
import { createSlack } from './slack'
import { createSplunk } from './splunk'
import { createSyslog } from './syslog'
import { createTeams } from './teams'

type Type = SiemDestinationSettings['type']
type Of<T extends Type> = DestinationContext<Extract<SiemDestinationSettings, { type: T }>>

const KINDS: { [T in Type]: (context: Of<T>) => Destination } = {
  syslog: createSyslog,
  elasticsearch: createElasticsearch,
  http: createHttp,
  kafka: createKafkaTopic,
  s3: createS3,
  splunk: createSplunk,
  otlp: createOtlp,
  loki: createLoki,
  sentinel: createSentinel,
  datadog: createDatadog,
  secops: createSecops,
  slack: createSlack,
  teams: createTeams,
  email: createEmail,
  pagerduty: createPagerDuty,
  jira: createJira,
  servicenow: createServiceNow,
}

export function createDestination(
  context: DestinationContext<SiemDestinationSettings>,
): Destination {
  const { type } = context.settings
  return (KINDS[type] as (context: unknown) => Destination)(context)
}

export type { DestinationContext } from './context'
