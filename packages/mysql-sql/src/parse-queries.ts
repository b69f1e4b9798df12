/** SELECT, VALUES, UNION and what they read; INSERT, UPDATE and DELETE. */
import type {
  Assignment,
  Cte,
  Expression,
  Form,
  From,
  Into,
  Output,
  Query,
  TableName,
  With,
} from './ast'
import { ExpressionParser, NOTHING } from './parse-expressions'
import { HINT, NUMBER, nameAt, OPERATOR, PARAMETER, STRING, VARIABLE, WORD } from './tokens'
import { NO_ALIAS } from './words'

const NO_CTES: With = { ctes: [], recursive: false }
const MODIFIERS =
  `all distinct distinctrow high_priority straight_join sql_small_result sql_big_result sql_buffer_result
sql_no_cache sql_cache sql_calc_found_rows`.split(/\s+/)

interface Tail {
  order: Expression[]
  limited: boolean
  into: Into | null
  locks: boolean
}

export abstract class QueryParser extends ExpressionParser {
  /** Hints that set variables for the statement's time. */
  protected hints: number[] = []

  protected override query(): Query {
    const ctes = this.with()
    const body = this.nested(() => this.union())
    return this.tailed(body, ctes)
  }

  protected with(): With {
    if (!this.accept('with')) return NO_CTES
    const recursive = this.accept('recursive')
    const ctes = this.list((): Cte => {
      const name = this.name()
      const columns = this.isOperator('(') ? this.columnList() : []
      this.expect('as')
      this.expectOperator('(')
      const query = this.nested(() => this.query())
      this.expectOperator(')')
      // CYCLE of MariaDB's names columns alone.
      if (this.accept('cycle')) {
        this.list(() => this.name())
        this.expect('restrict')
      }
      return { name, columns, query }
    })
    return { ctes, recursive }
  }

  protected columnList(): string[] {
    this.expectOperator('(')
    const names = this.list(() => this.name())
    this.expectOperator(')')
    return names
  }

  /** ORDER BY, LIMIT and what else stands behind a query. */
  private tailed(body: Query, ctes: With): Query {
    const tail = this.tail(body.is === 'select' ? body.into : null)
    const plain = tail.order.length === 0 && !tail.limited && tail.into === null && !tail.locks
    const own = ctes.ctes.length > 0
    if (plain && !own) return body
    // What is in parentheses has its own tail, and what is around it another.
    const has = body.order.length > 0 || body.limited || body.locks || body.ctes.length > 0
    if (has) return this.node({ is: 'set', sides: [body], compares: false, ...ctes, ...tail })
    return { ...body, ...tail, ...ctes }
  }

  private tail(into: Into | null): Tail {
    const tail: Tail = { order: [], limited: false, into, locks: false }
    if (this.accept('order', 'by')) tail.order = this.orderKeys()
    if (this.accept('limit')) {
      tail.limited = true
      if (!this.isWord('rows')) this.limits()
      if (this.accept('rows', 'examined')) this.limits()
    } else {
      if (this.accept('offset')) {
        this.limits()
        if (this.acceptOne('row', 'rows') === null) this.fail('no ROWS')
      }
      if (this.accept('fetch')) {
        tail.limited = true
        if (this.acceptOne('first', 'next') === null) this.fail('no FIRST')
        if (this.kind() === NUMBER || this.kind() === PARAMETER) this.limits()
        if (this.acceptOne('row', 'rows') === null) this.fail('no ROWS')
        if (!this.accept('only')) this.expect('with', 'ties')
      }
    }
    if (tail.into === null) tail.into = this.into()
    for (;;) {
      if (this.accept('lock', 'in', 'share', 'mode')) tail.locks = true
      else if (this.isWord('for') && ['update', 'share'].includes(this.word(1))) {
        this.i += 2
        tail.locks = true
        if (this.accept('of')) this.list(() => this.names(2))
      } else break
      if (this.accept('wait')) this.limits()
      else if (!this.accept('skip', 'locked')) this.accept('nowait')
    }
    if (tail.into === null) tail.into = this.into()
    return tail
  }

  private into(): Into | null {
    if (!this.accept('into')) return null
    const kind = this.acceptOne('outfile', 'dumpfile')
    if (kind === null) {
      const names = this.list(() => {
        if (this.kind() === VARIABLE) return `@${nameAt(this.tokens, this.i++).toLowerCase()}`
        return this.name()
      })
      return { is: 'variables', names }
    }
    if (this.kind() !== STRING) this.fail('no file')
    const file = nameAt(this.tokens, this.i)
    this.constant()
    if (kind === 'outfile') this.fileFormat()
    return { is: kind as 'outfile' | 'dumpfile', file }
  }

  /** CHARACTER SET, FIELDS, LINES */
  protected fileFormat(): void {
    if (this.accept('character', 'set') || this.accept('charset')) {
      if (this.kind() === STRING) this.constant()
      else this.anyName()
    }
    if (this.acceptOne('fields', 'columns')) {
      let some = false
      for (;;) {
        if (this.accept('terminated', 'by') || this.accept('escaped', 'by')) {
        } else if (this.accept('optionally', 'enclosed', 'by') || this.accept('enclosed', 'by')) {
        } else break
        some = true
        this.terminator()
      }
      if (!some) this.fail('no format')
    }
    if (this.accept('lines')) {
      let some = false
      while (this.accept('terminated', 'by') || this.accept('starting', 'by')) {
        some = true
        this.terminator()
      }
      if (!some) this.fail('no format')
    }
  }

  private terminator(): void {
    if (!this.isLiteral()) this.fail('no string')
    this.constant()
  }

  private union(): Query {
    const first = this.primary()
    const sides = [first]
    let compares = false
    for (;;) {
      const word = this.acceptOne('union', 'except', 'intersect', 'minus')
      if (word === null) break
      const all = this.accept('all')
      if (!all) this.accept('distinct')
      compares ||= !all || word !== 'union'
      sides.push(this.primary())
    }
    if (sides.length === 1) return first
    return this.node({
      is: 'set',
      sides,
      compares,
      ...NO_CTES,
      order: [],
      limited: false,
      into: null,
      locks: false,
    })
  }

  private primary(): Query {
    if (this.isOperator('(')) {
      this.i++
      const query = this.nested(() => this.query())
      this.expectOperator(')')
      return query
    }
    if (this.accept('select')) return this.select()
    if (this.accept('values')) return this.values()
    if (this.context.server === 'mysql' && this.accept('table')) {
      const from: From = { is: 'table', table: this.tableName(), alias: null, by: [] }
      return this.selectOf([from], [{ is: 'star', of: [] }])
    }
    return this.fail('no query')
  }

  private selectOf(from: From[], outputs: Output[]): Query {
    return this.node({
      is: 'select',
      from,
      outputs,
      where: null,
      group: [],
      having: [],
      distinct: false,
      order: [],
      limited: false,
      into: null,
      locks: false,
      ...NO_CTES,
    })
  }

  private values(): Query {
    const rows = this.list(() => {
      if (this.context.server === 'mysql') this.expect('row')
      this.expectOperator('(')
      const row = this.isOperator(')') ? [] : this.list(() => this.expression())
      this.expectOperator(')')
      return row
    })
    return this.node({
      is: 'values',
      rows,
      order: [],
      limited: false,
      into: null,
      locks: false,
      ...NO_CTES,
    })
  }

  protected hint(): void {
    if (this.kind() === HINT) this.hints.push(this.i++)
  }

  private select(): Query {
    this.hint()
    let distinct = false
    for (;;) {
      const word = this.acceptOne(...MODIFIERS)
      if (word === null) break
      distinct ||= word.startsWith('distinct')
    }
    const outputs = this.list(() => this.output())
    let into = this.into()
    let from: From[] = []
    const by: { where: Expression | null; group: Expression[]; having: Expression[] } = {
      where: null,
      group: [],
      having: [],
    }
    if (this.accept('from')) {
      if (!this.accept('dual')) from = this.tables()
    }
    if (this.accept('where')) by.where = this.expression()
    if (this.accept('group', 'by')) {
      by.group = this.orderKeys()
      this.accept('with', 'rollup')
    }
    if (this.accept('having')) by.having.push(this.expression())
    if (this.isWord('window') && this.word(2) === 'as') {
      this.i++
      this.list(() => {
        this.name()
        this.expect('as')
        by.having.push(...this.window())
      })
    }
    if (this.context.server === 'mysql' && this.accept('qualify')) by.having.push(this.expression())
    into ??= null
    if (this.isWord('procedure')) this.fail('a procedure of SELECT')
    return this.node({
      is: 'select',
      from,
      outputs,
      ...by,
      distinct,
      order: [],
      limited: false,
      into,
      locks: false,
      ...NO_CTES,
    })
  }

  protected output(): Output {
    if (this.acceptOperator('*')) return { is: 'star', of: [] }
    // t.*, d.t.*
    for (const parts of [1, 2]) {
      let k = 0
      let star = true
      if (this.isOperator('.')) k = 1
      for (let n = 0; n < parts; n++) {
        star &&= this.isName(k) && this.isOperator('.', k + 1)
        k += 2
      }
      if (star && this.isOperator('*', k)) {
        const names = this.names(parts)
        this.i += 2
        return { is: 'star', of: names }
      }
    }
    const of = this.expression()
    const name = this.outputAlias()
    return {
      is: 'value',
      name: name ?? (of.is === 'column' ? of.names.at(-1)! : null),
      of,
    }
  }

  private outputAlias(): string | null {
    if (this.accept('as')) {
      if (this.kind() === STRING) return this.stringName()
      return this.name()
    }
    if (this.kind() === STRING) return this.stringName()
    const word = this.word()
    if (word !== '' && NO_ALIAS.has(word)) return null
    return this.isName() ? this.name() : null
  }

  private stringName(): string {
    const name = nameAt(this.tokens, this.i)
    this.constant()
    return name
  }

  protected tables(): From[] {
    return this.list(() => this.nested(() => this.joined()))
  }

  /** A table and what is joined to it. */
  private joined(): From {
    if (this.acceptOperator('{')) {
      this.expect('oj')
      const of = this.joined()
      this.expectOperator('}')
      return of
    }
    return this.joins(this.factor())
  }

  private joins(first: From): From {
    let left = first
    for (;;) {
      const join = this.joinWords()
      if (join === null) return left
      let right = this.factor()
      let on = this.conditions()
      // `a LEFT JOIN b JOIN c ON … ON …`
      if (!join.natural && join.outer !== null && on === null) {
        right = this.nested(() => this.innerJoins(right))
        on = this.conditions()
        if (on === null) this.fail('no condition')
      }
      left = this.node({
        is: 'join',
        left,
        right,
        on: on?.on ?? [],
        using: on?.using ?? null,
        natural: join.natural,
        outer: join.outer,
      })
      // Conditions of joins further out, of which the inner ones had none.
      for (let more = this.conditions(); more !== null; more = this.conditions()) {
        if (more.using !== null) this.fail('USING that belongs to no table')
        left = { ...left, on: [...left.on, ...more.on] }
      }
    }
  }

  private innerJoins(first: From): From {
    let left = first
    for (;;) {
      const join = this.joinWords()
      if (join === null) return left
      const right = this.factor()
      const on = this.conditions()
      if (on === null && join.outer !== null && !join.natural) this.fail('no condition')
      left = this.node({
        is: 'join',
        left,
        right,
        on: on?.on ?? [],
        using: on?.using ?? null,
        natural: join.natural,
        outer: join.outer,
      })
      if (this.isWord('on')) return left
    }
  }

  private conditions(): { on: Expression[]; using: string[] | null } | null {
    if (this.accept('on')) return { on: [this.expression()], using: null }
    if (this.accept('using')) return { on: [], using: this.columnList() }
    return null
  }

  private joinWords(): { natural: boolean; outer: 'left' | 'right' | null } | null {
    const natural = this.accept('natural')
    const side = this.isWord('left', 'right') ? (this.word() as 'left' | 'right') : null
    if (side !== null) {
      this.i++
      this.accept('outer')
      this.expect('join')
      return { natural, outer: side }
    }
    if (this.acceptOne('inner', 'cross') !== null) this.expect('join')
    else if (!this.accept('join') && (natural || !this.accept('straight_join'))) {
      if (natural) this.fail('no JOIN')
      return null
    }
    return { natural, outer: null }
  }

  private factor(): From {
    if (this.isOperator('(')) return this.bracketedTables()
    const lateral = this.isWord('lateral') && this.isOperator('(', 1)
    if (lateral) {
      this.i += 2
      return this.derived(true)
    }
    if (this.isWord('json_table') && this.isOperator('(', 1)) return this.jsonTable()
    const table = this.tableName()
    if (this.isOperator('(')) this.fail('a function in place of a table')
    const by: Expression[] = []
    this.partitions()
    if (this.isWord('for') && this.word(1) === 'system_time') this.systemTime(by)
    const alias = this.tableAlias()
    if (this.isWord('for') && this.word(1) === 'system_time') this.systemTime(by)
    this.indexHints()
    if (this.isWord('tablesample')) this.fail('a sample')
    return this.node({ is: 'table', table, alias, by })
  }

  protected partitions(): void {
    if (this.isWord('partition') && this.isOperator('(', 1)) {
      this.i++
      this.columnList()
    }
  }

  private systemTime(by: Expression[]): void {
    this.i += 2
    const point = () => {
      this.acceptOne('timestamp', 'transaction')
      by.push(this.value())
    }
    if (this.accept('all')) return
    if (this.accept('as', 'of')) point()
    else if (this.accept('between')) {
      point()
      this.expect('and')
      point()
    } else {
      this.expect('from')
      point()
      this.expect('to')
      point()
    }
  }

  protected tableName(): TableName {
    const names = this.names(2)
    return names.length === 2
      ? { database: names[0]!, name: names[1]! }
      : { database: null, name: names[0]! }
  }

  protected tableAlias(): string | null {
    if (this.accept('as')) return this.kind() === STRING ? this.stringName() : this.name()
    const word = this.word()
    if (word !== '' && NO_ALIAS.has(word)) return null
    return this.isName() ? this.name() : null
  }

  private indexHints(): void {
    for (;;) {
      if (this.acceptOne('use', 'ignore', 'force') === null) return
      if (this.acceptOne('index', 'key') === null) this.fail('no INDEX')
      if (this.accept('for'))
        if (!this.accept('join') && !this.accept('order', 'by')) this.expect('group', 'by')
      this.expectOperator('(')
      if (!this.isOperator(')'))
        this.list(() => (this.isWord('primary') ? this.anyName() : this.name()))
      this.expectOperator(')')
    }
  }

  private bracketedTables(): From {
    this.i++
    if (this.atQuery()) return this.derived(false)
    const of = this.tables()
    this.expectOperator(')')
    if (of.length === 1) return of[0]!
    return { is: 'list', of }
  }

  /** A query in place of a table, behind its parenthesis. */
  private derived(lateral: boolean): From {
    const query = this.nested(() => this.query())
    this.expectOperator(')')
    const alias = this.tableAlias()
    const columns = alias !== null && this.isOperator('(') ? this.columnList() : []
    return this.node({ is: 'query', query, alias, columns, lateral })
  }

  private jsonTable(): From {
    this.i += 2
    const of = this.expression()
    this.expectOperator(',')
    if (this.kind() !== STRING) this.fail('no path')
    this.constant()
    const columns: string[] = []
    this.jsonColumns(columns)
    this.expectOperator(')')
    const alias = this.tableAlias()
    if (alias === null) this.fail('no alias')
    return this.node({ is: 'json', of, columns, alias })
  }

  private jsonColumns(to: string[]): void {
    this.expect('columns')
    this.expectOperator('(')
    this.list(() => {
      if (this.accept('nested')) {
        this.accept('path')
        if (this.kind() !== STRING) this.fail('no path')
        this.constant()
        this.nested(() => this.jsonColumns(to))
        return
      }
      to.push(this.name())
      if (this.accept('for', 'ordinality')) return
      this.type()
      this.accept('exists')
      this.expect('path')
      if (this.kind() !== STRING) this.fail('no path')
      this.constant()
      this.jsonClauses()
    })
    this.expectOperator(')')
  }

  protected returning(): Output[] | null {
    return this.accept('returning') ? this.list(() => this.output()) : null
  }

  /** INSERT and REPLACE, behind their word. */
  protected insert(verb: 'insert' | 'replace'): Form {
    this.hint()
    this.acceptOne('low_priority', 'delayed', 'high_priority')
    this.accept('ignore')
    this.accept('into')
    const target = this.tableName()
    this.partitions()
    let columns: string[][] | null = null
    let source: Query | null = null
    const sets: Assignment[] = []
    let alias: { name: string; columns: string[] } | null = null
    if (this.isOperator('(') && !this.queryInBrackets()) {
      this.i++
      columns = this.isOperator(')') ? [] : this.list(() => this.names(3))
      this.expectOperator(')')
    }
    if (this.isWord('values', 'value') && !(this.word() === 'values' && this.word(1) === 'row')) {
      this.i++
      source = this.rows()
      if (this.context.server === 'mysql' && this.accept('as')) alias = this.rowAlias()
    } else if (columns === null && this.accept('set')) {
      sets.push(...this.assignments())
      if (this.context.server === 'mysql' && this.accept('as')) alias = this.rowAlias()
    } else source = this.query()
    const duplicate: Assignment[] = []
    if (verb === 'insert' && this.accept('on', 'duplicate', 'key', 'update'))
      duplicate.push(...this.assignments())
    return {
      is: 'insert',
      verb,
      target,
      columns,
      source,
      sets,
      alias,
      duplicate,
      returning: this.returning(),
    }
  }

  /** Whether the parenthesis here begins a query and no list of columns. */
  private queryInBrackets(): boolean {
    let k = 0
    while (this.isOperator('(', k)) k++
    return this.beginsQuery(k)
  }

  private rowAlias(): { name: string; columns: string[] } {
    const name = this.name()
    return { name, columns: this.isOperator('(') ? this.columnList() : [] }
  }

  private rows(): Query {
    const rows = this.list(() => {
      this.expectOperator('(')
      const row = this.isOperator(')') ? [] : this.list(() => this.insertValue())
      this.expectOperator(')')
      return row
    })
    return this.node({
      is: 'values',
      rows,
      order: [],
      limited: false,
      into: null,
      locks: false,
      ...NO_CTES,
    })
  }

  /** Most are constants, and there may be very many. */
  private insertValue(): Expression {
    if (this.isWord('default', 'ignore') && !this.isOperator('(', 1)) {
      this.i++
      return NOTHING
    }
    const next = this.tokens.kinds[this.i + 1]
    const mark = this.tokens.words[this.i + 1]
    if (this.isLiteral() && next === OPERATOR && (mark === ',' || mark === ')'))
      return this.constant()
    return this.expression()
  }

  protected assignments(): Assignment[] {
    return this.list(() => {
      const names = this.names(3)
      if (!this.acceptOperator('=')) this.expectOperator(':=')
      return { names, value: this.insertValue() }
    })
  }

  protected update(ctes: With): Form {
    this.hint()
    this.accept('low_priority')
    this.accept('ignore')
    const from = this.tables()
    if (this.isWord('for')) this.fail('a portion of time')
    this.expect('set')
    const sets = this.assignments()
    const where = this.accept('where') ? this.expression() : null
    const order = this.accept('order', 'by') ? this.orderKeys() : []
    const limited = this.accept('limit')
    if (limited) this.limits()
    return {
      is: 'update',
      ...ctes,
      from,
      sets,
      where,
      order,
      limited,
      returning: this.returning(),
    }
  }

  protected deletion(ctes: With): Form {
    this.hint()
    while (this.acceptOne('low_priority', 'quick', 'ignore')) {}
    const targets: string[][] = []
    let from: From[]
    const target = () => {
      const names = this.names(2)
      if (this.acceptOperator('.')) this.expectOperator('*')
      targets.push(names)
    }
    if (this.accept('history', 'from')) this.fail('history')
    if (this.accept('from')) {
      // FROM t, u USING …; or one table with or without an alias.
      let k = this.i
      const { kinds, words } = this.tokens
      while (kinds[k] === OPERATOR ? ['.', ',', '*'].includes(words[k]!) : this.isName(k - this.i))
        k++
      if (kinds[k] === WORD && words[k] === 'using' && !this.tokens.plain.has(k)) {
        this.list(target)
        this.expect('using')
        from = this.tables()
      } else {
        const table = this.tableName()
        this.partitions()
        if (this.isWord('for')) this.fail('a portion of time')
        const alias = this.tableAlias()
        from = [this.node({ is: 'table', table, alias, by: [] })]
        targets.push(alias === null ? namesOf(table) : [alias])
        if (this.isOperator(',')) this.fail('several tables')
      }
    } else {
      this.list(target)
      this.expect('from')
      from = this.tables()
    }
    const where = this.accept('where') ? this.expression() : null
    const order = this.accept('order', 'by') ? this.orderKeys() : []
    const limited = this.accept('limit')
    if (limited) this.limits()
    return {
      is: 'delete',
      ...ctes,
      targets,
      from,
      where,
      order,
      limited,
      returning: this.returning(),
    }
  }
}

export function namesOf({ database, name }: TableName): string[] {
  return database === null ? [name] : [database, name]
}
