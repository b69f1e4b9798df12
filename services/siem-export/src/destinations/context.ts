/** What every destination is made of: its settings, and how it reads its secrets. */
import type { Logger, Secrets, SiemDestinationSettings } from '@custody/kit'
import { createOutbound, type Outbound } from './outbound'

export interface DestinationContext<Settings extends SiemDestinationSettings> {
  /** As configured. */
  name: string
  settings: Settings
  gateway: string
  secrets: Secrets
  logger: Logger
}

export function outboundOf({
  name,
  settings,
}: DestinationContext<SiemDestinationSettings>): Outbound {
  const { requestMsMax, tls, allowMetadataAddresses } = settings
  return createOutbound({
    service: name,
    requestMsMax,
    allowMetadataAddresses,
    ...(tls && { tls }),
  })
}
