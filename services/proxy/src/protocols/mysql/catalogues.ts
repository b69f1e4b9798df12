/**
 * The catalogues of all servers that sessions are at: loaded when the first session comes, kept while they are young, and
 * loaded again when a statement that may have changed one has ended. Each look at a target is recorded as a session of
 * Custody's own, like anybody's.
 */
import type { Recorder } from '@custody/event-log'
import type { Logger, MysqlResource, Secrets } from '@custody/kit'
import { newUuid, nowMicros, type Who } from '@custody/schemas'
import { Followed } from '../../followed'
import { serverOf } from './analysis'
import { Catalogue, questionTarget } from './catalogue'
import { RELATIONS_QUERY } from './catalogue-relations'
import { signIn } from './target'
import { Capability } from './wire'

const LOAD_MS_MAX = 20_000
const PACKET_BYTES_MAX = 16 * 1024 * 1024
/** utf8mb4_general_ci */
const COLLATION = 45

/** Whatever the server's defaults are, names and definitions come as they are read here; nothing is written. */
const PREPARING = [
  "SET SESSION sql_mode = '', character_set_results = utf8mb4, lock_wait_timeout = 3",
  'SET SESSION TRANSACTION READ ONLY',
]

const NOBODY: Who = {
  subject: 'custody',
  issuer: 'custody',
  email: null,
  name: null,
  groups: [],
  kind: 'system',
  method: 'internal',
  tokenId: null,
  authenticatedAt: null,
  onBehalfOf: [],
}

export class Catalogues {
  private readonly followed = new Map<string, Followed<Catalogue>>()

  constructor(
    private readonly recorder: Recorder,
    private readonly gateway: string,
    private readonly secrets: Secrets,
    private readonly logger: Logger,
  ) {}

  of(resourceName: string, resource: MysqlResource): Followed<Catalogue> {
    let one = this.followed.get(resourceName)
    if (!one) {
      one = new Followed(() => this.load(resourceName, resource))
      this.followed.set(resourceName, one)
    }
    return one
  }

  private async load(resourceName: string, resource: MysqlResource): Promise<Catalogue> {
    try {
      return await this.ask(resourceName, resource)
    } catch (error) {
      this.logger.warn(
        { err: error, resource: resourceName },
        'the server can’t be asked what its databases hold; everything that it shows counts as not proven',
      )
      return Catalogue.nothingKnown
    }
  }

  /** As any session: recorded before it runs. */
  private async ask(resourceName: string, resource: MysqlResource): Promise<Catalogue> {
    const { recorder } = this
    if (recorder.problem) throw recorder.problem
    const session = recorder.openSession(NOBODY, {
      gateway: this.gateway,
      resource: resourceName,
      protocol: 'mysql',
      target: resource.address,
      account: resource.account,
    } as Parameters<Recorder['openSession']>[1])
    const id = newUuid()
    const started = nowMicros()
    const completed = (status: string, rows: number | null, message: string | null) =>
      recorder.record(
        {
          kind: 'command.completed',
          command: id,
          response: { status, rows, message, durationMicros: nowMicros() - started },
        },
        session,
      )
    let reason = 'done'
    try {
      recorder.record(
        {
          id,
          time: started,
          kind: 'command.started',
          command: id,
          decision: {
            outcome: 'allow',
            policies: ['custody.catalogue'],
            reason: 'what do the databases hold?',
          },
          statement: {
            language: 'sql',
            interface: 'query',
            text: RELATIONS_QUERY,
            textBytes: RELATIONS_QUERY.length,
            fingerprint: null,
            verbs: ['sql:select'],
            understood: true,
            index: 0,
            count: 1,
          },
        },
        session,
      )
      session.commandsStarted++
      await recorder.recorded('os')
      const target = await signIn(
        resource,
        {
          capabilities: Capability.deprecateEof,
          mariadbCapabilities: 0,
          packetBytesMax: PACKET_BYTES_MAX,
          collation: COLLATION,
          database: '',
          attributes: new Map([['program_name', 'custody']]),
        },
        LOAD_MS_MAX,
        this.secrets,
      )
      const timer = setTimeout(
        () => target.stream.destroy(new Error(`no answer within ${LOAD_MS_MAX} ms`)),
        LOAD_MS_MAX,
      )
      try {
        const rows = await questionTarget(target.stream, target, [...PREPARING, RELATIONS_QUERY])
        completed('ok', rows.length, null)
        return await Catalogue.of(rows, serverOf(target.greeting.version))
      } finally {
        clearTimeout(timer)
      }
    } catch (error) {
      reason = (error as Error).message
      completed('error', null, reason)
      throw error
    } finally {
      recorder.closeSession(session, 'closed', reason, {})
    }
  }
}
