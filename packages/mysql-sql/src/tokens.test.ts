/** Where tokens begin and end: the servers' rules, and what is refused where they could differ. */
import fc from 'fast-check'
import { charactersOf, sqlModeOf } from './characters'
import { literalsOf } from './literals'
import { analyse } from './statements'
import { type SqlContext, type Tokens, tokenize } from './tokens'

const MARIADB: SqlContext = {
  sqlMode: '',
  server: 'mariadb',
  serverVersion: 101119,
  multiStatements: true,
}
const MYSQL: SqlContext = { ...MARIADB, server: 'mysql', serverVersion: 80036 }

const textsOf = ({ text, starts, ends, count }: Tokens) =>
  Array.from({ length: count }, (_, i) => text.slice(starts[i], ends[i]))
const cut = (text: string, more: Partial<SqlContext> = {}) => {
  const tokens = tokenize(text, { ...MARIADB, ...more })
  return tokens.problem === null ? textsOf(tokens) : `! ${tokens.problem.why}`
}

test('strings, by SQL mode', () => {
  expect(cut(`'a''b' 'a\\'b' "c""d"`)).toEqual([`'a''b'`, `'a\\'b'`, `"c""d"`])
  expect(cut(`'a\\' b`, { sqlMode: 'NO_BACKSLASH_ESCAPES' })).toEqual([`'a\\'`, 'b'])
  expect(cut(`'a\\' b`)).toBe('! a string that does not end')
  expect(cut(`'a\\`)).toBe('! a string that does not end')
  expect(cut(`"a\\" b`, { sqlMode: 'ANSI_QUOTES' })).toEqual([`"a\\"`, 'b'])
  expect(cut(`"a\\" b`)).toBe('! a string that does not end')
  expect(cut(`n'a' N'a' x'4A' b'01' X'' 0x4a 0b01`)).toHaveLength(7)
  expect(cut(`x'4' `)).toBe('! digits in quotes that are none')
})

test('modes that stand for others', () => {
  expect([...sqlModeOf('ansi, NO_ZERO_DATE')]).toEqual([
    'ANSI',
    'REAL_AS_FLOAT',
    'PIPES_AS_CONCAT',
    'ANSI_QUOTES',
    'IGNORE_SPACE',
    'NO_ZERO_DATE',
  ])
  expect(cut(`"a" 'b'`, { sqlMode: new Set(['ANSI_QUOTES']) })).toEqual(['"a"', `'b'`])
})

test('numbers, and names that begin like them', () => {
  expect(cut('1 1.5 .5 1. 1e5 1.5e-3 1e+5')).toEqual([
    '1',
    '1.5',
    '.5',
    '1.',
    '1e5',
    '1.5e-3',
    '1e+5',
  ])
  expect(cut('1a 1e 0xg 0X1 0b2 1ea t.1 t.1e5 t.select')).toEqual(
    '1a 1e 0xg 0X1 0b2 1ea t . 1 t . 1e5 t . select'.split(' '),
  )
  expect(cut('1e+a')).toEqual(['1e', '+', 'a'])
  expect(cut('1.e')).toBe('! a number that is none')
})

test('comments', () => {
  expect(cut('1 -- x\n2 --\t3\n4 # 5\n6 /* 7 */ 8')).toEqual(['1', '2', '4', '6', '8'])
  expect(cut('5--3')).toEqual(['5', '-', '-', '3'])
  expect(cut('5 --')).toEqual(['5'])
  expect(cut("1 /* ' */ 2")).toEqual(['1', '2'])
  expect(cut('1 /*/ 2 */ 3')).toEqual(['1', '3'])
  expect(cut('1 # x\r2')).toEqual(['1'])
  expect(cut('1 /* 2')).toBe('! a comment that does not end')
  expect(cut('1 */ 2')).toEqual(['1', '*', '/', '2'])
  expect(cut('1 # \0 2')).toBe('! a zero byte in a comment')
  expect(cut('1 --\xa0 2', { characterSet: 'latin1' })).toMatch('! ')
})

describe('comments that are code', () => {
  const code = (comment: string, more: Partial<SqlContext> = {}) => {
    const tokens = tokenize(comment, { ...MARIADB, ...more })
    return tokens.uncertain ? '?' : tokens.problem ? '!' : textsOf(tokens).join(' ')
  }

  test('MariaDB', () => {
    expect(code('/*! a */ b')).toBe('a b')
    expect(code('/*!50000 a */ b')).toBe('a b')
    expect(code('/*!50000a*/ b')).toBe('a b')
    expect(code('/*!101119 a */ b')).toBe('a b')
    expect(code('/*!101120 a */ b')).toBe('b')
    expect(code('/*!50699 a */ b')).toBe('a b')
    expect(code('/*!50700 a */ b')).toBe('b')
    expect(code('/*!50799 a */ b')).toBe('b')
    // Up to where they are left to MySQL, differs.
    expect(code('/*!50800 a */ b')).toBe('?')
    expect(code('/*!99999 a */ b')).toBe('?')
    expect(code('/*M!50701 a */ b')).toBe('a b')
    expect(code('/*M!101120 a */ b')).toBe('b')
    expect(code('/*M! a */ b')).toBe('a b')
    // Fewer digits are none of a version.
    expect(code('/*!5000 a */ b')).toBe('5000 a b')
    expect(code('/*!1011190 */ b')).toBe('0 b')
  })

  test('MySQL', () => {
    expect(code('/*!80036 a */ b', MYSQL)).toBe('a b')
    expect(code('/*!80037 a */ b', MYSQL)).toBe('b')
    expect(code('/*!50717 a */ b', MYSQL)).toBe('a b')
    expect(code('/*M!50000 a */ b', MYSQL)).toBe('b')
    // Six digits: read as six or as five, by version.
    expect(code('/*!080036 a */ b', MYSQL)).toBe('?')
    expect(code('/*!080400 a */ b', { ...MYSQL, serverVersion: 80400 })).toBe('a b')
    expect(code('/*!090000 a */ b', { ...MYSQL, serverVersion: 80400 })).toBe('b')
  })

  test('nested, not closed, of a version that is not known', () => {
    expect(code('/*! a /* x */ b */ c')).toBe('a b c')
    expect(code("/*! '*/' */ a")).toBe("'*/' a")
    expect(code('/*!50717 a /* x */ b */ c')).toBe('c')
    expect(code('/*! a')).toBe('!')
    expect(code('/*!50000 a */ b', { serverVersion: 0 })).toBe('?')
    // Code within code ends both.
    expect(code('/*! a /*! b */ c */ d')).toBe('a b c * / d')
  })

  test('what it may run is judged both ways', () => {
    const [only] = analyse('/*!50800 drop table t, */ /* */ delete from u', MARIADB).statements
    expect(only!.understood).toBe(false)
    expect(only!.verbs).toEqual(expect.arrayContaining(['sql:drop', 'sql:delete', 'sql:unknown']))
  })
})

describe('characters of several bytes', () => {
  const bytes = (...parts: (string | number)[]) =>
    parts.map((part) => (typeof part === 'string' ? part : String.fromCharCode(part))).join('')

  test('a second byte that looks like a backslash hides no quote', () => {
    const text = bytes("'", 0xbf, 0x5c, "' or 1 -- '")
    expect(cut(text, { characterSet: 'gbk' })).toEqual([bytes("'", 0xbf, 0x5c, "'"), 'or', '1'])
    expect(cut(text, { characterSet: 'utf8mb4' })).toEqual([bytes("'", 0xbf, 0x5c, "' or 1 -- '")])
    for (const [set, lead] of Object.entries({
      sjis: 0x95,
      cp932: 0x81,
      big5: 0xa5,
      gb18030: 0x81,
    }))
      expect(cut(bytes("'", lead, 0x5c, "' a"), { characterSet: set })).toEqual([
        bytes("'", lead, 0x5c, "'"),
        'a',
      ])
  })

  test('behind a backslash a byte is skipped, not a character', () => {
    // \ and 0xbf, then \' : the string goes on.
    const text = bytes("'", 0x5c, 0xbf, 0x5c, "' a'")
    expect(cut(text, { characterSet: 'gbk' })).toEqual([text])
  })

  test('a backquote within a character ends no name', () => {
    expect(cut(bytes('`', 0x81, 0x60, '` a'), { characterSet: 'gbk' })).toEqual([
      bytes('`', 0x81, 0x60, '`'),
      'a',
    ])
  })

  test('names are decoded', () => {
    const names = (text: string, characterSet: string) =>
      analyse(Buffer.from(text, 'latin1').toString('latin1'), {
        ...MARIADB,
        characterSet,
      }).statements[0]!.objects.map(({ name }) => name)
    const utf8 = Buffer.from('select * from 表 join `é`').toString('latin1')
    expect(names(utf8, 'utf8mb4')).toEqual(['表', 'é'])
    expect(names(bytes('select * from `', 0xb1, 0xed, '`'), 'gbk')).toEqual(['表'])
    expect(names(bytes('select * from ', 0xe9), 'latin1')).toEqual(['é'])
  })

  test('what may be cut in another way is not understood', () => {
    const why = (text: string, characterSet: string) => cut(text, { characterSet })
    expect(why(bytes('select ', 0xff), 'utf8mb4')).toMatch('! ')
    expect(why(bytes('select ', 0xa0, '1'), 'latin1')).toMatch('! ')
    expect(why(bytes('select ', 0xe9), 'cp1251')).toMatch('! ')
    for (const set of ['swe7', 'ucs2', 'utf16', 'constructor', 'klingon', ''])
      expect([set, why('select 1', set)]).toEqual([set, expect.stringMatching('! ')])
    expect(charactersOf('utf8mb4_general_ci')).toBe(charactersOf('utf8'))
  })
})

test('what is no token', () => {
  for (const text of ['select \0', 'select \x01', 'select ?a', 'select @', 'select \\a', '`a'])
    expect([text, cut(text)]).toEqual([text, expect.stringMatching('! ')])
  expect(cut('select \\N')).toEqual(['select', '\\N'])
  expect(cut('select \\N', { sqlMode: 'NO_BACKSLASH_ESCAPES' })).toMatch('! ')
})

describe('any text', () => {
  const CONTEXTS: SqlContext[] = ['', 'ANSI_QUOTES', 'NO_BACKSLASH_ESCAPES', 'ORACLE'].flatMap(
    (sqlMode) =>
      ['utf8mb4', 'latin1', 'gbk', 'sjis', 'klingon'].flatMap((characterSet) => [
        { ...MARIADB, sqlMode, characterSet },
        { ...MYSQL, sqlMode, characterSet },
      ]),
  )
  const piece = fc.constantFrom(
    ...`select from t ' " \` \\ /* */ /*! /*!50000 /*!50800 /*M! -- # ; , ( ) . @ @@ := 1 1e5 0x1f x' n' _utf8 ? \n`.split(
      ' ',
    ),
    '\0',
    '\xbf',
    '\x5c',
    '\xe4\xb8\xad',
    ' ',
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 40 }).map((parts) => parts.join('')),
    fc.array(piece, { maxLength: 40 }).map((parts) => parts.join(' ')),
    fc.string({ unit: 'binary-ascii', maxLength: 60 }),
  )
  const context = fc.constantFrom(...CONTEXTS)

  test('tokens stand in order and within it; literals are among them', () => {
    fc.assert(
      fc.property(text, context, (text, context) => {
        const { starts, ends, count } = tokenize(text, context)
        let at = 0
        for (let i = 0; i < count; i++) {
          expect(starts[i]).toBeGreaterThanOrEqual(at)
          expect(ends[i]).toBeGreaterThan(starts[i]!)
          at = ends[i]!
        }
        expect(at).toBeLessThanOrEqual(text.length)
        for (const { start, end } of literalsOf(text, context)) {
          expect(starts.slice(0, count)).toContain(start)
          expect(ends.slice(0, count)).toContain(end)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('is analysed, and its statements cover it', () => {
    fc.assert(
      fc.property(text, context, (text, context) => {
        const { statements } = analyse(text, context)
        let at = 0
        for (const { start, end, understood, verbs } of statements) {
          expect(start).toBeGreaterThanOrEqual(at)
          expect(end).toBeGreaterThanOrEqual(start)
          at = end
          if (!understood) expect(verbs).toContain('sql:unknown')
        }
        if (statements.length > 0) expect(at).toBe(text.length)
        else expect(text).toMatch(/^[;\s]*$/)
      }),
      { numRuns: 2000 },
    )
  })

  test('what a string says is not taken for anything else', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary-ascii', maxLength: 30 }),
        fc.constantFrom('', 'NO_BACKSLASH_ESCAPES'),
        (value, sqlMode) => {
          const escaped = sqlMode === '' ? value.replaceAll('\\', '\\\\') : value
          const quoted = `'${escaped.replaceAll("'", "''")}'`
          expect(cut(`a ${quoted} b`, { sqlMode })).toEqual(['a', quoted, 'b'])
          const { statements } = analyse(`select ${quoted} from t; delete from u`, {
            ...MARIADB,
            sqlMode,
          })
          expect(statements.map(({ verbs }) => verbs.join())).toEqual(['sql:select', 'sql:delete'])
        },
      ),
      { numRuns: 1000 },
    )
  })
})
