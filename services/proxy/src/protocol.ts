/**
 * The seam that every protocol fills: a name and `serve(socket, …)`. All that a protocol shares with the others comes
 * in through `ProtocolServices`; nothing of PostgreSQL's shape is in it.
 */
import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import type { Recorder } from '@custody/event-log'
import type { CredentialVerifier, Principal } from '@custody/identity'
import type { Configuration, Home, Logger, ProtocolName, Secrets } from '@custody/kit'
import type { Masking } from '@custody/masking'
import type { Approvals } from './approvals'
import type { Gate } from './gate'
import type { Live, Sessions } from './sessions'
import type { SignIns } from './sign-ins'

export type { CredentialVerifier, Principal }

export interface ProtocolServices {
  configuration: Configuration
  /** Where keys of its own are kept. */
  home: Home
  recorder: Recorder
  gate: Gate
  /** Null where nothing is masked. */
  masking: Masking | null
  approvals: Approvals
  signIns: SignIns
  verifier: CredentialVerifier
  /** Of the targets. */
  secrets: Secrets
  /** Certificate that clients see, or null where TLS is not offered. */
  tls: SecureContext | null
  logger: Logger
}

export interface Protocol {
  readonly name: ProtocolName
  /** Takes over a new connection until it ends; never rejects. */
  serve(socket: Socket): Promise<void>
  /** Tells a client that it is one too many, in its own protocol, and closes; at once, whatever it has said. */
  refuse(socket: Socket): void
  /** Sessions now open: what ends them, by their identifiers or all of them, is the same for every protocol. */
  readonly live: Pick<Sessions<unknown, Live>, 'size' | 'kill' | 'checkStanding' | 'stop'>
}
