/**
 * Whole statements: which one it is, what it names, and its form. Each has its own words for what may follow; what is left at the
 * end ends in `Misunderstood`.
 */
import type { Expression, Form } from './ast'
import { DefinitionParser, SECRET, UTILITY } from './parse-definitions'
import { Misunderstood, NOTHING } from './parse-expressions'
import type { Parsed, SettingChange } from './parsed'
import {
  NUMBER,
  nameAt,
  OPERATOR,
  QUOTED,
  STRING,
  SYSTEM,
  type Tokens,
  VARIABLE,
  WORD,
} from './tokens'

export class StatementParser extends DefinitionParser {
  /** What was found of the statement so far, where it could not be parsed whole. */
  get partial(): Parsed {
    return this.parsed
  }

  get next(): number {
    return this.i
  }

  /** The statement that begins at a token, which has to end at a semicolon or with the text. */
  parse(at: number): Parsed {
    this.begin(at)
    this.hints = []
    this.nodes = 0
    this.parsed = this.fresh()
    this.parsed.form = this.statement()
    this.setHints()
    if (!this.isEnd()) this.fail('more than is known')
    return this.parsed
  }

  /** SET_VAR(name = value) in a hint. */
  private setHints(): void {
    const { text, starts, ends } = this.tokens
    for (const at of this.hints) {
      const hint = text.slice(starts[at], ends[at])
      for (const [, name] of hint.matchAll(/set_var\s*\(\s*`?([a-z0-9_.$]+)/gi)) {
        this.add('setting', name!.toLowerCase(), 'sql:set')
        this.effects.settings.push({ scope: 'statement', name: name!.toLowerCase(), value: null })
      }
      if (/set_var/i.test(hint) && this.effects.settings.length === 0)
        throw new Misunderstood('a hint that is not understood')
    }
  }

  private statement(): Form {
    if (this.isOperator('(')) return this.queryForm()
    const word = this.word()
    switch (word) {
      case 'select':
      case 'values':
      case 'table':
        return this.queryForm()
      case 'with': {
        // WITH … UPDATE and DELETE are MySQL's.
        const at = this.i
        const ctes = this.with()
        if (this.accept('update')) return this.update(ctes)
        if (this.accept('delete')) return this.deletion(ctes)
        this.begin(at)
        return this.queryForm()
      }
      case 'insert':
      case 'replace':
        this.i++
        return this.insert(word)
      case 'update':
        this.i++
        return this.update({ ctes: [], recursive: false })
      case 'delete':
        this.i++
        return this.deletion({ ctes: [], recursive: false })
      case 'do':
        this.i++
        this.verb('sql:select')
        return { is: 'utility', of: this.list(() => this.expression()) }
      case 'call':
        this.i++
        return this.call_()
      case 'set':
        this.i++
        return this.set()
      case 'show':
        this.i++
        return this.show()
      case 'explain':
      case 'describe':
      case 'desc':
      case 'analyze':
        return this.explain()
      case 'use':
        this.i++
        this.effects.database = this.name()
        this.add('setting', 'database', 'sql:set')
        return UTILITY
      case 'begin':
      case 'start':
      case 'commit':
      case 'rollback':
      case 'savepoint':
      case 'release':
      case 'xa':
        return this.transaction()
      case 'prepare':
      case 'execute':
      case 'deallocate':
        return this.prepared()
      case 'load':
        return this.load()
      case 'handler':
        return this.handler()
      case 'lock':
      case 'unlock':
        return this.lock()
      case 'truncate':
        this.i++
        this.accept('table')
        this.addTable(this.tableName(), 'sql:truncate')
        if (this.acceptOne('wait') !== null) this.limits()
        else this.accept('nowait')
        this.commits()
        return UTILITY
      case 'create':
      case 'alter':
      case 'drop':
        return this.definition(word)
      case 'rename':
        return this.rename()
      case 'grant':
      case 'revoke':
        return this.grant(word)
      case 'kill':
        return this.kill()
    }
    return this.administration(word)
  }

  private queryForm(): Form {
    return { is: 'query', query: this.query() }
  }

  private call_(): Form {
    const names = this.names(3)
    this.add('function', names.join('.'), 'sql:call')
    this.effects.callsProcedure = true
    const args: Expression[] = []
    if (this.acceptOperator('(')) {
      if (!this.isOperator(')')) args.push(...this.list(() => this.expression()))
      this.expectOperator(')')
    }
    this.parsed.makesCode = true
    this.parsed.problem = 'a procedure'
    return { is: 'call', args }
  }

  private explain(): Form {
    const word = this.word()
    this.i++
    if (word === 'analyze' && this.isTableMaintenance()) return this.maintain('analyze')
    this.verb('sql:explain')
    let runs = word === 'analyze' || this.accept('analyze')
    let tells = false
    for (;;) {
      if (this.acceptOne('extended', 'partitions') !== null) continue
      if (this.isWord('format') && this.isOperator('=', 1)) {
        this.i += 2
        tells = nameAt(this.tokens, this.i).toLowerCase() !== 'traditional'
        if (this.kind() === STRING) this.constant()
        else this.anyName()
        continue
      }
      if (this.accept('into')) {
        if (this.kind() !== VARIABLE) this.fail('no variable')
        this.effects.assigns.push(nameAt(this.tokens, this.i++).toLowerCase())
        continue
      }
      if (!this.accept('analyze')) break
      runs = true
    }
    if (this.accept('for', 'connection')) {
      this.limits()
      return { is: 'shown', why: 'a statement of another session', predicates: [] }
    }
    if (!this.isOperator('(') && !this.isWord(...EXPLAINED)) {
      // DESCRIBE t
      if (this.accept('for')) this.fail('what is explained')
      this.addTable(this.tableName(), 'sql:explain')
      if (this.kind() === STRING) this.constant()
      else if (this.isName()) this.i++
      return { is: 'shown', why: null, predicates: [] }
    }
    // MySQL's own format is a setting, and of what it runs a tree.
    if (this.context.server === 'mysql' && this.context.serverVersion >= 80018) tells = true
    return { is: 'explain', of: this.statement(), runs, tells }
  }

  private set(): Form {
    if (this.isWord('password')) return this.setPassword()
    if (this.accept('role')) {
      const name = this.kind() === STRING ? nameAt(this.tokens, this.i) : this.anyName()
      if (this.kind() === STRING) this.constant()
      this.rest()
      this.add('role', name, 'sql:set-role')
      return UTILITY
    }
    if (this.accept('default', 'role')) {
      this.rest()
      this.effects.changesUsers = true
      this.verb('sql:set-role')
      return UTILITY
    }
    if (this.accept('session', 'authorization')) {
      this.account('sql:set-role')
      return UTILITY
    }
    if (this.accept('resource', 'group')) {
      const name = this.name()
      // Of other sessions' threads.
      const ofOthers = this.accept('for')
      this.rest()
      this.add('resource-group', name, ofOthers ? 'sql:alter' : 'sql:set')
      return UTILITY
    }
    const scoped = this.isWord('global', 'session', 'local') && this.word(1) === 'transaction'
    if (scoped || this.isWord('transaction')) {
      const isGlobal = this.word() === 'global'
      this.i += scoped ? 2 : 1
      this.setting(isGlobal ? 'global' : 'session', 'transaction', null)
      for (;;) {
        if (this.accept('isolation', 'level'))
          while (
            this.acceptOne('read', 'uncommitted', 'committed', 'repeatable', 'serializable')
          ) {}
        else if (!this.accept('read', 'only') && !this.accept('read', 'write')) break
        if (!this.acceptOperator(',')) break
      }
      return UTILITY
    }
    if (this.isWord('statement') && !this.isOperator('=', 1)) {
      this.i++
      const form = this.assignSettings('statement')
      this.expect('for')
      return { ...form, of: this.statement() }
    }
    return this.assignSettings('session')
  }

  private setting(scope: SettingChange['scope'], name: string, value: string | null): void {
    const wide = scope === 'global' || scope === 'persist'
    this.effects.settings.push({ scope, name, value })
    if (wide) this.add('setting', `${scope}.${name}`, 'sql:alter')
    else this.add('setting', name, 'sql:set')
  }

  private assignSettings(scope: 'session' | 'statement'): Extract<Form, { is: 'set' }> {
    const variables: { name: string; value: Expression }[] = []
    const settings: { name: string; value: Expression }[] = []
    this.list(() => {
      if (this.kind() === VARIABLE) {
        const name = nameAt(this.tokens, this.i++).toLowerCase()
        if (!this.acceptOperator('=')) this.expectOperator(':=')
        variables.push({ name, value: this.expression() })
        this.effects.assigns.push(name)
        this.add('variable', `@${name}`, 'sql:set')
        return
      }
      if (this.accept('names')) {
        const value = this.charsetName()
        if (this.accept('collate')) this.charsetName()
        for (const name of ['client', 'connection', 'results'])
          this.setting('session', `character_set_${name}`, value)
        return
      }
      if (this.accept('character', 'set') || this.accept('charset')) {
        const value = this.charsetName()
        for (const name of ['client', 'results'])
          this.setting('session', `character_set_${name}`, value)
        return
      }
      let own: SettingChange['scope'] = scope
      let name: string
      if (this.kind() === SYSTEM) {
        const parts = this.systemName().split('.')
        own = scopeOf(parts[0]!) ?? scope
        name = parts.slice(parts.length > 1 && scopeOf(parts[0]!) !== null ? 1 : 0).join('.')
      } else {
        const word =
          this.isOperator('=', 1) || this.isOperator(':=', 1) ? null : scopeOf(this.word())
        if (word !== null && !this.isOperator('.', 1)) {
          this.i++
          own = word
        }
        name = this.names(3).join('.').toLowerCase()
      }
      if (!this.acceptOperator('=')) this.expectOperator(':=')
      const from = this.i
      let value: Expression = NOTHING
      const word = this.acceptOne('default', 'on', 'off', 'all', 'binary', 'row', 'system')
      if (word === null) value = this.expression()
      const only = this.i === from + 1
      this.setting(own, name, only ? nameAt(this.tokens, from) : null)
      if (SECRET.test(name)) this.secretsIn(from, this.i)
      settings.push({ name, value })
    })
    return { is: 'set', variables, settings, of: null }
  }

  private charsetName(): string {
    const value = nameAt(this.tokens, this.i)
    if (this.kind() === STRING) this.constant()
    else if (!this.accept('default') && !this.accept('binary')) this.anyName()
    return value
  }

  private show(): Form {
    this.verb('sql:show')
    let why: string | null = null
    const tells =
      /^(processlist|warnings|errors|binlog|relaylog|variables|innodb|engine|profiles?|status|events?)$/
    let predicates: Expression[] = []
    // FROM t FROM d, or FROM d
    let ofTable = false
    for (let first = true; !this.isEnd(); first = false) {
      const word = this.word()
      ofTable ||= /^(columns|fields|index|indexes|keys)$/.test(word)
      if (tells.test(word)) why ??= `what SHOW ${word.toUpperCase()} tells`
      if (word === 'where' && !first) {
        this.i++
        predicates = [this.expression()]
        continue
      }
      if (word === 'like' && !first) {
        this.i++
        if (this.kind() !== STRING) this.fail('no pattern')
        this.constant()
        continue
      }
      if (word === 'limit') {
        this.i++
        this.limits()
        continue
      }
      if ((word === 'from' || word === 'in') && !first) {
        this.i++
        if (this.kind() === STRING) this.constant()
        else this.shownFrom(ofTable)
        continue
      }
      if (
        ['table', 'view', 'sequence'].includes(word) &&
        this.isName(1) &&
        this.word(1) !== 'status'
      ) {
        this.i++
        this.addTable(this.tableName(), 'sql:show')
        continue
      }
      if (this.kind() === STRING) this.constant()
      else if (this.kind() === NUMBER) this.constant()
      else if (this.kind() === VARIABLE || this.kind() === WORD || this.kind() === QUOTED) this.i++
      else if (!this.acceptOperator('.') && !this.acceptOperator(',') && !this.acceptOperator('*'))
        if (!this.acceptOperator('(') && !this.acceptOperator(')')) this.fail('no part of SHOW')
    }
    return { is: 'shown', why, predicates }
  }

  private shownFrom(ofTable: boolean): void {
    const names = this.names(2)
    if (!ofTable) {
      this.add('database', names.join('.'), 'sql:show')
      return
    }
    if (names.length === 1 && this.acceptOne('from', 'in') !== null) names.unshift(this.name())
    this.add('table', names.join('.'), 'sql:show')
  }

  private transaction(): Form {
    const word = this.word()
    this.i++
    switch (word) {
      case 'begin':
        this.accept('work')
        // A block of statements is another matter.
        if (!this.isEnd()) {
          this.verb('sql:do')
          this.parsed.makesCode = true
          this.fail('a block of statements')
        }
        break
      case 'start':
        if (!this.accept('transaction')) {
          this.i--
          return this.administration('start')
        }
        for (;;) {
          if (this.accept('with')) this.expect('consistent', 'snapshot')
          else if (!this.accept('read', 'only') && !this.accept('read', 'write')) break
          if (!this.acceptOperator(',')) break
        }
        break
      case 'savepoint':
        this.name()
        break
      case 'release':
        this.expect('savepoint')
        this.name()
        break
      case 'xa':
        this.rest()
        break
      default: {
        this.accept('work')
        if (word === 'rollback' && this.accept('to')) {
          this.accept('savepoint')
          this.name()
          this.effects.transaction = 'savepoint'
          this.verb('sql:transaction')
          return UTILITY
        }
        if (this.accept('and')) {
          this.accept('no')
          this.expect('chain')
        }
        if (this.accept('no')) this.expect('release')
        else this.accept('release')
      }
    }
    this.effects.transaction =
      word === 'begin' || word === 'start'
        ? 'begin'
        : word === 'commit' || word === 'rollback'
          ? word
          : 'savepoint'
    this.verb(
      word === 'begin' || word === 'start'
        ? 'sql:begin'
        : word === 'rollback'
          ? 'sql:rollback'
          : 'sql:transaction',
    )
    return UTILITY
  }

  private prepared(): Form {
    const word = this.word()
    this.i++
    if (word === 'deallocate') {
      this.expect('prepare')
      this.add('prepared', this.name(), 'sql:deallocate')
      return UTILITY
    }
    if (word === 'prepare') {
      const name = this.name()
      this.expect('from')
      this.add('prepared', name, 'sql:prepare')
      return this.textual(name)
    }
    if (this.accept('immediate')) {
      this.verb('sql:execute')
      const form = this.textual(null)
      const args = this.accept('using') ? this.list(() => this.expression()) : []
      return args.length === 0 ? form : { is: 'call', args }
    }
    const name = this.name()
    this.add('prepared', name, 'sql:execute')
    this.effects.executes = name.toLowerCase()
    const args = this.accept('using') ? this.list(() => this.expression()) : []
    return { is: 'defer', kind: 'prepared', name: name.toLowerCase(), args, predicates: [] }
  }

  /** A statement that is given as a text. */
  private textual(name: string | null): Form {
    const from = this.i
    const isString = this.kind() === STRING
    const of = this.expression()
    const text = isString && this.i === from + 1 ? plainText(this.tokens, from) : null
    this.effects.prepares = { name: name?.toLowerCase() ?? null, text }
    this.parsed.makesCode = true
    if (text === null) this.parsed.problem = 'a statement made of a text that is not known'
    if (name !== null)
      return { is: 'make', kind: 'prepared', name: name.toLowerCase(), of: null, table: null }
    return text === null ? { is: 'call', args: [of] } : { is: 'code', why: 'a statement in a text' }
  }

  private load(): Form {
    this.i++
    if (this.accept('index', 'into', 'cache')) {
      this.addTable(this.tableName(), 'sql:vacuum')
      this.rest()
      return UTILITY
    }
    if (this.acceptOne('data', 'xml') === null) this.fail('what is loaded')
    this.acceptOne('low_priority', 'concurrent')
    const local = this.accept('local')
    this.expect('infile')
    if (this.kind() !== STRING) this.fail('no file')
    const file = nameAt(this.tokens, this.i)
    this.constant()
    const replaces = this.acceptOne('replace', 'ignore') === 'replace'
    this.expect('into', 'table')
    const target = this.tableName()
    this.addTable(target, 'sql:copy-in')
    if (replaces) this.addTable(target, 'sql:delete')
    if (local) this.effects.asksForFile = file
    else {
      this.effects.readsFile = file
      this.add('file', file, 'sql:copy-file')
    }
    this.partitions()
    this.fileFormat()
    if (this.accept('rows', 'identified', 'by')) this.constant()
    if (this.accept('ignore')) {
      this.limits()
      if (this.acceptOne('lines', 'rows') === null) this.fail('no LINES')
    }
    let columns: string[][] | null = null
    const variables: string[] = []
    if (this.acceptOperator('(')) {
      columns = []
      if (!this.isOperator(')'))
        this.list(() => {
          if (this.kind() === VARIABLE) variables.push(nameAt(this.tokens, this.i++).toLowerCase())
          else columns!.push(this.names(3))
        })
      this.expectOperator(')')
    }
    const sets = this.accept('set') ? this.assignments() : []
    this.effects.assigns.push(...variables)
    return { is: 'load', target, columns, variables, sets }
  }

  private handler(): Form {
    this.i++
    this.effects.usesHandler = true
    const table = this.tableName()
    const name = table.name
    if (this.accept('open')) {
      this.addTable(table, 'sql:select')
      this.verb('sql:declare')
      const alias = this.tableAlias()
      return { is: 'make', kind: 'cursor', name: (alias ?? name).toLowerCase(), of: null, table }
    }
    if (this.accept('close')) {
      this.add('cursor', name, 'sql:close')
      return UTILITY
    }
    this.expect('read')
    this.add('cursor', name, 'sql:fetch')
    const predicates: Expression[] = []
    if (this.acceptOne('first', 'next', 'prev', 'last') === null) {
      this.anyName()
      if (this.acceptOne('first', 'next', 'prev', 'last') === null) {
        const operator = this.kind() === OPERATOR ? this.tokens.words[this.i]! : ''
        if (!['=', '<=', '>=', '<', '>'].includes(operator)) this.fail('no comparison')
        this.i++
        this.expectOperator('(')
        predicates.push(...this.list(() => this.expression()))
        this.expectOperator(')')
      }
    }
    if (this.accept('where')) predicates.push(this.expression())
    if (this.accept('limit')) this.limits()
    return { is: 'defer', kind: 'cursor', name: name.toLowerCase(), args: [], predicates }
  }

  private lock(): Form {
    const word = this.word()
    this.i++
    if (this.accept('instance')) {
      this.rest()
      this.verb('sql:lock')
      return UTILITY
    }
    if (this.acceptOne('tables', 'table') === null) this.fail('no TABLES')
    this.effects.locksTables = true
    this.commits()
    if (word === 'unlock') {
      this.verb('sql:transaction')
      return UTILITY
    }
    this.list(() => {
      this.addTable(this.tableName(), 'sql:lock')
      if (!this.isWord('read', 'write', 'low_priority')) this.tableAlias()
      this.accept('low_priority')
      if (this.accept('read')) this.accept('local')
      else {
        this.expect('write')
        this.accept('concurrent')
      }
    })
    if (this.accept('wait')) this.limits()
    else this.accept('nowait')
    return UTILITY
  }

  private kill(): Form {
    this.i++
    this.effects.kills = true
    this.add('function', 'kill', 'sql:call')
    this.acceptOne('hard', 'soft')
    this.acceptOne('connection', 'query')
    this.accept('id')
    if (this.accept('user')) {
      this.account('sql:call')
      return UTILITY
    }
    return { is: 'utility', of: [this.expression()] }
  }

  private isTableMaintenance(): boolean {
    return (
      this.isWord('table', 'tables') ||
      (this.isWord('local', 'no_write_to_binlog') && ['table', 'tables'].includes(this.word(1)))
    )
  }

  private maintain(word: string): Form {
    this.acceptOne('local', 'no_write_to_binlog')
    if (this.acceptOne('table', 'tables', 'view') === null) this.fail(`what ${word} is for`)
    this.list(() => this.addTable(this.tableName(), 'sql:vacuum'))
    this.rest()
    return { is: 'shown', why: null, predicates: [] }
  }

  private administration(word: string): Form {
    this.i++
    const server = () => {
      this.add('server', word, 'sql:vacuum')
      this.rest()
      return UTILITY
    }
    switch (word) {
      case 'optimize':
      case 'check':
      case 'checksum':
      case 'repair':
        return this.maintain(word)
      case 'flush':
      case 'reset':
      case 'purge':
      case 'shutdown':
      case 'restart':
      case 'stop':
      case 'start':
      case 'cache':
      case 'backup':
        this.commits()
        {
          const from = this.i
          const form = server()
          this.passwords(from)
          return form
        }
      case 'binlog':
        // It carries rows, of any table.
        this.parsed.problem = 'rows of a binary log'
        this.add('server', word, 'sql:vacuum')
        this.rest()
        return { is: 'code', why: 'rows of a binary log' }
      case 'change': {
        const from = this.i
        this.effects.changesUsers = true
        const form = server()
        this.passwords(from)
        return form
      }
      case 'install':
      case 'uninstall':
        this.add('server', word, 'sql:load')
        this.rest()
        return UTILITY
      case 'help':
        this.verb('sql:show')
        if (this.kind() === STRING) this.constant()
        else this.anyName()
        return { is: 'shown', why: null, predicates: [] }
    }
    this.i--
    return this.fail('a statement that is not known')
  }
}

const EXPLAINED = 'select insert replace update delete with values table set'.split(' ')

function scopeOf(word: string): SettingChange['scope'] | null {
  if (word === 'session' || word === 'local') return 'session'
  if (word === 'global') return 'global'
  return word === 'persist' || word === 'persist_only' ? 'persist' : null
}

/** What a string says, where that is plain; null where it has escapes. */
function plainText(tokens: Tokens, at: number): string | null {
  const raw = tokens.text.slice(tokens.starts[at], tokens.ends[at])
  if (raw.includes('\\') || !/^['"]/.test(raw)) return null
  const quote = raw[0]!
  return raw.slice(1, -1).replaceAll(quote + quote, quote)
}
