/**
 * Expressions, as both servers write them. What is not in the grammar ends in `Misunderstood`, so that nothing is read as what it
 * is not.
 */
import type { Expression, Query } from './ast'
import { CHARACTER_SETS } from './characters'
import {
  BITS,
  END,
  modesOf,
  NUMBER,
  nameAt,
  OPERATOR,
  PARAMETER,
  QUOTED,
  type SqlContext,
  STRING,
  SYSTEM,
  type Tokens,
  VARIABLE,
  WORD,
} from './tokens'
import { CONSTANT_WORDS, RESERVED, RESERVED_FUNCTIONS, UNITS, WITHOUT_SPACE } from './words'

export class Misunderstood extends Error {}

export const NOTHING = { is: 'nothing' } as const satisfies Expression
/** Levels of parentheses and the like; servers have their own limits, and so has our stack. */
const DEPTH_MAX = 300
/** What a statement is made of; one that needs more is not understood. */
const NODES_MAX = 100_000
const COMPARING = new Set(['=', '<=>', '<', '>', '<=', '>=', '<>', '!='])
const ARITHMETIC = new Set(['|', '&', '<<', '>>', '+', '-', '*', '/', '%', '^'])
/** What may follow a query in parentheses that is part of a greater one. */
const GOES_ON = new Set(['union', 'except', 'intersect', 'minus', 'order', 'limit', 'for', 'lock'])
/** Types whose values are the text itself. */
const TEXT_TYPES = new Set(['char', 'nchar', 'varchar', 'character', 'binary', 'varbinary', 'text'])

export abstract class ExpressionParser {
  protected i = 0
  protected depth = 0
  protected nodes = 0
  /** Of the statement's literals, by token. */
  private readonly ordinals: Int32Array
  private literals = 0
  protected parameters = 0
  private readonly reserved: ReadonlySet<string>
  private readonly ignoresSpace: boolean
  private readonly concatenates: boolean
  private readonly isOracle: boolean

  constructor(
    readonly tokens: Tokens,
    protected readonly context: SqlContext,
  ) {
    this.reserved = RESERVED[context.server]
    const modes = modesOf(context)
    this.ignoresSpace = modes.has('IGNORE_SPACE')
    this.concatenates = modes.has('PIPES_AS_CONCAT')
    this.isOracle = modes.has('ORACLE')
    this.ordinals = new Int32Array(tokens.count + 1)
  }

  /** A query that begins here, up to what can't be part of it. */
  protected abstract query(): Query

  /** Begins a statement at a token: literals and parameters are counted from there. */
  protected begin(at: number): void {
    this.i = at
    this.depth = 0
    this.literals = 0
    this.parameters = 0
    this.counted = at
  }

  private counted = 0

  /** Which of the statement's literals a token is. */
  protected ordinal(at: number): number {
    const { kinds } = this.tokens
    for (; this.counted <= at; this.counted++) {
      const kind = kinds[this.counted]
      this.ordinals[this.counted] = this.literals
      if (kind === STRING || kind === NUMBER || kind === BITS) this.literals++
    }
    return this.ordinals[at]!
  }

  protected fail(what: string): never {
    const { tokens, i } = this
    const near = tokens.text.slice(tokens.starts[i], tokens.starts[i]! + 24)
    // Of literals nothing is said: the message is kept.
    const shown = this.isLiteral() ? 'a literal' : near === '' ? 'the end' : `'${this.shown()}'`
    throw new Misunderstood(`${what} at ${shown}`)
  }

  private shown(): string {
    const { tokens, i } = this
    return tokens.words[i] !== '' ? tokens.words[i]!.slice(0, 40) : nameAt(tokens, i).slice(0, 40)
  }

  protected isLiteral(i = this.i): boolean {
    const kind = this.tokens.kinds[i]
    return kind === STRING || kind === NUMBER || kind === BITS
  }

  protected kind(ahead = 0): number {
    return this.tokens.kinds[this.i + ahead] ?? END
  }

  /** The keyword at a place, '' where there is none. */
  protected word(ahead = 0): string {
    const at = this.i + ahead
    const { tokens } = this
    return tokens.kinds[at] === WORD && !tokens.plain.has(at) ? tokens.words[at]! : ''
  }

  protected isWord(...words: readonly string[]): boolean {
    const word = this.word()
    return word !== '' && words.includes(word)
  }

  protected isOperator(operator: string, ahead = 0): boolean {
    const { kinds, words } = this.tokens
    return kinds[this.i + ahead] === OPERATOR && words[this.i + ahead] === operator
  }

  /** Goes behind these words where they all stand here. */
  protected accept(...words: readonly string[]): boolean {
    for (let k = 0; k < words.length; k++) if (this.word(k) !== words[k]) return false
    this.i += words.length
    return true
  }

  protected acceptOne(...words: readonly string[]): string | null {
    const word = this.word()
    if (word === '' || !words.includes(word)) return null
    this.i++
    return word
  }

  protected acceptOperator(operator: string): boolean {
    if (!this.isOperator(operator)) return false
    this.i++
    return true
  }

  protected expect(...words: readonly string[]): void {
    if (!this.accept(...words)) this.fail(`no ${words.join(' ')}`)
  }

  protected expectOperator(operator: string): void {
    if (!this.acceptOperator(operator)) this.fail(`no ${operator}`)
  }

  protected isEnd(): boolean {
    return this.kind() === END || this.isOperator(';')
  }

  protected isName(ahead = 0): boolean {
    const kind = this.kind(ahead)
    if (kind === QUOTED) return true
    if (kind !== WORD) return false
    const at = this.i + ahead
    return this.tokens.plain.has(at) || !this.reserved.has(this.tokens.words[at]!)
  }

  protected name(): string {
    if (!this.isName()) this.fail('no name')
    return nameAt(this.tokens, this.i++)
  }

  protected node<T>(value: T): T {
    if (++this.nodes > NODES_MAX) throw new Misunderstood(`more than ${NODES_MAX} parts`)
    return value
  }

  protected nested<T>(inner: () => T): T {
    if (++this.depth > DEPTH_MAX) throw new Misunderstood('nested too deeply')
    const value = inner()
    this.depth--
    return value
  }

  protected list<T>(one: () => T): T[] {
    const found = [one()]
    while (this.acceptOperator(',')) found.push(one())
    return found
  }

  protected computed(by: string, of: readonly Expression[], compares = false): Expression {
    return this.node({ is: 'computed', by, of, compares })
  }

  protected expression(): Expression {
    return this.nested(() => this.or())
  }

  private or(): Expression {
    return this.chain(() => this.xor(), 'or', ['or'], this.concatenates ? [] : ['||'])
  }

  private xor(): Expression {
    return this.chain(() => this.and(), 'xor', ['xor'], [])
  }

  private and(): Expression {
    return this.chain(() => this.not(), 'and', ['and'], ['&&'])
  }

  private chain(
    side: () => Expression,
    by: string,
    words: readonly string[],
    operators: readonly string[],
  ): Expression {
    const first = side()
    if (!this.isWord(...words) && !operators.some((one) => this.isOperator(one))) return first
    const of = [first]
    while (this.acceptOne(...words) || operators.some((one) => this.acceptOperator(one)))
      of.push(side())
    return this.computed(by, of, true)
  }

  private not(): Expression {
    let times = 0
    while (this.accept('not')) times++
    const of = this.predicate()
    return times === 0 ? of : this.computed('not', [of], true)
  }

  /** Comparisons and what is as strong. */
  private predicate(): Expression {
    let left = this.value()
    for (;;) {
      const operator = this.kind() === OPERATOR ? this.tokens.words[this.i]! : ''
      if (COMPARING.has(operator)) {
        this.i++
        const some = this.acceptOne('any', 'all', 'some')
        if (some !== null) {
          this.expectOperator('(')
          left = this.computed(operator, [left, this.subquery('set')], true)
          continue
        }
        left = this.computed(operator === '<=>' ? '=' : operator, [left, this.value()], true)
        continue
      }
      if (this.accept('is')) {
        const not = this.accept('not')
        const what = this.acceptOne('null', 'true', 'false', 'unknown', 'json')
        if (what === null) this.fail('no NULL, TRUE or FALSE behind IS')
        if (what === 'json') this.acceptOne('value', 'array', 'object', 'scalar')
        left = this.computed(
          what === 'null' ? (not ? 'is not null' : 'is null') : 'is',
          [left],
          true,
        )
        continue
      }
      const at = this.i
      const not = this.accept('not')
      const negated = (one: Expression) => (not ? this.computed('not', [one], true) : one)
      const word = this.acceptOne('in', 'between', 'like', 'regexp', 'rlike', 'member', 'sounds')
      switch (word) {
        case 'in':
          left = negated(this.inList(left))
          continue
        case 'between': {
          const low = this.value()
          this.expect('and')
          left = negated(this.computed('between', [left, low, this.predicate()], true))
          continue
        }
        case 'sounds':
          this.expect('like')
          left = this.computed('like', [left, this.value()], true)
          continue
        case 'member':
          this.accept('of')
          this.expectOperator('(')
          left = this.computed('member', [left, this.expression()], true)
          this.expectOperator(')')
          continue
        case 'like':
        case 'regexp':
        case 'rlike': {
          const of = [left, this.value()]
          if (word === 'like' && this.accept('escape')) of.push(this.value())
          left = negated(this.computed('like', of, true))
          continue
        }
      }
      this.i = at
      return left
    }
  }

  private inList(left: Expression): Expression {
    // A list of one row may be written without it: `a IN ROW(…)` is none.
    this.expectOperator('(')
    if (this.atQuery()) return this.computed('in', [left, this.subquery('set')], true)
    const of = this.list(() => this.expression())
    this.expectOperator(')')
    return this.computed('in', [left, ...of], true)
  }

  /** Arithmetic, all of one strength: what comes out is made of all of it in any order. */
  protected value(): Expression {
    const first = this.unary()
    let of: Expression[] | null = null
    for (;;) {
      const operator = this.kind() === OPERATOR ? this.tokens.words[this.i]! : ''
      if (ARITHMETIC.has(operator) || (operator === '||' && this.concatenates)) {
        this.i++
      } else if (this.isWord('div', 'mod')) this.i++
      else break
      of ??= [first]
      if (this.isWord('interval')) of.push(this.interval())
      else of.push(this.unary())
    }
    return of === null ? first : this.computed('+', of)
  }

  private interval(): Expression {
    this.expect('interval')
    const of = this.expression()
    if (!UNITS.has(this.word())) this.fail('no unit')
    this.i++
    return this.computed('interval', [of])
  }

  private unary(): Expression {
    if (this.kind() === OPERATOR) {
      const operator = this.tokens.words[this.i]!
      if (operator === '-' || operator === '+' || operator === '~' || operator === '!') {
        this.i++
        const of = this.nested(() => this.unary())
        // The sign of a number is part of it.
        if ((operator === '-' || operator === '+') && of.is === 'constant') return of
        return this.computed(operator === '!' ? 'not' : operator, [of], operator === '!')
      }
    }
    if (this.accept('binary'))
      return this.node({ is: 'cast', of: this.nested(() => this.unary()), text: true })
    let of = this.simple()
    for (;;) {
      if (this.accept('collate')) this.i += this.kind() === STRING ? 1 : this.collation()
      else if (this.isOperator('->') || this.isOperator('->>')) {
        this.i++
        if (this.kind() !== STRING) this.fail('no path')
        of = this.computed('->', [of, this.constant()])
      } else return of
    }
  }

  private collation(): number {
    if (this.kind() !== QUOTED && this.kind() !== WORD) this.fail('no collation')
    return 1
  }

  protected constant(): Expression {
    const ordinal = this.ordinal(this.i)
    this.i++
    return this.node({ is: 'constant', ordinal })
  }

  /** Strings beside each other are one. */
  private strings(): Expression {
    const first = this.constant()
    if (this.kind() !== STRING) return first
    const of = [first]
    while (this.kind() === STRING) of.push(this.constant())
    return this.computed('strings', of)
  }

  private simple(): Expression {
    const at = this.i
    switch (this.kind()) {
      case STRING:
        return this.strings()
      case NUMBER:
      case BITS:
        return this.constant()
      case PARAMETER:
        this.i++
        return this.node({ is: 'parameter', number: ++this.parameters })
      case VARIABLE: {
        const name = nameAt(this.tokens, this.i++).toLowerCase()
        if (this.acceptOperator(':='))
          return this.node({ is: 'assign', name, of: this.expression() })
        return this.node({ is: 'variable', name })
      }
      case SYSTEM:
        return this.node({ is: 'setting', name: this.systemName() })
      case QUOTED:
        return this.columnOrCall()
      case OPERATOR:
        return this.bracketed()
      case WORD: {
        if (this.tokens.plain.has(at)) return this.columnOrCall()
        return this.worded(this.tokens.words[at]!)
      }
    }
    return this.fail('no value')
  }

  /** `@@x`, `@@global.x`, with the scope in front. */
  protected systemName(): string {
    this.i++
    const parts = [this.anyName().toLowerCase()]
    while (this.acceptOperator('.')) parts.push(this.anyName().toLowerCase())
    return parts.join('.')
  }

  protected anyName(): string {
    if (this.kind() !== QUOTED && this.kind() !== WORD) this.fail('no name')
    return nameAt(this.tokens, this.i++)
  }

  private bracketed(): Expression {
    if (this.isOperator('(')) {
      this.i++
      if (this.atQuery()) return this.subquery('value')
      const of = this.list(() => this.expression())
      this.expectOperator(')')
      return of.length === 1 ? of[0]! : this.computed('row', of)
    }
    if (this.isOperator('.') && this.kind(1) === WORD) return this.column()
    // {d '2026-01-31'}, {fn now()}
    if (this.acceptOperator('{')) {
      if (!this.acceptOne('d', 't', 'ts', 'fn')) this.fail('an escape that is not known')
      const of = this.expression()
      this.expectOperator('}')
      return this.computed('{', [of])
    }
    return this.fail('no value')
  }

  /** Whether a query begins here, behind a parenthesis; `((select 1) + 1)` is none. */
  protected atQuery(): boolean {
    let k = 0
    while (this.isOperator('(', k)) k++
    if (k > DEPTH_MAX) throw new Misunderstood('nested too deeply')
    if (!this.beginsQuery(k)) return false
    const { kinds, words } = this.tokens
    for (let at = this.i + k - 1; at >= this.i; at--) {
      const behind = this.closing(at) + 1
      const goesOn = kinds[behind] === WORD && GOES_ON.has(words[behind]!)
      if (!goesOn && !(kinds[behind] === OPERATOR && words[behind] === ')')) return false
    }
    return true
  }

  protected beginsQuery(k: number): boolean {
    const word = this.word(k)
    if (word === 'select' || word === 'with') return true
    if (word === 'table') return this.context.server === 'mysql'
    if (word !== 'values') return false
    if (this.word(k + 1) === 'row') return true
    // VALUES(c) is a column's new value; a row of a query of values has no columns in it.
    if (!this.isOperator('(', k + 1)) return false
    const { kinds } = this.tokens
    for (let i = this.i + k + 2; i < this.closing(this.i + k + 1); i++)
      if (kinds[i] !== WORD && kinds[i] !== QUOTED && !this.isOperator('.', i - this.i)) return true
    return false
  }

  private closings: Int32Array | null = null

  /** The parenthesis that closes the one at a token. */
  protected closing(at: number): number {
    this.closings ??= closingsOf(this.tokens)
    const close = this.closings[at]!
    if (close === 0) throw new Misunderstood('a parenthesis that is not closed')
    return close
  }

  /** A query and the parenthesis behind it. */
  protected subquery(as: 'value' | 'exists' | 'set'): Expression {
    const query = this.nested(() => this.query())
    this.expectOperator(')')
    return this.node({ is: 'query', query, as })
  }

  protected column(): Expression {
    return this.node({ is: 'column', names: this.names(3) })
  }

  /** A name with up to so many parts. */
  protected names(most: number): string[] {
    if (this.isOperator('.')) this.i++
    const names = [this.name()]
    while (names.length < most && this.isOperator('.') && !this.isOperator('*', 1)) {
      this.i++
      names.push(this.name())
    }
    return names
  }

  private worded(word: string): Expression {
    const called = this.isOperator('(', 1)
    switch (word) {
      case 'null':
      case 'true':
      case 'false':
        this.i++
        return NOTHING
      case 'default':
        this.i++
        if (this.acceptOperator('(')) {
          this.names(3)
          this.expectOperator(')')
        }
        return NOTHING
      case 'exists':
        this.i++
        this.expectOperator('(')
        return this.subquery('exists')
      case 'case':
        return this.caseOf()
      case 'cast':
      case 'convert':
        if (called) return this.cast()
        break
      case 'interval':
        if (called && !this.isIntervalOperand()) break
        return this.sumBehind(this.interval())
      case 'match':
        return this.match()
      case 'row':
        if (called) {
          this.i += 2
          const of = this.list(() => this.expression())
          this.expectOperator(')')
          return this.computed('row', of)
        }
        break
      case 'date':
      case 'time':
      case 'timestamp':
        if (this.kind(1) === STRING) {
          this.i++
          return this.constant()
        }
        break
      case 'next':
      case 'previous':
        if (this.word(1) === 'value' && this.word(2) === 'for') {
          this.i += 3
          const names = this.names(2)
          // It reads a sequence, and moves it on.
          return this.node({
            is: 'call',
            database: null,
            name: word === 'next' ? 'nextval' : 'lastval',
            args: [{ is: 'column', names }],
            by: [],
            own: false,
          })
        }
        break
    }
    if (word.startsWith('_') && (this.kind(1) === STRING || this.kind(1) === BITS))
      if (CHARACTER_SETS.has(word.slice(1))) {
        this.i++
        return this.kind() === STRING ? this.strings() : this.constant()
      }
    if (CONSTANT_WORDS.has(word)) {
      this.i++
      if (this.acceptOperator('(')) {
        if (this.kind() === NUMBER) this.constant()
        this.expectOperator(')')
      }
      return NOTHING
    }
    if (called) {
      if (word === 'values' || word === 'value') return this.valuesOf()
      if (!this.reserved.has(word) || RESERVED_FUNCTIONS.has(word) || word === 'interval')
        return this.call(null)
      this.fail('a reserved word')
    }
    return this.columnOrCall()
  }

  private columnOrCall(): Expression {
    const names = this.names(3)
    if (!this.isOperator('(')) {
      // There it moves a sequence on.
      if (this.isOracle && names.length > 1 && /^(next|curr)val$/i.test(names.at(-1)!))
        this.fail('a sequence')
      return this.node({ is: 'column', names })
    }
    // A function of a database's, or one whose name is in quotes.
    if (names.length > 2) this.fail('a function of three names')
    const name = names.at(-1)!.toLowerCase()
    return this.callOf(names.length === 2 ? names[0]! : null, name, true)
  }

  private isIntervalOperand(): boolean {
    const close = this.closing(this.i + 1)
    const { kinds, words } = this.tokens
    // INTERVAL (1 + 2) DAY, not INTERVAL(1, 2, 3)
    return kinds[close + 1] === WORD && UNITS.has(words[close + 1]!)
  }

  /** `INTERVAL 1 DAY + d` */
  private sumBehind(interval: Expression): Expression {
    this.expectOperator('+')
    return this.computed('+', [interval, this.unary()])
  }

  private caseOf(): Expression {
    this.i++
    const by: Expression[] = []
    const of: Expression[] = []
    if (!this.isWord('when')) by.push(this.expression())
    while (this.accept('when')) {
      by.push(this.expression())
      this.expect('then')
      of.push(this.expression())
    }
    if (of.length === 0) this.fail('no WHEN')
    if (this.accept('else')) of.push(this.expression())
    this.expect('end')
    return this.node({ is: 'case', by, of })
  }

  private cast(): Expression {
    const word = this.word()
    this.i += 2
    const of = this.expression()
    let text = false
    if (word === 'convert' && this.accept('using')) {
      this.anyName()
      text = true
    } else {
      if (word === 'cast') {
        if (this.accept('at')) {
          this.expect('time', 'zone')
          this.accept('interval')
          if (this.kind() !== STRING) this.fail('no time zone')
          this.constant()
        }
        this.expect('as')
      } else this.expectOperator(',')
      text = this.type()
    }
    this.expectOperator(')')
    return this.node({ is: 'cast', of, text })
  }

  /** Whether it is a text of any length. */
  protected type(): boolean {
    const word = this.kind() === WORD ? this.tokens.words[this.i]! : ''
    if (!/^[a-z0-9_]+$/.test(word)) this.fail('no type')
    this.i++
    if (word === 'double') this.accept('precision')
    if (word === 'national') this.acceptOne('char', 'varchar', 'character')
    this.accept('varying')
    let whole = TEXT_TYPES.has(word)
    if (this.acceptOperator('(')) {
      whole = false
      this.list(() => {
        if (this.kind() !== NUMBER && this.kind() !== STRING) this.fail('no length')
        this.constant()
      })
      this.expectOperator(')')
    }
    for (;;) {
      if (this.acceptOne('unsigned', 'signed', 'zerofill', 'integer', 'int', 'binary', 'array'))
        continue
      if (this.accept('character', 'set') || this.acceptOne('charset', 'collate')) {
        if (this.kind() === STRING) this.i++
        else this.anyName()
        continue
      }
      if (this.acceptOne('ascii', 'unicode', 'byte')) continue
      return whole
    }
  }

  private match(): Expression {
    this.i++
    const bracket = this.acceptOperator('(')
    const of: Expression[] = this.list(() => this.column())
    if (bracket) this.expectOperator(')')
    this.expect('against')
    this.expectOperator('(')
    of.push(this.value())
    if (this.accept('in')) {
      if (!this.accept('boolean', 'mode')) this.expect('natural', 'language', 'mode')
    }
    this.accept('with', 'query', 'expansion')
    this.expectOperator(')')
    return this.computed('match', of, true)
  }

  /** VALUES(c): what an INSERT would have put there. */
  private valuesOf(): Expression {
    this.i += 2
    const names = this.names(3)
    this.expectOperator(')')
    return this.node({
      is: 'call',
      database: null,
      name: 'values',
      args: [{ is: 'column', names }],
      by: [],
      own: false,
    })
  }

  private call(database: string | null): Expression {
    const { tokens, i } = this
    const name = nameAt(tokens, i).toLowerCase()
    const spaced = tokens.starts[i + 1] !== tokens.ends[i]
    this.i++
    return this.callOf(database, name, spaced && !this.ignoresSpace && WITHOUT_SPACE.has(name))
  }

  private callOf(database: string | null, name: string, own: boolean): Expression {
    this.expectOperator('(')
    const by: Expression[] = []
    const args = this.isOperator(')') ? [] : this.nested(() => this.args(name, by))
    this.expectOperator(')')
    this.behindCall(by)
    return this.node({
      is: 'call',
      database,
      name,
      args,
      by,
      own: own || database !== null,
    })
  }

  private args(name: string, by: Expression[]): Expression[] {
    switch (name) {
      case 'extract': {
        if (!UNITS.has(this.word())) this.fail('no unit')
        this.i++
        this.expect('from')
        return [this.expression()]
      }
      case 'get_format':
        if (!this.acceptOne('date', 'time', 'datetime', 'timestamp')) this.fail('no type')
        this.expectOperator(',')
        return [this.expression()]
      case 'timestampadd':
      case 'timestampdiff': {
        if (!UNITS.has(this.word())) this.fail('no unit')
        this.i++
        this.expectOperator(',')
        return this.list(() => this.expression())
      }
      case 'trim': {
        const args: Expression[] = []
        const side = this.acceptOne('leading', 'trailing', 'both')
        if (side === null || !this.isWord('from')) args.push(this.expression())
        if (this.accept('from')) args.push(this.expression())
        return args
      }
      case 'position':
        return this.positionArgs()
      case 'count':
        if (this.acceptOperator('*')) return []
        break
    }
    const distinct = this.accept('distinct')
    if (!distinct) this.accept('all')
    const args = this.list(() => this.argument(name))
    if (distinct) by.push(...args)
    if (name === 'substring' || name === 'substr' || name === 'mid')
      for (const word of ['from', 'for']) if (this.accept(word)) args.push(this.expression())
    if (name === 'char' && this.accept('using')) this.anyName()
    if (name === 'weight_string') {
      if (this.accept('as')) this.type()
      if (this.accept('level')) this.list(() => this.levels())
    }
    if (name === 'group_concat' || name === 'json_arrayagg') {
      if (this.accept('order', 'by')) by.push(...this.orderKeys())
      if (this.accept('separator')) {
        if (this.kind() !== STRING) this.fail('no separator')
        args.push(this.constant())
      }
      if (this.accept('limit')) this.limits()
    }
    if (name === 'json_value' || name === 'json_query') this.jsonClauses()
    return args
  }

  private argument(name: string): Expression {
    // DATE_ADD(d, INTERVAL 1 DAY)
    if (this.isWord('interval') && /^(date_add|date_sub|adddate|subdate)$/.test(name))
      if (!this.isOperator('(', 1) || this.isIntervalOperand()) return this.interval()
    return this.expression()
  }

  private positionArgs(): Expression[] {
    const first = this.value()
    if (this.accept('in')) return [first, this.expression()]
    this.expectOperator(',')
    return [first, ...this.list(() => this.expression())]
  }

  private levels(): void {
    if (this.kind() !== NUMBER) this.fail('no level')
    this.constant()
    this.acceptOne('asc', 'desc')
    this.accept('reverse')
  }

  protected jsonClauses(): void {
    if (this.accept('returning')) this.type()
    for (;;) {
      if (this.acceptOne('null', 'error')) {
      } else if (this.accept('default')) {
        this.unary()
      } else return
      this.expect('on')
      if (this.acceptOne('empty', 'error') === null) this.fail('no EMPTY or ERROR')
    }
  }

  /** LIMIT's values. */
  protected limits(): void {
    const one = () => {
      if (this.kind() === NUMBER || this.kind() === BITS) this.constant()
      else if (this.kind() === PARAMETER) {
        this.i++
        this.parameters++
      } else this.name()
    }
    one()
    if (this.acceptOperator(',') || this.accept('offset')) one()
  }

  protected orderKeys(): Expression[] {
    return this.list(() => {
      const key = this.expression()
      this.acceptOne('asc', 'desc')
      return key
    })
  }

  /** WITHIN GROUP, FROM FIRST, OVER */
  private behindCall(by: Expression[]): void {
    if (this.accept('within', 'group')) {
      this.expectOperator('(')
      this.expect('order', 'by')
      by.push(...this.orderKeys())
      this.expectOperator(')')
    }
    if (this.isWord('from') && (this.word(1) === 'first' || this.word(1) === 'last'))
      if (this.word(2) === 'respect' || this.word(2) === 'ignore' || this.word(2) === 'over')
        this.i += 2
    if (this.isWord('respect', 'ignore') && this.word(1) === 'nulls') this.i += 2
    if (this.accept('over')) {
      if (this.isOperator('(')) by.push(...this.window())
      else this.name()
    }
  }

  /** A window in parentheses. */
  protected window(): Expression[] {
    this.expectOperator('(')
    const by: Expression[] = []
    if (this.isName() && !this.isWord('partition', 'order', 'rows', 'range', 'groups')) this.i++
    if (this.accept('partition', 'by')) by.push(...this.list(() => this.expression()))
    if (this.accept('order', 'by')) by.push(...this.orderKeys())
    if (this.acceptOne('rows', 'range', 'groups')) {
      const between = this.accept('between')
      this.bound(by)
      if (between) {
        this.expect('and')
        this.bound(by)
      }
      if (this.accept('exclude'))
        if (!this.accept('current', 'row') && !this.accept('no', 'others'))
          if (this.acceptOne('group', 'ties') === null) this.fail('no frame')
    }
    this.expectOperator(')')
    return by
  }

  private bound(by: Expression[]): void {
    if (this.accept('current', 'row')) return
    if (!this.accept('unbounded')) by.push(this.isWord('interval') ? this.interval() : this.value())
    if (this.acceptOne('preceding', 'following') === null) this.fail('no frame')
  }
}

function closingsOf({ kinds, words, count }: Tokens): Int32Array {
  const closings = new Int32Array(count)
  const open: number[] = []
  for (let i = 0; i < count; i++) {
    if (kinds[i] !== OPERATOR) continue
    if (words[i] === '(') open.push(i)
    else if (words[i] === ')') {
      const at = open.pop()
      if (at !== undefined) closings[at] = i
    } else if (words[i] === ';') open.length = 0
  }
  return closings
}
