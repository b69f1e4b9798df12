/** Which writer a destination has: its format, within what its kind of destination needs around a record. */
import { hash } from 'node:crypto'
import type { SiemDestinationSettings } from '@custody/kit'
import { createFormat, createSyslogFormat, type FormatOptions } from '../formats'
import type { Writer } from './prepare'

export interface WriterContext {
  version: string
  consoleUrl: string | undefined
}

export function createWriter(settings: SiemDestinationSettings, context: WriterContext): Writer {
  const options: FormatOptions = {
    version: context.version,
    outputs: settings.outputs,
    ocsf: settings.ocsf,
    ecs: { version: settings.ecsVersion },
    ...(context.consoleUrl && { consoleUrl: context.consoleUrl }),
    ...(settings.statementBytesMax > 0 && { statementBytesMax: settings.statementBytesMax }),
    ...(settings.type === 'syslog' &&
      settings.recordBytesMax > 0 && { recordBytesMax: settings.recordBytesMax }),
  }
  const format =
    settings.type === 'syslog'
      ? createSyslogFormat({
          ...options,
          body: settings.format,
          framing: 'octet-counting',
          facility: settings.facility,
          enterprise: settings.enterprise,
          application: settings.appName,
        })
      : createFormat(settings.format, options)
  return {
    text: (event, message) =>
      format.text(event, { digest: hash('sha256', message, 'hex'), previousId: null }),
  }
}
