/** Events as other systems read them: one format each, behind one seam. */

export { CommandsUnderWay } from './commands'
export { createFormat, createSyslogFormat, type SyslogOptions } from './create'
export { Facts, factOf } from './facts'
export type { Evidence, Format, FormatName, FormatOptions, Outputs, Routed } from './format'
export { FORMAT_NAMES } from './format'
export {
  decisionOf,
  type Meaning,
  meaningOf,
  type Outcome,
  outcomeOf,
  SEVERITIES,
  type Severity,
  severityOf,
} from './meaning'
export { recordId, routedOf } from './routing'
export { type Framing, frameSyslog, type SyslogMessage, syslogMessage } from './syslog'
