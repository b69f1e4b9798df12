/** A text is understood only where it is certain how the target reads it. */
import { createAnalyser, loadParser, type StatementAnalysis } from '@custody/postgres-sql'
import { SessionTexts } from './analysis'

const analyser = createAnalyser({
  cacheEntriesMax: 100,
  cacheBytesMax: 1 << 20,
  parseBytesMax: 1 << 16,
})
const IDLE = true
const BUSY = false

beforeAll(() => loadParser())

function session(parameters: Record<string, string> = {}): SessionTexts {
  return new SessionTexts(analyser, new Map(Object.entries(parameters)))
}

function read(
  texts: SessionTexts,
  text: string | Buffer,
  isIdle = IDLE,
): { one: StatementAnalysis; isRead: boolean } {
  const bytes = Buffer.from(text as string)
  const analysis = texts.analyse(bytes, 0, bytes.length, isIdle)
  return { one: analysis.statements[0]!, isRead: texts.isRead(analysis, isIdle) }
}

/** Runs the command; what is given back says that it has ended. */
function start(texts: SessionTexts, sql: string): () => void {
  const command = { maySet: false }
  texts.started(command, read(texts, sql).one)
  return () => texts.ended(command)
}

/** Where backslashes mean something its string does not end before the comment; otherwise it deletes. */
const TWO_FACED = "select '\\'; delete from a; --'"

test('while a command may change a setting, and until the target has reported it, no words are certain', () => {
  const texts = session()
  expect(read(texts, 'select 1')).toMatchObject({ isRead: true, one: { understood: true } })
  const endReading = start(texts, 'select 1')
  expect(read(texts, 'select 1', BUSY).isRead).toBe(true)
  endReading()
  const endSetting = start(texts, 'set search_path = a')
  const endOther = start(texts, 'delete from a')
  expect(read(texts, 'select 1', BUSY).isRead).toBe(false)
  endSetting()
  // Of the other one nothing is reported yet.
  texts.ready()
  expect(read(texts, 'select 1', BUSY).isRead).toBe(false)
  endOther()
  expect(read(texts, 'select 1').isRead).toBe(false)
  texts.ready()
  expect(read(texts, 'select 1').isRead).toBe(true)
})

test('what runs when it is planned may set as well', () => {
  const texts = session()
  texts.planned()
  expect(read(texts, 'select 1', BUSY).isRead).toBe(false)
  texts.ready()
  expect(read(texts, 'select 1').isRead).toBe(true)
})

test('once a setting has varied, an error of what is not answered yet might bring the other value back', () => {
  const texts = session()
  texts.reported('client_encoding', 'UTF8')
  expect(read(texts, 'select 1', BUSY).isRead).toBe(true)
  texts.reported('standard_conforming_strings', 'off')
  texts.reported('standard_conforming_strings', 'on')
  expect(read(texts, 'select 1', BUSY).isRead).toBe(false)
  expect(read(texts, 'select 1').isRead).toBe(true)
})

test('the same text is another statement by standard_conforming_strings', () => {
  const countIn = (texts: SessionTexts) =>
    texts.analyse(Buffer.from(TWO_FACED), 0, TWO_FACED.length, IDLE).statements.length
  expect(countIn(session())).toBe(2)
  expect(countIn(session({ standard_conforming_strings: 'off' }))).toBe(1)
})

test('another encoding is decoded where that is possible, and else nothing of the text is understood', () => {
  const latin = session({ client_encoding: 'LATIN1' })
  expect(read(latin, Buffer.from("select 'é'", 'latin1'))).toMatchObject({
    isRead: true,
    one: { understood: true, verbs: ['sql:select'] },
  })
  expect(latin.textOf(Buffer.from('é', 'latin1'))).toBe('é')
  // Two statements of one string would begin at other places.
  expect(read(latin, Buffer.from("select 'é'; select 2", 'latin1')).isRead).toBe(false)
  for (const encoding of ['SJIS', 'EUC_TW']) {
    const texts = session({ client_encoding: encoding })
    expect(read(texts, 'select 1').isRead).toBe(true)
    expect(read(texts, Buffer.from("select '\x83\\'", 'latin1'))).toMatchObject({
      isRead: false,
      one: { understood: false, makesCode: true },
    })
  }
})

test('where the encoding may have changed, only ASCII is understood', () => {
  const texts = session()
  start(texts, 'set search_path = a')
  expect(read(texts, "select 'é'", BUSY).one.understood).toBe(false)
  expect(read(texts, 'select 1', BUSY).one.understood).toBe(true)
})

test('what only reads sets nothing, but for the end of a transaction and cursors', () => {
  const sets = (sql: string) => {
    const texts = session()
    start(texts, sql)
    return !read(texts, 'select 1').isRead
  }
  expect(sets('select 1')).toBe(false)
  expect(sets('commit')).toBe(true)
  expect(sets('rollback')).toBe(true)
  expect(sets('fetch c')).toBe(true)
})
