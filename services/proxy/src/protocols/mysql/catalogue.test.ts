/** What a server's own views make of statements that name them. */
import { analyse } from '@custody/mysql-sql'
import { Catalogue, reshapes } from './catalogue'

const SERVER = { server: 'mariadb', serverVersion: 101_119 } as const
const analysed = (sql: string) =>
  analyse(sql, { ...SERVER, sqlMode: '', multiStatements: false }).statements[0]!
const view = (name: string, definition: string) => [
  ['table', 'd', name, 'VIEW', '', '', '', ''],
  ['view', 'd', name, '', '', definition, '', ''],
]
const ROWS = [
  ['table', 'd', 't', 'BASE TABLE', 'InnoDB', '', '', ''],
  ...view('plain', 'select `d`.`t`.`a` AS `a` from `d`.`t`'),
  ...view('acting', 'select `d`.`wipe`() AS `w`'),
  ...view('Second', 'select `acting`.`w` + 1 AS `w` from `d`.`acting`'),
  ...view(
    'third',
    'select 1 from `d`.`t` where `d`.`t`.`a` in (select `Second`.`w` from `d`.`Second`)',
  ),
  ...view('counting', 'select nextval(`d`.`s`) AS `n`'),
  ...view('hidden', ''),
  ['table', 'e', 'odd.name', 'VIEW', '', '', '', ''],
  ['view', 'e', 'odd.name', '', '', 'select `d`.`wipe`() AS `w`', '', ''],
]

test.each([
  ['select * from t', true],
  ['select * from d.plain', true],
  ['select * from acting', false],
  ['select * from d.ACTING', false],
  ['select * from second', false],
  ['select (select count(*) from `third`)', false],
  ['with c as (select n from counting) select * from c', false],
  ['select * from hidden', false],
  ['select * from `odd.name`', false],
  ['select * from e.`odd.name`', false],
  ['show tables where exists (select w from acting)', false],
  ['explain select * from acting', false],
  ['describe acting', true],
  ['show columns from acting', true],
  ['show create view d.acting', true],
  ['select 1', true],
])('%s only reads: %s', async (sql, readOnly) => {
  const catalogue = await Catalogue.of(ROWS, SERVER)
  const refined = catalogue.refine(analysed(sql))
  expect(refined.readOnly).toBe(readOnly)
  expect(refined.verbs.includes('sql:call')).toBe(!readOnly)
  expect(reshapes(refined)).toBe(!readOnly)
})

test('of a server that can’t be asked, nothing that names a table is understood', () => {
  const { nothingKnown } = Catalogue
  expect(nothingKnown.refine(analysed('select a from t'))).toMatchObject({
    understood: false,
    readOnly: false,
    verbs: ['sql:select', 'sql:unknown'],
  })
  const plain = analysed('select 1')
  expect(nothingKnown.refine(plain)).toBe(plain)
})

test('the same comes back for the same', async () => {
  const catalogue = await Catalogue.of(ROWS, SERVER)
  const facts = analysed('select * from acting')
  expect(catalogue.refine(facts)).toBe(catalogue.refine(facts))
})
