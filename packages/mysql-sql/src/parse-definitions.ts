/** CREATE, ALTER, DROP, RENAME, GRANT, passwords: what makes and changes tables, code and users. */
import type { Form, TableName } from './ast'
import { namesOf, QueryParser } from './parse-queries'
import { type Effects, noEffects, type Parsed } from './parsed'
import {
  BITS,
  END,
  nameAt,
  OPERATOR,
  QUOTED,
  type SqlContext,
  STRING,
  type Tokens,
  VARIABLE,
  WORD,
} from './tokens'

export const UTILITY: Form = { is: 'utility', of: [] }
export const SECRET = /password|passwd|secret|(^|_)key$|token|credential|auth_string|passphrase/i
const ENGINES =
  /^(innodb|myisam|aria|memory|heap|archive|blackhole|csv|sequence|ndb|ndbcluster|rocksdb|tokudb|columnstore)$/i
/** Nouns of CREATE, ALTER and DROP whose statements name one thing and options. */
const NOUNS: Record<string, string> = {
  database: 'database',
  schema: 'database',
  sequence: 'table',
  index: 'index',
  server: 'server',
  tablespace: 'tablespace',
  resource: 'resource-group',
  role: 'role',
}

const QUERIES =
  /^(select|with|values|table|insert|replace|update|delete|call|execute|create|alter|drop|do|handler)$/

export abstract class DefinitionParser extends QueryParser {
  protected parsed: Parsed

  constructor(tokens: Tokens, context: SqlContext) {
    super(tokens, context)
    this.parsed = this.fresh()
  }

  protected fresh(): Parsed {
    return {
      verbs: new Set(),
      objects: [],
      form: UTILITY,
      effects: noEffects(),
      secrets: [],
      makesCode: false,
      renames: false,
      problem: null,
      code: null,
    }
  }

  protected verb(verb: string): void {
    this.parsed.verbs.add(verb)
  }

  protected add(kind: string, name: string, verb: string): void {
    this.parsed.objects.push({ kind, name, verb })
    this.verb(verb)
  }

  protected addTable(table: TableName, verb: string): void {
    this.add('table', namesOf(table).join('.'), verb)
  }

  protected get effects(): Effects {
    return this.parsed.effects
  }

  protected commits(): void {
    this.effects.transaction = 'implicit-commit'
  }

  protected secretsIn(from: number, to: number): void {
    for (let at = from; at < to; at++)
      if (this.isLiteral(at)) this.parsed.secrets.push(this.ordinal(at))
  }

  protected setPassword(): Form {
    this.i++
    this.effects.changesUsers = true
    if (this.accept('for')) this.account('sql:alter')
    else this.add('role', 'current_user', 'sql:alter')
    const from = this.i
    if (!this.accept('to', 'random')) {
      if (!this.acceptOperator('=')) this.expectOperator(':=')
      this.expression()
    }
    if (this.accept('replace')) this.constant()
    if (this.accept('retain')) this.expect('current', 'password')
    this.secretsIn(from, this.i)
    return UTILITY
  }

  /** `user`, `user@host`, with or without quotes. */
  protected account(verb: string): void {
    if (this.isWord('current_user', 'current_role')) {
      this.i++
      if (this.acceptOperator('(')) this.expectOperator(')')
      this.add('role', 'current_user', verb)
      return
    }
    if (this.kind() !== STRING && this.kind() !== QUOTED && this.kind() !== WORD)
      this.fail('no user')
    let name = nameAt(this.tokens, this.i)
    if (this.kind() === STRING) this.constant()
    else this.i++
    if (this.kind() === VARIABLE) name += `@${nameAt(this.tokens, this.i++)}`
    this.add('role', name, verb)
  }

  /** What is left holds words, names and constants alone: options that name nothing which is run or read. */
  protected rest(): void {
    let level = 0
    for (; !this.isEnd(); this.i++) {
      const kind = this.kind()
      if (kind === WORD && this.word() === 'select') this.fail('a query')
      if (kind === OPERATOR) {
        if (this.isOperator('(') && this.beginsQuery(1)) this.fail('a query')
        const operator = this.tokens.words[this.i]!
        if (operator === '(') level++
        else if (operator === ')' && --level < 0) this.fail('a parenthesis')
        else if (operator === '{' || operator === '}') this.fail('no option')
      }
    }
    if (level !== 0) this.fail('a parenthesis')
  }

  /** Passwords within [from, here), by the words before them. */
  protected passwords(from: number): void {
    const { words, kinds } = this.tokens
    for (let at = from; at < this.i; at++) {
      if (kinds[at] !== STRING && kinds[at] !== BITS) continue
      const before = words[at - 1]!
      const further = words[at - 2] ?? ''
      if (
        (kinds[at - 1] === WORD && /^(by|as|using|replace|identified)$/.test(before)) ||
        (kinds[at - 1] === WORD && SECRET.test(before)) ||
        ((before === '=' || before === '(') && SECRET.test(further))
      )
        this.parsed.secrets.push(this.ordinal(at))
    }
  }

  protected grant(word: 'grant' | 'revoke'): Form {
    const verb = `sql:${word}`
    this.i++
    this.effects.changesUsers = true
    this.commits()
    const from = this.i
    let level = 0
    // Privileges, which may have columns; or roles, as accounts.
    for (; !this.isEnd(); this.i++) {
      const word = this.word()
      if (level === 0 && (word === 'on' || word === 'to' || word === 'from')) break
      if (this.isOperator('(')) level++
      else if (this.isOperator(')')) level--
    }
    const to = this.i
    if (this.accept('on')) {
      const kind = this.acceptOne('table', 'function', 'procedure', 'package')
      if (kind === 'package') this.accept('body')
      const parts: string[] = []
      do {
        if (this.acceptOperator('*')) parts.push('*')
        else if (this.kind() === STRING || this.kind(1) === VARIABLE) this.account(verb)
        else parts.push(this.anyName())
      } while (this.acceptOperator('.'))
      if (parts.length > 0)
        this.add(kind === null || kind === 'table' ? 'table' : 'function', parts.join('.'), verb)
    } else if (!/^(all|grant|delete|proxy)$/.test(this.tokens.words[from]!)) {
      const { kinds } = this.tokens
      for (let at = from; at < to; at++)
        if (kinds[at] === WORD || kinds[at] === QUOTED || kinds[at] === STRING)
          this.add('role', nameAt(this.tokens, at), verb)
    }
    this.verb(verb)
    if (this.acceptOne('to', 'from') !== null) {
      this.account(verb)
      while (this.accountOptions(verb)) {}
    }
    const rest = this.i
    this.rest()
    this.passwords(Math.max(from, rest - 4))
    this.passwords(from)
    return UTILITY
  }

  /** What stands behind an account, up to the next one of a list. */
  protected accountOptions(verb: string): boolean {
    while (!this.isEnd() && !this.isOperator(',') && !this.isWord('with', 'require')) this.i++
    if (!this.acceptOperator(',')) return false
    this.account(verb)
    return true
  }

  protected rename(): Form {
    this.i++
    this.commits()
    if (this.accept('user')) {
      this.effects.changesUsers = true
      this.list(() => {
        this.account('sql:alter')
        this.expect('to')
        this.account('sql:alter')
      })
      return UTILITY
    }
    if (this.acceptOne('table', 'tables') === null) this.fail('what is renamed')
    this.accept('if', 'exists')
    this.parsed.renames = true
    this.parsed.makesCode = true
    this.list(() => {
      this.addTable(this.tableName(), 'sql:alter')
      if (this.accept('wait')) this.limits()
      else this.accept('nowait')
      this.expect('to')
      this.addTable(this.tableName(), 'sql:alter')
    })
    return UTILITY
  }

  /** CREATE, ALTER, DROP */
  protected definition(word: 'create' | 'alter' | 'drop'): Form {
    const verb = `sql:${word}`
    const start = this.i
    this.i++
    this.commits()
    const replaces = this.accept('or', 'replace')
    // CREATE DEFINER = … SQL SECURITY … VIEW
    for (;;) {
      if (this.accept('definer')) {
        this.expectOperator('=')
        this.account(verb)
        continue
      }
      if (this.accept('algorithm')) {
        this.expectOperator('=')
        this.anyName()
        continue
      }
      if (this.accept('sql', 'security')) {
        this.anyName()
        continue
      }
      if (this.accept('temporary')) {
        this.effects.makesTemporary = word === 'create'
        continue
      }
      if (this.acceptOne('online', 'offline', 'ignore', 'aggregate') !== null) continue
      if (
        this.acceptOne('unique', 'fulltext', 'spatial', 'vector', 'undo', 'logfile', 'public') !==
        null
      )
        continue
      break
    }
    const noun = this.word()
    switch (noun) {
      case 'table':
      case 'tables':
        this.i++
        return this.tableDefinition(word, verb, replaces)
      case 'view':
        this.i++
        return this.viewDefinition(word, verb, replaces)
      case 'user':
      case 'role':
        this.i++
        return this.userDefinition(verb)
      case 'function':
      case 'procedure':
      case 'trigger':
      case 'event':
      case 'package':
        return this.routineDefinition(word, verb, noun)
      case 'prepare':
        if (word !== 'drop') break
        this.i++
        this.add('prepared', this.name(), 'sql:deallocate')
        this.effects.transaction = null
        return UTILITY
      case 'index':
        this.i++
        this.ifExists()
        this.name()
        if (this.acceptOne('using', 'type') !== null) this.anyName()
        this.expect('on')
        this.addTable(this.tableName(), word === 'create' ? 'sql:create' : verb)
        this.rest()
        return UTILITY
    }
    const kind = NOUNS[noun]
    if (kind === undefined || noun === 'role') this.fail('what it makes or changes')
    this.i++
    if (noun === 'resource') this.expect('group')
    this.ifExists()
    if (kind === 'server') this.effects.changesUsers = true
    if (kind === 'table') {
      this.addTable(this.tableName(), verb)
      this.renaming()
    } else if (kind === 'database' && word === 'alter' && !this.isName()) this.verb(verb)
    else {
      const name = this.kind() === STRING ? nameAt(this.tokens, this.i) : null
      if (name !== null) this.constant()
      this.add(kind, name ?? this.name(), verb)
    }
    if (replaces) this.verb('sql:drop')
    this.rest()
    this.passwords(start)
    return UTILITY
  }

  protected ifExists(): void {
    if (this.accept('if')) {
      this.accept('not')
      this.expect('exists')
    }
  }

  /** RENAME TO among the options that follow. */
  protected renaming(): void {
    for (let k = 0; this.kind(k) !== END && !this.isOperator(';', k); k++)
      if (this.word(k) === 'rename' || this.word(k) === 'change') this.parsed.renames = true
  }

  protected tableDefinition(word: string, verb: string, replaces: boolean): Form {
    this.ifExists()
    if (word === 'drop') {
      this.list(() => this.addTable(this.tableName(), verb))
      if (this.acceptOne('restrict', 'cascade') === null && this.accept('wait')) this.limits()
      else this.accept('nowait')
      return UTILITY
    }
    const target = this.tableName()
    this.addTable(target, verb)
    if (replaces) this.addTable(target, 'sql:drop')
    if (word === 'alter') {
      if (this.accept('wait')) this.limits()
      else this.accept('nowait')
      this.renaming()
      // Anybody may ask for its rows by another name then.
      this.parsed.makesCode = this.parsed.renames
      return this.tableOptions(verb, null)
    }
    if (this.accept('like')) {
      this.addTable(this.tableName(), 'sql:select')
      return UTILITY
    }
    if (this.isOperator('(') && this.word(1) === 'like') {
      this.i += 2
      this.addTable(this.tableName(), 'sql:select')
      this.expectOperator(')')
      return UTILITY
    }
    const form = this.tableOptions(verb, target)
    return form
  }

  /** Columns and options; the query behind them, where there is one. */
  protected tableOptions(verb: string, target: TableName | null): Form {
    const from = this.i
    let level = 0
    let generated = false
    const columns: string[] = []
    for (; !this.isEnd(); this.i++) {
      const word = this.word()
      if (this.isOperator('(')) {
        if (level === 0 && target !== null && this.i > from - 1 && this.atQuery()) break
        if (level === 0 && target !== null && this.startsQuery()) break
        level++
        if (level === 1 && this.isName(1)) columns.push(nameAt(this.tokens, this.i + 1))
        continue
      }
      if (this.isOperator(')')) {
        if (--level < 0) this.fail('a parenthesis')
        continue
      }
      if (level === 1 && this.isOperator(',') && this.isName(1))
        columns.push(nameAt(this.tokens, this.i + 1))
      if (
        word === 'generated' ||
        (word === 'as' && this.isOperator('(', 1) && !this.startsQuery(1))
      )
        generated = true
      if (QUERIES.test(word)) {
        if (level > 0 || target === null) {
          // ON UPDATE, ON DELETE; DROP and RENAME are what ALTER does.
          if (/^(update|delete)$/.test(word) && this.tokens.words[this.i - 1] === 'on') continue
          if (target === null && /^(drop|alter|insert|create)$/.test(word)) continue
          if (word === 'select' || (this.tokens.words[this.i - 1] === '(' && this.beginsQuery(0)))
            this.fail('a query')
          continue
        }
        if (/^(select|with|values|table)$/.test(word) && this.beginsQuery(0)) {
          if (word !== 'with' || this.word(1) !== 'system') break
        }
      }
      this.tableOption(word, verb)
    }
    if (level !== 0) this.fail('a parenthesis')
    if (!this.isEnd()) {
      const query = this.query()
      this.noMasks(generated)
      return { is: 'into', target: target!, columns: [...new Set(columns)], query }
    }
    return generated ? { is: 'code', why: 'a column made of others' } : UTILITY
  }

  protected startsQuery(k = 0): boolean {
    let at = k
    if (this.word(at) === 'as') at++
    while (this.isOperator('(', at)) at++
    return at > k && this.beginsQuery(at)
  }

  protected noMasks(generated: boolean): void {
    if (generated) this.parsed.problem = 'columns made of others beside a query'
  }

  /** Words within a table's definition that name something else than a column. */
  protected tableOption(word: string, verb: string): void {
    const nameBehind = (k: number): string | null => {
      const { tokens } = this
      const at = this.i + k
      if (!this.isName(k)) return null
      const first = nameAt(tokens, at)
      return this.isOperator('.', k + 1) && this.isName(k + 2)
        ? `${first}.${nameAt(tokens, at + 2)}`
        : first
    }
    const table = (k: number, verb: string) => {
      const name = nameBehind(k)
      if (name === null) this.fail('no table')
      this.add('table', name, verb)
    }
    switch (word) {
      case 'references':
        table(1, 'sql:select')
        return
      case 'exchange':
        // Rows change their tables without being named.
        this.parsed.renames = true
        this.parsed.makesCode = true
        for (let k = 1; !this.isOperator(';', k) && this.kind(k) !== END; k++)
          if (this.word(k) === 'table') table(k + 1, verb)
        return
      case 'rename': {
        if (['column', 'index', 'key', 'constraint'].includes(this.word(1))) return
        table(this.isWordAt(1, 'to', 'as') || this.isOperator('=', 1) ? 2 : 1, verb)
        return
      }
      case 'truncate':
        this.verb('sql:truncate')
        return
      case 'drop':
        if (this.word(1) === 'partition') this.verb('sql:truncate')
        return
      case 'union':
        this.fail('tables that are shown as one')
        break
      case 'engine':
        if (!ENGINES.test(nameAt(this.tokens, this.i + (this.isOperator('=', 1) ? 2 : 1))))
          this.fail('an engine that is not known')
        return
      case 'data':
      case 'index':
        if (this.word(1) === 'directory') this.fail('a place for its files')
        return
      // Of engines that read files or other servers; which one it is, a setting may say.
      case 'file_name':
      case 'filename':
      case 'table_type':
      case 'srcdef':
      case 'tabname':
      case 'option_list':
      case 'wrapper':
        if (this.isOperator('=', 1) || this.isLiteral(this.i + 1))
          this.fail('a table of something else')
        return
      case 'connection':
        this.passwordOption()
        this.fail('a table of another server')
        break
      case 'discard':
      case 'import':
        if (this.word(1) === 'tablespace') this.fail('a tablespace')
        return
      case 'password':
      case 'encryption_key_id':
        this.passwordOption()
    }
  }

  protected passwordOption(): void {
    for (let k = 1; k <= 2; k++)
      if (this.isLiteral(this.i + k)) this.parsed.secrets.push(this.ordinal(this.i + k))
  }

  protected isWordAt(ahead: number, ...words: readonly string[]): boolean {
    return words.includes(this.word(ahead))
  }

  protected viewDefinition(word: string, verb: string, replaces: boolean): Form {
    this.ifExists()
    this.parsed.makesCode = true
    if (word === 'drop') {
      this.list(() => this.addTable(this.tableName(), verb))
      this.acceptOne('restrict', 'cascade')
      return UTILITY
    }
    const view = this.tableName()
    this.addTable(view, verb)
    if (replaces) this.addTable(view, 'sql:drop')
    if (this.isOperator('(') && !this.atQuery()) this.columnList()
    this.expect('as')
    const query = this.query()
    if (this.accept('with')) {
      this.acceptOne('cascaded', 'local')
      this.expect('check', 'option')
    }
    return { is: 'definition', query }
  }

  protected userDefinition(verb: string): Form {
    this.effects.changesUsers = true
    this.ifExists()
    const from = this.i
    if (this.isWord('user') && this.isOperator('(', 1)) this.i += 3
    else this.account(verb)
    while (this.accountOptions(verb)) {}
    this.rest()
    this.passwords(from)
    return UTILITY
  }

  /** Functions, procedures, triggers, events: their code goes up to the text's end. */
  protected routineDefinition(word: string, verb: string, noun: string): Form {
    this.i++
    if (noun === 'package') this.accept('body')
    this.ifExists()
    const names = this.names(2)
    this.add(noun === 'procedure' ? 'function' : noun, names.join('.'), verb)
    this.parsed.makesCode = true
    const from = this.i
    if (word === 'drop') return UTILITY
    // A library of the server's.
    for (let k = 0; this.kind(k) !== END && !this.isOperator(';', k); k++)
      if (this.word(k) === 'soname') this.verb('sql:load')
    if (noun === 'trigger' && word === 'create')
      for (let k = 0; this.kind(k) !== END; k++)
        if (this.word(k) === 'on' && this.isName(k + 1)) {
          const at = this.i
          this.i += k + 1
          this.addTable(this.tableName(), verb)
          this.i = at
          break
        }
    while (!this.isEnd()) this.i++
    this.parsed.code = { from, to: this.i }
    if (this.isOperator(';') && this.kind(1) !== END) this.fail('code of several statements')
    return { is: 'code', why: `a ${noun}` }
  }
}
