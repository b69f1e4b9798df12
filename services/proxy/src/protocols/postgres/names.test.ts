/** What an Execute runs, whatever was sent ahead of the answers, and whatever the target then passes over. */
import { createAnalyser, loadParser, type StatementAnalysis } from '@custody/postgres-sql'
import { type Changing, Names, type Portal, type Prepared } from './names'
import { WireError } from './wire'

const analyser = createAnalyser({
  cacheEntriesMax: 100,
  cacheBytesMax: 1 << 20,
  parseBytesMax: 1 << 16,
})

beforeAll(() => loadParser())

function analysis(sql: string): StatementAnalysis {
  return analyser.analyse(Buffer.from(sql), 0, Buffer.byteLength(sql), true).statements[0]!
}

function request(group: number, isPassedOver = false): Changing {
  return { group, isPassedOver, changes: null }
}

/** Parses as a client does, and says what it sent for that. */
function parse(names: Names, name: string, sql: string, one = request(0)): Changing {
  names.prepare(one, name, {
    text: sql,
    analysis: analysis(sql),
    typeOids: [],
    columns: undefined,
    described: { asked: false, fields: null },
    replacing: -1,
    gone: false,
    isCertain: true,
  })
  return one
}

function bind(names: Names, name: string, of: string, one = request(0)): Portal {
  const portal = names.portalOf(name, of, one.group, Buffer.alloc(4), [])
  names.bind(one, name, portal)
  return portal
}

/** The text that an Execute in this group is recorded with, and whether that is certain. */
function executed(names: Names, name: string, group: number): [Prepared['text'], boolean] {
  const { text, isCertain } = names.executed(names.portal(name), name, group)
  return [text, isCertain]
}

test('a statement is bound and executed under the names that it was given', () => {
  const names = new Names(10)
  parse(names, 'one', 'select 1')
  parse(names, '', 'select 2')
  bind(names, 'p', 'one')
  bind(names, '', '')
  expect(executed(names, 'p', 0)).toEqual(['select 1', true])
  expect(executed(names, '', 0)).toEqual(['select 2', true])
})

test('of what was not prepared here nothing is known', () => {
  const names = new Names(10)
  expect(bind(names, 'p', 'sql').prepared).toMatchObject({
    isCertain: false,
    analysis: { understood: false, makesCode: true },
  })
  const { text, isCertain } = names.executed(names.portal('cursor'), 'cursor', 0)
  expect(text).toContain('"cursor", not prepared through the protocol')
  expect(isCertain).toBe(false)
})

test('a name that is being given to another is uncertain for later groups, until that is answered', () => {
  const names = new Names(10)
  parse(names, 'a', 'select 1')
  parse(names, 'a', 'delete from t', request(1))
  // An error in the group takes this Bind with it.
  expect(bind(names, 'p', 'a', request(1)).prepared.isCertain).toBe(true)
  const { prepared } = bind(names, 'q', 'a', request(2))
  expect(prepared.isCertain).toBe(false)
  expect(prepared.analysis).toMatchObject({ understood: false, readOnly: false })
  expect(prepared.analysis.verbs).toEqual(['sql:delete', 'sql:unknown'])
  names.settled(names.statement('a')!)
  expect(bind(names, 'r', 'a', request(2)).prepared.isCertain).toBe(true)
})

test('a portal that is being bound anew is uncertain in the same way', () => {
  const names = new Names(10)
  parse(names, 'a', 'select 1')
  parse(names, 'b', 'select 2')
  bind(names, 'p', 'a')
  const second = bind(names, 'p', 'b', request(1))
  expect(executed(names, 'p', 1)).toEqual(['select 2', true])
  expect(executed(names, 'p', 2)).toEqual(['select 2', false])
  names.settled(second)
  expect(executed(names, 'p', 2)).toEqual(['select 2', true])
})

test('what the target passes over is taken back, the last change of a name first', () => {
  const names = new Names(10)
  parse(names, 'a', 'select 1')
  const requests = [
    parse(names, 'a', 'select 2', request(1)),
    parse(names, 'a', 'select 3', request(1)),
    request(1),
    parse(names, 'b', 'select 4', request(1)),
  ]
  names.close(requests[2]!, true, 'a')
  expect(names.statement('a')).toBeNull()
  for (const one of requests.reverse()) names.takeBack(one)
  expect(names.statement('a')?.text).toBe('select 1')
  expect(names.statement('b')).toBeNull()
})

test('what is known to be passed over changes nothing', () => {
  const names = new Names(10)
  parse(names, 'a', 'select 1')
  const one = request(1, true)
  parse(names, 'a', 'select 2', one)
  names.close(one, true, 'a')
  bind(names, 'p', 'a', one)
  expect(names.statement('a')?.text).toBe('select 1')
  expect(names.portal('p')).toBeNull()
  expect(one.changes).toBeNull()
})

test('a simple query ends what has no name, and nothing else', () => {
  const names = new Names(10)
  for (const name of ['', 'a']) {
    parse(names, name, 'select 1')
    bind(names, name, name)
  }
  const one = request(1)
  names.endUnnamed(one)
  expect([names.statement(''), names.portal('')]).toEqual([null, null])
  expect([names.statement('a'), names.portal('a')]).not.toContain(null)
  names.takeBack(one)
  expect([names.statement(''), names.portal('')]).not.toContain(null)
})

test.each([
  ['deallocate a', ['a']],
  ['deallocate all', ['a', 'b']],
  ['prepare b as delete from t', ['b']],
])('SQL may take a name: %s', (sql, taken) => {
  const names = new Names(10)
  for (const name of ['a', 'b', '']) parse(names, name, 'select 1')
  const one = request(1)
  names.namedBySql(one, analysis(sql))
  const uncertain = () => ['a', 'b', ''].filter((name) => !names.statement(name)?.isCertain)
  expect(uncertain()).toEqual(taken)
  names.takeBack(one)
  expect(uncertain()).toEqual([])
  names.namedBySql(one, analysis(sql))
  names.deallocated()
  expect(['a', 'b', ''].filter((name) => names.statement(name) === null)).toEqual(taken)
})

test('the end of a transaction ends its portals, not those of a later group', () => {
  const names = new Names(10)
  parse(names, 'a', 'select 1')
  bind(names, 'now', 'a', request(1))
  bind(names, 'later', 'a', request(2))
  names.endPortals(1)
  expect(names.portal('now')).toBeNull()
  expect(names.portal('later')).not.toBeNull()
})

test('no more names than asked for, though one of them may be given anew', () => {
  const names = new Names(2)
  for (const name of ['a', 'b', 'a']) {
    parse(names, name, 'select 1')
    bind(names, name, 'a')
  }
  expect(() => parse(names, 'c', 'select 1')).toThrow(WireError)
  expect(() => names.portalOf('c', 'a', 0, Buffer.alloc(4), [])).toThrow(WireError)
})
