/**
 * The catalogues of all databases that sessions are in: loaded when the first session comes, kept while they are young, and
 * loaded again when a statement that may have changed one has ended. Each look at a target is recorded as a session of
 * Custody's own, like anybody's.
 */
import { randomBytes } from 'node:crypto'
import type { Recorder } from '@custody/event-log'
import type { Logger, PostgresResource, Secrets } from '@custody/kit'
import { analyse } from '@custody/postgres-sql'
import { newUuid, nowMicros, type Who } from '@custody/schemas'
import { Followed as FollowedCatalogue } from '../../followed'
import { CATALOGUE_QUERY, Catalogue, questionTarget } from './catalogue'
import { RELATIONS_QUERY } from './relations'
import { signIn } from './startup'

const LOAD_MS_MAX = 10_000

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

/** One database's catalogue. */
export type Followed = FollowedCatalogue<Catalogue>

export class Catalogues {
  private readonly followed = new Map<string, Followed>()
  private readonly query: string
  private readonly fingerprint: string | null

  constructor(
    private readonly recorder: Recorder,
    private readonly gateway: string,
    private readonly secrets: Secrets,
    private readonly logger: Logger,
    /** Relations with their columns as well, for masking. */
    { withRelations }: { withRelations: boolean },
  ) {
    this.query = withRelations ? CATALOGUE_QUERY + RELATIONS_QUERY : CATALOGUE_QUERY
    this.fingerprint = analyse(this.query).statements[0]?.fingerprint ?? null
  }

  of(resourceName: string, resource: PostgresResource, database: string): Followed {
    const key = `${resourceName}/${database}`
    let one = this.followed.get(key)
    if (!one) {
      one = new FollowedCatalogue(() => this.load(resourceName, resource, database))
      this.followed.set(key, one)
    }
    return one
  }

  private async load(
    resourceName: string,
    resource: PostgresResource,
    database: string,
  ): Promise<Catalogue> {
    try {
      return await Catalogue.of(await this.ask(resourceName, resource, database))
    } catch (error) {
      this.logger.warn(
        { err: error, resource: resourceName, database },
        'the database can’t be asked what it has made its own; nothing that names a table counts as understood',
      )
      return Catalogue.of(null)
    }
  }

  /** As any session: recorded before it runs. */
  private async ask(
    resourceName: string,
    resource: PostgresResource,
    database: string,
  ): Promise<string[][]> {
    const { recorder } = this
    if (recorder.problem) throw recorder.problem
    const session = recorder.openSession(NOBODY, {
      gateway: this.gateway,
      resource: resourceName,
      protocol: 'postgres',
      target: resource.address,
      account: resource.account,
      database,
    } as Parameters<Recorder['openSession']>[1])
    const id = newUuid()
    const started = nowMicros()
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
            reason: 'what has the database made its own?',
          },
          statement: {
            language: 'sql',
            interface: 'query',
            text: this.query,
            textBytes: this.query.length,
            fingerprint: this.fingerprint,
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
        database,
        new Map([
          ['application_name', 'custody'],
          ['client_encoding', 'UTF8'],
          ['search_path', 'pg_catalog'],
          ['default_transaction_read_only', 'on'],
          // Somebody's migration may hold a view for long.
          ['lock_timeout', '3000'],
        ]),
        randomBytes(4),
        LOAD_MS_MAX,
        this.secrets,
      )
      const timer = setTimeout(
        () => target.stream.destroy(new Error(`no answer within ${LOAD_MS_MAX} ms`)),
        LOAD_MS_MAX,
      )
      try {
        const rows = await questionTarget(target.stream, target.rest, this.query)
        this.completed(session, id, started, 'ok', rows.length, null)
        return rows
      } finally {
        clearTimeout(timer)
      }
    } catch (error) {
      reason = (error as Error).message
      this.completed(session, id, started, 'error', null, reason)
      throw error
    } finally {
      recorder.closeSession(session, 'closed', reason, {})
    }
  }

  private completed(
    session: ReturnType<Recorder['openSession']>,
    command: Buffer,
    started: number,
    status: string,
    rows: number | null,
    text: string | null,
  ): void {
    this.recorder.record(
      {
        kind: 'command.completed',
        command,
        response: { status, rows, message: text, durationMicros: nowMicros() - started },
      },
      session,
    )
  }
}
