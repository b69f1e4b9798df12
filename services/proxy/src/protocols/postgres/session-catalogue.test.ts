/** A statement is not decided on by what the database was before the session changed it. */

import { createSecrets, type Home, parseConfiguration } from '@custody/kit'
import { createMasking } from '@custody/masking'
import { createAnalyser, loadParser, type StatementAnalysis } from '@custody/postgres-sql'
import { Followed } from '../../followed'
import type { SessionGate } from '../../gate'
import { Catalogue } from './catalogue'
import { type Reshaping, SessionCatalogue } from './session-catalogue'
import { type CommandMask, SessionMasking } from './session-masking'

const analyser = createAnalyser({
  cacheEntriesMax: 100,
  cacheBytesMax: 1 << 20,
  parseBytesMax: 1 << 16,
})
const ROWS = [['view', 'public', 'acting', 'select wipe() as w']]
const MASKING =
  'masking: {key: {literal: sixteen-bytes-..}, rules: [{id: mail, columns: ["*.email"], action: redact}]}'
/** The key is given. */
const NO_HOME = {} as Home
const RESTRICTED = { restricted: true } as SessionGate
const UNRESTRICTED = { restricted: false } as SessionGate

function analysis(sql: string): StatementAnalysis {
  return analyser.analyse(Buffer.from(sql), 0, Buffer.byteLength(sql), true).statements[0]!
}

/** How often it was asked, and what of it is known. */
function database() {
  const asked = { times: 0 }
  const shared = new Followed(() => {
    asked.times++
    return Catalogue.of(ROWS)
  })
  return { asked, shared }
}

async function looked(gate = RESTRICTED, masking: SessionMasking | null = null) {
  const { asked, shared } = database()
  const catalogue = new SessionCatalogue(shared, gate, masking)
  await shared.fresh()
  return { asked, shared, catalogue }
}

/** Runs the command; what is given back says that it has ended. */
function start(
  catalogue: SessionCatalogue,
  sql: string,
  masked: CommandMask | null = null,
): () => void {
  const command: Reshaping = { changing: false, makesCode: false, renaming: false, masked }
  catalogue.started(command, analysis(sql))
  return () => catalogue.ended(command)
}

beforeAll(() => loadParser())

test('the database is asked before the first decision, and again after a change is committed', async () => {
  const { asked, shared } = database()
  const catalogue = new SessionCatalogue(shared, RESTRICTED, null)
  await catalogue.awaited()
  expect(asked.times).toBe(1)
  expect(catalogue.awaited()).toBeNull()
  const end = start(catalogue, 'create view v as select 1')
  expect(catalogue.awaited()).toBe('commands')
  end()
  // Nobody else sees it: nobody is asked.
  expect(catalogue.awaited()).toBeNull()
  catalogue.committed()
  await catalogue.awaited()
  expect(asked.times).toBe(2)
})

test('what the database has made its own is no mere reading', async () => {
  const { catalogue } = await looked()
  expect(catalogue.refine(analysis('select * from t')).readOnly).toBe(true)
  expect(catalogue.refine(analysis('select * from acting')).verbs).toContain('sql:call')
})

test('within the transaction that made something, or the string, nothing that names a table is understood', async () => {
  const { catalogue } = await looked()
  const of = (changed?: boolean) => catalogue.refine(analysis('select * from t'), changed)
  expect(of(true).understood).toBe(false)
  const end = start(catalogue, 'create view t as select wipe()')
  end()
  expect(of().understood).toBe(false)
  expect(catalogue.refine(analysis('select 1')).understood).toBe(true)
  catalogue.committed()
  expect(of().understood).toBe(true)
})

test('two changes under way have both ended before anything is decided', async () => {
  const { catalogue } = await looked()
  const ends = ['create view v as select 1', 'create view w as select 1'].map((sql) =>
    start(catalogue, sql),
  )
  ends[0]!()
  expect([catalogue.isSettled, catalogue.awaited()]).toEqual([false, 'commands'])
  ends[1]!()
  expect(catalogue.isSettled).toBe(true)
})

test('a session that ends in the midst of a change leaves nothing that counts as known', async () => {
  const { asked, shared, catalogue } = await looked()
  start(catalogue, 'create view v as select 1')
  catalogue.left()
  await shared.fresh()
  expect(asked.times).toBe(2)
  const other = await looked()
  start(other.catalogue, 'select 1')()
  other.catalogue.left()
  expect(other.shared.fresh()).toBeNull()
})

test('where no policy asks and nothing is masked, nothing is waited for', async () => {
  const { shared } = database()
  const catalogue = new SessionCatalogue(shared, UNRESTRICTED, null)
  expect(catalogue.awaited()).toBeNull()
  const statement = analysis('select * from acting')
  expect(catalogue.refine(statement)).toBe(statement)
  expect(new SessionCatalogue(null, RESTRICTED, null).awaited()).toBeNull()
})

describe('with masking', () => {
  async function masked() {
    const { masking } = parseConfiguration(MASKING)
    const rules = (await createMasking(masking, NO_HOME, createSecrets(undefined)))!.open(
      { name: 'db', labels: {} },
      [],
    )
    const { asked, shared } = database()
    const session = new SessionMasking(rules, shared, 10, false)
    const catalogue = new SessionCatalogue(shared, UNRESTRICTED, session)
    await catalogue.awaited()
    const run = (sql: string) =>
      start(catalogue, sql, {
        mask: session.statement(analysis(sql), null),
      } as CommandMask)
    return { asked, session, catalogue, run }
  }

  test('a change of columns makes what is known stale, until the transaction is over', async () => {
    const { asked, session, catalogue, run } = await masked()
    const end = run('alter table t rename email to e')
    expect(session.isStale).toBe(false)
    end()
    expect([session.isStale, catalogue.awaited()]).toEqual([true, null])
    catalogue.committed()
    expect(session.isStale).toBe(false)
    await catalogue.awaited()
    expect(asked.times).toBe(2)
  })

  test('a view made earlier in the same string is not known to the rest of it', async () => {
    const { session, catalogue } = await masked()
    catalogue.assume(analysis('select 1'))
    expect(session.hasChanged).toBe(false)
    catalogue.assume(analysis('create view v as select email from t'))
    expect(session.hasChanged).toBe(true)
    // It was decided on, and then did not run.
    catalogue.committed()
    expect(session.hasChanged).toBe(false)
  })
})
