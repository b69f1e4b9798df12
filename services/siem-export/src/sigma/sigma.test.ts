import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type Event, newUuid } from '@custody/schemas'
import fc from 'fast-check'
import { SAMPLE_MICROS, sampleOf } from '../formats/testing/samples'
import { type Oracle, startOracle } from '../testing/oracle'
import { compileCondition } from './condition'
import { Correlator } from './correlate'
import { SAVED_HITS_MAX } from './engine'
import { createSigma, parseRules, SigmaError } from './index'
import type { CorrelationRule } from './rule'

const ID = '0d3a2f6e-0000-4000-8000-000000000001'
const ruleText = (detection: string, more = '') =>
  `title: A rule\nid: ${ID}\nstatus: test\ndescription: x\nlogsource:\n  product: custody\n${more}detection:\n${detection}\nlevel: high\n`
const matches = (detection: string, event: Event): boolean =>
  createSigma(parseRules(ruleText(detection))).feed(event).length > 0
const item = (text: string, event: Event) => matches(`  a:\n    ${text}\n  condition: a`, event)
const said = (text: string): Event => {
  const event = sampleOf('sql-select')
  event.statement!.text = text
  return event
}

describe('values', () => {
  test.each([
    ["statement.text: 'Select *'", 'SELECT 1', true],
    ["statement.text: 'select'", 'select 1', false],
    ["statement.text|contains: 'DROP'", 'a drop b', true],
    ["statement.text|contains|all: ['a', 'b']", 'b a', true],
    ["statement.text|contains|all: ['a', 'b']", 'a', false],
    ["statement.text|startswith: 'a?c'", 'abcd', true],
    ["statement.text|startswith: 'a\\?c'", 'abcd', false],
    ["statement.text|startswith: 'a\\?c'", 'a?cd', true],
    ["statement.text|endswith: '\\*'", 'all*', true],
    ["statement.text|endswith: '\\*'", 'all', false],
    ["statement.text: 'a*b*c'", 'aXXbYYbc', true],
    ["statement.text: 'a*b*c'", 'acb', false],
    ["statement.text: 'C:\\Windows'", 'c:\\windows', true],
    ["statement.text|cased: 'Drop'", 'drop', false],
    ["statement.text|contains|cased: 'Drop'", 'a Drop b', true],
    ["statement.text|re: 'dr.p$'", 'drop', true],
    ["statement.text|re: 'dr.p$'", 'DROP', false],
    ["statement.text|re|i: 'dr.p$'", 'DROP', true],
    ["statement.text|base64: 'drop'", 'ZHJvcA==', true],
    [
      "statement.text|base64offset|contains: 'drop table'",
      Buffer.from('xxdrop table').toString('base64'),
      true,
    ],
    ["statement.text: ['a', 'b']", 'b', true],
    ["statement.text: ''", '', true],
    ["statement.text|contains: 'é'", 'É', true],
    ["statement.text|contains: '?'", '\u{1f5dd}', true],
    ["statement.text: '?'", '\u{1f5dd}', true],
    ["statement.text: '??'", '\u{1f5dd}', false],
  ])('%s of %p: %p', (text, value, expected) => {
    expect(item(text, said(value))).toBe(expected)
  })

  test.each([
    ['response.rows|gte: 1', true],
    ['response.rows|gt: 1', false],
    ['response.rows|lt: 2', true],
    ['response.rows|lte: 0', false],
    ['response.rows: 1', true],
    ['response.rows|neq: 1', false],
    ['response.rows|neq: [1, 2]', false],
    ['response.rows|neq: [2, 3]', true],
    ['response.code: null', true],
    ['response.status: null', false],
    ['response.code|exists: false', true],
    ['response.rows|exists: true', true],
    ["client.ip|cidr: '198.51.100.0/24'", true],
    ["client.ip|cidr: ['10.0.0.0/8', '2001:db8::/32']", false],
    ["client.ip|neq: '10.0.0.1'", true],
    ["response.code|neq: 'x'", false],
    ['path.gateway|fieldref: recorder', true],
    ['path.gateway|fieldref: path.resource', false],
    ['path.gatewayAddress|fieldref|startswith: path.resource', false],
    ["who.groups: 'ONCALL'", true],
    ["who.groups|all: ['oncall', 'engineering']", true],
    ["who.groups|all: ['oncall', 'sales']", false],
    ['masked.count: 1', true],
  ])('%s: %p', (text, expected) => {
    expect(item(text, sampleOf('sql-completed'))).toBe(expected)
  })
})

describe('conditions', () => {
  const searches = new Map(
    ['a', 'b', 'sel_1', 'sel_2', '_quiet'].map((name) => [name, (on: Set<string>) => on.has(name)]),
  )
  const holds = (text: string, ...on: string[]) => compileCondition(text, searches)(new Set(on))

  test.each([
    ['a or b and not sel_1', ['a', 'sel_1'], true],
    ['(a or b) and not sel_1', ['a', 'sel_1'], false],
    ['not a and b', ['b'], true],
    ['not (a and b)', ['a'], true],
    ['not not a', ['a'], true],
    ['1 of sel_*', ['sel_2'], true],
    ['all of sel_*', ['sel_2'], false],
    ['all of sel_*', ['sel_1', 'sel_2'], true],
    ['1 of them', ['_quiet'], false],
    ['1 of *', ['_quiet'], false],
    ['all of them', ['a', 'b', 'sel_1', 'sel_2'], true],
    ['any of them', ['b'], true],
    ['NOT a AND b', ['b'], true],
  ])('%s with %p: %p', (text, on, expected) => {
    expect(holds(text, ...on)).toBe(expected)
  })

  test.each(['a or', '(a', 'a b', 'nobody', '1 of nobody*', 'and a', '', 'a)', '2 of them'])(
    '%p is refused',
    (text) => {
      expect(() => compileCondition(text, searches)).toThrow(SigmaError)
    },
  )
})

describe('what is not understood is refused, by name', () => {
  test.each([
    ['  a:\n    statement.text|wide: x\n  condition: a', /wide/],
    ['  a:\n    no.such.field: x\n  condition: a', /no\.such\.field/],
    ['  a:\n    - x\n  condition: a', /without a field/],
    ['  a:\n    statement.text|re: "("\n  condition: a', /statement\.text/],
    ['  a:\n    client.ip|cidr: 10.0.0.0\n  condition: a', /no network/],
    ['  a:\n    response.rows|gt: x\n  condition: a', /not a number/],
    ['  a:\n    kind: x\n  condition: a | count() > 5', /not expected/],
    ['  a:\n    kind: x\n  timeframe: 5m\n  condition: a', /timeframe/],
    ['  a:\n    kind: x', /no condition/],
    ['  a:\n    kind|i: x\n  condition: a', /i comes with re/],
    ['  a:\n    kind|contains|re: x\n  condition: a', /contains means nothing with re/],
    ['  a:\n    client.ip|cidr|cased: 10.0.0.0/8\n  condition: a', /cased means nothing with cidr/],
    ['  a:\n    response.rows|gt|lt: 5\n  condition: a', /lt means nothing with gt/],
    ['  a:\n    kind|fieldref|cased: recorder\n  condition: a', /cased means nothing/],
    ['  a:\n    kind|exists|neq: true\n  condition: a', /neq means nothing/],
    ['  _a:\n    kind: x\n  condition: 1 of _*', /no search _\*/],
  ])('%p', (detection, message) => {
    expect(() => createSigma(parseRules(ruleText(detection)))).toThrow(message)
    expect(() => createSigma(parseRules(ruleText(detection)))).toThrow(SigmaError)
  })

  test('other products, aliases of YAML and rules with one identifier', () => {
    expect(() =>
      parseRules(ruleText('  a:\n    kind: x\n  condition: a').replace('custody', 'windows')),
    ).toThrow(/product/)
    expect(() => parseRules('a: &x [1]\nb: *x')).toThrow()
    const one = parseRules(ruleText('  a:\n    kind: x\n  condition: a'))
    expect(() => createSigma([...one, ...one])).toThrow(/another rule/)
    const named = (id: string) =>
      parseRules(`name: n\n${ruleText('  a:\n    kind: x\n  condition: a').replace(ID, id)}`)
    const other = ID.replace(/1$/, '2')
    expect(() => createSigma([...named(ID), ...named(other)])).toThrow(/name n is another/)
  })
})

describe('correlations', () => {
  const base = (name: string, kind: string, id: number) =>
    `title: ${name}\nid: 0d3a2f6e-0000-4000-8000-00000000010${id}\nname: ${name}\nlogsource:\n  product: custody\ndetection:\n  a:\n    kind: ${kind}\n  condition: a\nlevel: low\n---\n`
  const correlation = (text: string) =>
    `title: Together\nid: ${ID}\ncorrelation:\n${text}\nlevel: high\n`
  const at = (sample: string, seconds: number, subject = 'ada', resource = 'orders'): Event => {
    const event = sampleOf(sample)
    event.id = newUuid()
    event.time = SAMPLE_MICROS + seconds * 1e6
    event.who!.subject = subject
    event.path!.resource = resource
    return event
  }
  const run = (text: string, events: Event[]) => {
    const sigma = createSigma(
      parseRules(
        base('one', 'access.sign-in', 1) +
          base('two', 'session.opened', 2) +
          base('three', 'command.started', 3) +
          text,
      ),
    )
    return events.map((event) => sigma.feed(event).length)
  }

  test('event_count, by group, within its time, and anew after it told', () => {
    const text = correlation(
      '  type: event_count\n  rules: one\n  group-by: [who.subject]\n  timespan: 10s\n  condition:\n    gte: 3',
    )
    expect(
      run(
        text,
        [0, 4, 9, 9, 9, 9].map((s) => at('sign-in', s)),
      ),
    ).toEqual([0, 0, 1, 0, 0, 1])
    expect(
      run(
        text,
        [0, 6, 12].map((s) => at('sign-in', s)),
      ),
    ).toEqual([0, 0, 0])
    expect(
      run(text, [at('sign-in', 0), at('sign-in', 1, 'bob'), at('sign-in', 2), at('sign-in', 3)]),
    ).toEqual([0, 0, 0, 1])
    // The same once more is no other, and neither is one that two of the rules match.
    const twice = at('sign-in', 0)
    expect(run(text, [twice, twice, at('sign-in', 1)])).toEqual([0, 0, 0])
    expect(
      run(
        base('other', 'access.sign-in', 4) + text.replace('rules: one', 'rules: [one, other]'),
        [0, 1, 2].map((s) => at('sign-in', s)),
      ),
    ).toEqual([0, 0, 1])
    // A little out of order.
    expect(
      run(
        text,
        [3, 1, 2].map((s) => at('sign-in', s)),
      ),
    ).toEqual([0, 0, 1])
  })

  test('handed over anywhere, they tell what they would have told', () => {
    const rules = (text: string) =>
      parseRules(
        base('one', 'access.sign-in', 1) + base('two', 'session.opened', 2) + correlation(text),
      )
    const texts = [
      '  type: event_count\n  rules: one\n  group-by: [who.subject]\n  timespan: 10s\n  condition:\n    gte: 3',
      '  type: value_count\n  rules: one\n  group-by: [who.subject]\n  timespan: 10s\n  condition:\n    gte: 3\n    field: path.resource',
      '  type: temporal\n  rules: [one, two]\n  group-by: [who.subject]\n  timespan: 5s',
      '  type: temporal_ordered\n  rules: [one, two]\n  group-by: [who.subject]\n  timespan: 5s',
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.array(
          fc.tuple(
            fc.constantFrom('sign-in', 'session-opened-postgres'),
            fc.integer({ min: 0, max: 8 }),
            fc.constantFrom('ada', 'bob'),
            fc.constantFrom('orders', 'billing', 'people'),
          ),
          { minLength: 1, maxLength: 25 },
        ),
        fc.nat(),
        (text, steps, cut) => {
          let time = 0
          const events = steps.map(([sample, seconds, subject, resource]) => {
            time += seconds
            return at(sample, time, subject, resource)
          })
          const whole = createSigma(rules(text))
          const expected = events.map((event) => whole.feed(event).length)
          let sigma = createSigma(rules(text))
          const found = events.map((event, i) => {
            if (i === cut % events.length || i % 5 === 4) {
              const next = createSigma(rules(text))
              next.restore(JSON.parse(JSON.stringify(sigma.windows())))
              sigma = next
            }
            return sigma.feed(event).length
          })
          expect(found).toEqual(expected)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('of a rule that is another by now, or of what is none, nothing is taken over; what is kept is bounded', () => {
    const text = (count: number) =>
      base('one', 'access.sign-in', 1) +
      correlation(
        `  type: event_count\n  rules: one\n  group-by: [who.subject]\n  timespan: 1h\n  condition:\n    gte: ${count}`,
      )
    const before = createSigma(parseRules(text(3)))
    for (let i = 0; i < 2; i++) before.feed(at('sign-in', i))
    const windows = before.windows()
    expect(before.windows()).toBe(windows)
    const same = createSigma(parseRules(text(3)))
    same.restore(windows)
    expect(same.feed(at('sign-in', 3))).toHaveLength(1)
    const other = createSigma(parseRules(text(2)))
    other.restore(windows)
    expect(other.state().groups).toBe(0)
    for (const wrong of [null, 'x', { [ID]: { rule: 'x' } }, { [ID]: { rule: 1, groups: [[]] } }]) {
      const one = createSigma(parseRules(text(3)))
      one.restore(wrong)
      expect(one.state().groups).toBe(0)
    }
    const many = createSigma(parseRules(text(5)))
    for (let i = 0; i < 9000; i++)
      for (let n = 0; n < 3; n++) many.feed(at('sign-in', i / 100, `person${i}`))
    const { groups } = many.windows()[ID]!
    expect(groups.reduce((sum, [, hits]) => sum + hits.length, 0)).toBeLessThanOrEqual(
      SAVED_HITS_MAX,
    )
    // Those that were touched last.
    expect(groups.at(-1)![0]).toContain('person8999')
  })

  test('value_count counts different values', () => {
    const text = correlation(
      '  type: value_count\n  rules: [two]\n  group-by: [who.subject]\n  timespan: 1m\n  condition:\n    field: path.resource\n    gt: 1',
    )
    expect(
      run(
        text,
        ['a', 'a', 'b'].map((r, i) => at('session-opened-ssh', i, 'ada', r)),
      ),
    ).toEqual([0, 0, 1])
    expect(
      run(
        text,
        ['a', 'b'].map((r, i) => at('session-opened-ssh', i * 61, 'ada', r)),
      ),
    ).toEqual([0, 0])
  })

  test('temporal in any order, temporal_ordered in theirs', () => {
    const of = (type: string) =>
      correlation(
        `  type: ${type}\n  rules: [one, two, three]\n  group-by: [who.subject]\n  timespan: 30s`,
      )
    const events = (order: string) =>
      [...order].map((letter, i) =>
        at({ '1': 'sign-in', '2': 'session-opened-ssh', '3': 'sql-select' }[letter]!, i * 5),
      )
    const count = (type: string, order: string) =>
      run(of(type), events(order)).reduce((a, b) => a + b)
    expect(count('temporal', '321')).toBe(1)
    expect(count('temporal', '3333')).toBe(0)
    expect(count('temporal', '12311')).toBe(1)
    expect(count('temporal_ordered', '123')).toBe(1)
    expect(count('temporal_ordered', '321')).toBe(0)
    expect(count('temporal_ordered', '11223')).toBe(1)
    expect(count('temporal_ordered', '213123')).toBe(1)
    expect(count('temporal_ordered', '3132')).toBe(0)
    expect(count('temporal_ordered', '122222223')).toBe(0)
  })

  test('hits of all groups together are bounded', () => {
    const [rule] = parseRules(
      correlation('  type: event_count\n  rules: one\n  timespan: 1h\n  condition:\n    gte: 100'),
    )
    const state = new Correlator(rule as CorrelationRule, 1000, 60)
    for (let i = 0; i < 200; i++) state.add(`group ${i % 20}`, i, String(i), '')
    expect(state.size).toBeLessThan(20)
    expect(state.forgotten).toBeGreaterThan(0)
  })

  test('state is bounded, and what was forgotten is counted', () => {
    const sigma = createSigma(
      parseRules(
        base('one', 'access.sign-in', 1) +
          correlation(
            '  type: event_count\n  rules: one\n  group-by: [who.subject]\n  timespan: 1h\n  condition:\n    gte: 100',
          ),
      ),
      { groupsMax: 50 },
    )
    for (let i = 0; i < 500; i++) sigma.feed(at('sign-in', i / 100, `person ${i}`))
    expect(sigma.state()).toEqual({ groups: 50, forgotten: 450 })
  })

  test.each([
    ['  type: value_sum\n  rules: one\n  timespan: 1m\n  condition:\n    gte: 3', /value_sum/],
    ['  type: event_count\n  rules: one\n  timespan: 1m\n  condition:\n    lt: 3', /gte and gt/],
    ['  type: event_count\n  rules: nobody\n  timespan: 1m\n  condition:\n    gte: 3', /nobody/],
    ['  type: event_count\n  rules: one\n  timespan: 1M\n  condition:\n    gte: 3', /timespan/],
    ['  type: value_count\n  rules: one\n  timespan: 1m\n  condition:\n    gte: 3', /field/],
  ])('%p is refused', (text, message) => {
    expect(() => run(correlation(text), [])).toThrow(message)
  })
})

describe('against pySigma', () => {
  // Fields that are text or number, one value each, all there: SQL has no lists, and NULL is neither true nor false.
  const FIELDS = {
    'statement.text': 'String',
    'path.resource': 'String',
    'path.clientAddress': 'String',
    'who.subject': 'String',
    'path.account': 'String',
    'response.rows': 'Int64',
    sequence: 'Int64',
  } as const
  const names = Object.keys(FIELDS) as (keyof typeof FIELDS)[]
  const column = (name: string) => name.replaceAll('.', '_')
  const words = [
    'drop',
    'table',
    'a',
    'b',
    '%',
    '_',
    '\\',
    "'",
    '"',
    '*',
    '?',
    'c:',
    ' ',
    '100%',
    'a_b',
    '.',
    '(',
    'x|y',
    '-1',
  ]
  const text = fc
    .array(fc.constantFrom(...words), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join(''))
  const pattern = fc
    .array(
      fc.oneof(
        {
          weight: 3,
          arbitrary: fc.constantFrom('drop', 'table', 'a', 'b', '%', '_', "'", ' ', '100%', 'a_b'),
        },
        { weight: 1, arbitrary: fc.constantFrom('*', '?', '\\*', '\\?') },
      ),
      { minLength: 1, maxLength: 3 },
    )
    .map((parts) => parts.join(''))
  const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`
  const textField = fc.constantFrom(
    'statement.text',
    'path.resource',
    'who.subject',
    'path.account',
  )
  const textItem = fc
    .tuple(
      textField,
      fc.constantFrom('', '|contains', '|startswith', '|endswith', '|contains|all'),
      fc.array(pattern, { minLength: 1, maxLength: 3 }),
    )
    .map(([field, modifier, values]) => `${field}${modifier}: [${values.map(quoted).join(', ')}]`)
  const numberItem = fc
    .tuple(
      fc.constantFrom('response.rows', 'sequence'),
      fc.constantFrom('', '|lt', '|lte', '|gt', '|gte'),
      fc.integer({ min: -1, max: 5 }),
    )
    .map(([field, modifier, value]) => `${field}${modifier}: ${value}`)
  const reItem = fc
    .tuple(
      textField,
      fc.constantFrom('dr.p', '^a', 'b$', '[%_]', '\\\\', 'a.*b', 'x\\|y', "'", '100%?'),
    )
    .map(([field, value]) => `${field}|re: ${quoted(value)}`)
  const refItem = fc.constant('who.subject|fieldref: path.account')
  const cidrItem = fc
    .constantFrom('10.0.0.0/8', '10.1.0.0/16', '192.168.1.0/24')
    .map((net) => `path.clientAddress|cidr: ${net}`)
  const existsItem = fc.constantFrom('statement.text|exists: true', 'path.resource|exists: false')
  const base64Item = fc
    .constantFrom('drop', 'a')
    .map((value) => `statement.text|base64|contains: ${value}`)
  const search = (items: fc.Arbitrary<string>) =>
    fc
      .uniqueArray(items, { minLength: 1, maxLength: 3, selector: (one) => one.split(':')[0]! })
      .map((all) => all.map((one) => `    ${one}`).join('\n'))
  const condition = fc.constantFrom(
    'a',
    'a and b',
    'a or b',
    'a and not b',
    'not a',
    'not (a or b)',
    '(a or b) and not c',
    '1 of sel*',
    'all of sel*',
    '1 of them',
    'all of them',
    'a or b and c',
    'not 1 of sel*',
  )
  const rule = (items: fc.Arbitrary<string>) =>
    fc
      .tuple(search(items), search(items), search(items), search(items), search(items), condition)
      .map(
        ([a, b, c, d, e, cond]) =>
          `  a:\n${a}\n  b:\n${b}\n  c:\n${c}\n  sel1:\n${d}\n  sel2:\n${e}\n  condition: ${cond}`,
      )
  const row = fc.tuple(
    text,
    text,
    fc.constantFrom('10.0.0.1', '10.1.2.3', '192.168.1.9', '172.16.0.1'),
    text,
    text,
    fc.integer({ min: 0, max: 4 }),
    fc.integer({ min: 0, max: 4 }),
  )

  const eventOf = ([statement, resource, address, subject, account, count, sequence]: readonly (
    | string
    | number
  )[]): Event => {
    const event = sampleOf('sql-completed')
    event.statement = { ...sampleOf('sql-select').statement!, text: statement as string }
    Object.assign(event.path!, { resource, clientAddress: address, account })
    event.who!.subject = subject as string
    event.response!.rows = count as number
    event.sequence = sequence as number
    return event
  }
  const ours = (detection: string, rows: (string | number)[][]): number[] => {
    const sigma = createSigma(parseRules(ruleText(detection)))
    return rows.flatMap((one, i) => (sigma.feed(eventOf(one)).length > 0 ? [i] : []))
  }
  /** As pySigma's back ends are asked: columns without dots. */
  const theirs = (detection: string) =>
    names.reduce((all, name) => all.replaceAll(name, column(name)), ruleText(detection))

  let oracle: Oracle
  beforeAll(() => {
    oracle = startOracle()
  })
  afterAll(() => oracle.stop())
  const rows = fc.sample(row, { numRuns: 120, seed: 7 }) as (string | number)[][]

  const convert = async (rules: string[], backend: string) =>
    (
      await oracle.ask<{ queries?: string[]; error?: string }[]>('sigma_convert', {
        rules: rules.map(theirs),
        backend,
      })
    ).map(({ queries, error }, i) => {
      if (queries?.length !== 1) throw new Error(`${error}: ${rules[i]}`)
      return queries[0]!
    })

  test('SQLite finds the same events by the queries of its back end', async () => {
    const items = fc.oneof(
      { weight: 4, arbitrary: textItem },
      { weight: 2, arbitrary: numberItem },
      reItem,
      refItem,
      cidrItem,
      existsItem,
      base64Item,
    )
    const rules = fc.sample(rule(items), { numRuns: 300, seed: 11 })
    const queries = await convert(rules, 'sqlite')
    const answers = await oracle.ask<{ rows?: number[]; error?: string }[]>('sqlite', {
      columns: names.map(column),
      rows,
      queries,
    })
    let found = 0
    answers.forEach((answer, i) => {
      const own = ours(rules[i]!, rows)
      found += own.length
      expect({ rule: rules[i], query: queries[i], ...answer }).toEqual({
        rule: rules[i],
        query: queries[i],
        rows: own,
      })
    })
    expect(found).toBeGreaterThan(1000)
  })

  test('ClickHouse finds the same events by the queries of its back end', async () => {
    const items = fc.oneof(
      { weight: 4, arbitrary: textItem },
      { weight: 2, arbitrary: numberItem },
      reItem,
      refItem,
      cidrItem,
      existsItem,
      base64Item,
    )
    const made = fc.sample(rule(items), { numRuns: 160, seed: 13 })
    const converted = await convert(made, 'clickhouse')
    // In lists of whole values that back end writes \% and \_, which ClickHouse takes for two characters each.
    const sound = converted.map((query) => !/ IN \([^)]*\\[%_]/.test(query))
    const rules = made.filter((_, n) => sound[n])
    const queries = converted.filter((_, n) => sound[n])
    expect(rules.length).toBeGreaterThan(120)
    const answers = JSON.parse(
      execFileSync(process.execPath, [join(__dirname, '../../oracle/clickhouse.cjs')], {
        input: JSON.stringify({
          columns: names.map((name) => ({ name: column(name), type: FIELDS[name] })),
          rows,
          queries,
        }),
        maxBuffer: 64 * 1024 * 1024,
      }).toString(),
    ) as { rows?: number[]; error?: string }[]
    answers.forEach((answer, i) => {
      expect({ rule: rules[i], query: queries[i], ...answer }).toEqual({
        rule: rules[i],
        query: queries[i],
        rows: ours(rules[i]!, rows),
      })
    })
  })
})
