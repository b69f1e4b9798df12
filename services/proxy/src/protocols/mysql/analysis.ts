/**
 * What texts do in one session: read as the target reads them now, with statements that SQL prepared by name taken for what
 * they are. Keeps what it knows of texts that come again. Refuses to guess: what is not known is `sql:unknown` and not
 * understood, never harmless.
 */
import {
  type Analyser,
  createAnalyser,
  type SqlContext,
  type StatementAnalysis,
  secretsOf,
  unanalysed,
} from '@custody/mysql-sql'
import { decodeText, isUtf8Charset } from '@custody/mysql-values'

export { type StatementAnalysis, unanalysed }

/** Of what does nothing that anybody decides on. */
export const HARMLESS: StatementAnalysis = {
  ...unanalysed(null),
  verbs: [],
  understood: true,
  readOnly: true,
  makesCode: false,
  codeWords: null,
  secrets: [],
}

const ENTRIES_MAX = 10_000
const BYTES_MAX = 16 * 1024 * 1024
/** Ways of reading that are kept at a time. */
const READINGS_MAX = 16
/** Longer texts are not parsed, and not understood. */
const PARSE_BYTES_MAX = 256 * 1024
/** Of texts that are longer it is not kept that they came. */
const KEPT_TEXT_BYTES_MAX = 4096

class Known {
  private texts = new Map<string, readonly StatementAnalysis[]>()
  private bytes = 0

  constructor(
    private readonly analyser: Analyser,
    private readonly context: SqlContext,
  ) {}

  analyse(text: string): readonly StatementAnalysis[] {
    const { analyser, context } = this
    if (text.length > KEPT_TEXT_BYTES_MAX) return analyser.analyse(text, context).statements
    const known = this.texts.get(text)
    if (known !== undefined) return known
    const { statements } = analyser.analyse(text, context)
    if (this.texts.size >= ENTRIES_MAX || this.bytes > BYTES_MAX) {
      this.texts = new Map()
      this.bytes = 0
    }
    this.texts.set(text, statements)
    this.bytes += text.length + 256
    return statements
  }
}

/** For all sessions: the same text read in the same way does the same. */
export class Texts {
  private readonly analyser: Analyser = createAnalyser({
    cacheEntriesMax: ENTRIES_MAX,
    cacheBytesMax: BYTES_MAX,
    parseBytesMax: PARSE_BYTES_MAX,
  })
  private readonly known = new Map<string, Known>()

  /** What is known of texts that are read in one way. */
  of(context: SqlContext): Known {
    const { server, serverVersion, multiStatements, sqlMode, characterSet } = context
    const key = [server, serverVersion, multiStatements, characterSet, String(sqlMode)].join('|')
    let known = this.known.get(key)
    if (known === undefined) {
      if (this.known.size >= READINGS_MAX) this.known.delete(this.known.keys().next().value!)
      known = new Known(this.analyser, context)
      this.known.set(key, known)
    }
    return known
  }
}

/** `5.5.5-10.11.19-MariaDB-1` and `8.0.36` as executable comments have them. */
export function serverOf(version: string): Pick<SqlContext, 'server' | 'serverVersion'> {
  const server = /mariadb/i.test(version) ? 'mariadb' : 'mysql'
  // MariaDB up to 10 says first that it is 5.5.5, for old replicas.
  const [, major, minor, patch] = /^(?:5\.5\.5-)?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? []
  const serverVersion =
    major === undefined ? 0 : Number(major) * 10_000 + Number(minor) * 100 + Number(patch ?? 0)
  return { server, serverVersion }
}

/** Settings that decide how texts are read, and by which the target tells of these. */
const READING = /^(sql_mode|character_set_client|session_track_system_variables)$/

export class SessionTexts {
  private context: SqlContext
  private known: Known
  private knownAlone: Known
  /** What SQL prepared by name; what has no entry is not known. */
  private readonly named = new Map<
    string,
    { analysis: StatementAnalysis; bytes: Buffer; way: Known }
  >()

  constructor(
    private readonly texts: Texts,
    version: string,
    multiStatements: boolean,
    private readonly namesMax: number,
  ) {
    this.context = { ...serverOf(version), multiStatements, sqlMode: '', characterSet: 'utf8mb4' }
    this.known = texts.of(this.context)
    this.knownAlone = texts.of({ ...this.context, multiStatements: false })
  }

  /** Which server reads them. */
  get server(): Pick<SqlContext, 'server' | 'serverVersion'> {
    return this.context
  }

  /** The session reads texts otherwise from now on. */
  read(change: Partial<Pick<SqlContext, 'sqlMode' | 'characterSet' | 'multiStatements'>>): void {
    this.context = { ...this.context, ...change }
    this.known = this.texts.of(this.context)
    this.knownAlone = this.texts.of({ ...this.context, multiStatements: false })
  }

  /** As texts are read that were decoded, which those are that are kept. */
  get decoded(): SqlContext {
    return isUtf8Charset(this.charset) ? this.context : { ...this.context, characterSet: 'utf8mb4' }
  }

  get charset(): string {
    return this.context.characterSet ?? ''
  }

  /** The statements of a text; those that execute others by name say what these do. */
  analyse(text: Buffer): readonly StatementAnalysis[] {
    const latin1 = text.toString('latin1')
    const found = this.known.analyse(latin1)
    if (found.length === 1 && isPlain(found[0]!)) return found
    return found.map((one) => this.resolved(one))
  }

  /** The way in which texts are read now, to be shown again. */
  get way(): object {
    return this.known
  }

  /**
   * What was prepared, when it is executed: a server may prepare it anew by then, and read it in another way. Where that makes
   * another statement of it, it is not known which one runs.
   */
  stillIs(analysis: StatementAnalysis, bytes: Buffer, way: object): StatementAnalysis {
    if (way === this.known) return analysis
    const [now, ...more] = this.knownAlone.analyse(bytes.toString('latin1'))
    const isSame =
      now !== undefined &&
      more.length === 0 &&
      now.fingerprint === analysis.fingerprint &&
      now.understood === analysis.understood &&
      String(now.verbs) === String(analysis.verbs) &&
      JSON.stringify(now.objects) === JSON.stringify(analysis.objects)
    return isSame ? analysis : { ...analysis, ...notKnown(analysis, READ_OTHERWISE) }
  }

  /** One that is prepared by the protocol, where there is no second one. */
  analyseOne(text: Buffer): StatementAnalysis {
    const found = this.analyse(text)
    return found.length === 1 ? found[0]! : unanalysed('several statements, or none')
  }

  private resolved(one: StatementAnalysis): StatementAnalysis {
    const { effects } = one
    if (effects.executes !== null) {
      const named = this.named.get(effects.executes)
      return named === undefined
        ? { ...one, ...notKnown(one, 'it executes what is not known to have been prepared') }
        : joined(one, this.stillIs(named.analysis, named.bytes, named.way))
    }
    this.note(one)
    return one
  }

  /** What it changes among names, from here on. */
  private note({ effects, understood, verbs, objects }: StatementAnalysis): void {
    const { prepares } = effects
    // Procedures prepare and deallocate as they like.
    if (!understood || effects.callsProcedure) this.named.clear()
    if (prepares?.name != null) {
      if (prepares.text === null) this.named.delete(prepares.name)
      else if (this.named.size < this.namesMax) {
        const inner = this.knownAlone.analyse(prepares.text)
        const bytes = Buffer.from(prepares.text, 'latin1')
        if (inner.length === 1)
          this.named.set(prepares.name, { analysis: inner[0]!, bytes, way: this.known })
        else this.named.delete(prepares.name)
      }
    } else if (verbs.includes('sql:deallocate'))
      for (const { kind, name } of objects)
        if (kind === 'prepared') this.named.delete(name.toLowerCase())
  }

  /** All that was prepared is gone. */
  forget(): void {
    this.named.clear()
  }

  /** Text as UTF-8 bytes, or as a string where the client speaks another character set. */
  textOf(bytes: Buffer): Buffer | string {
    const { charset } = this
    if (isUtf8Charset(charset) || isAscii(bytes)) return bytes
    return decodeText(bytes, charset) ?? bytes.toString('latin1')
  }

  /** The text as it is kept: without passwords. */
  keptText(analysis: StatementAnalysis, bytes: Buffer): Buffer {
    if (analysis.secrets !== null && analysis.secrets.length === 0) return bytes
    const text = bytes.toString('latin1')
    const ranges = secretsOf({ ...analysis, start: 0, end: text.length }, text, this.context)
    if (ranges.length === 0) return bytes
    let kept = ''
    let from = 0
    for (const { start, end } of ranges) {
      kept += `${text.slice(from, start)}'[masked]'`
      from = end
    }
    return Buffer.from(kept + text.slice(from), 'latin1')
  }
}

/** Procedures and functions set what they like. */
function callsCode({ effects, makesCode, verbs }: StatementAnalysis): boolean {
  return effects.callsProcedure || (makesCode && verbs.includes('sql:call'))
}

/** What is known of the session's settings may be over when it has run. */
export function changesReading(analysis: StatementAnalysis): boolean {
  const { understood, effects } = analysis
  return (
    !understood ||
    callsCode(analysis) ||
    effects.executes !== null ||
    effects.prepares !== null ||
    effects.settings.some(({ name, scope }) => scope === 'session' && READING.test(name))
  )
}

/** Whether the target may stop telling of changes by it. */
export function changesTracking(analysis: StatementAnalysis): boolean {
  const { understood, effects } = analysis
  return (
    !understood ||
    callsCode(analysis) ||
    effects.executes !== null ||
    effects.settings.some(({ name }) => name.startsWith('session_track'))
  )
}

function isPlain({ effects, understood }: StatementAnalysis): boolean {
  return (
    understood && effects.executes === null && effects.prepares === null && !effects.callsProcedure
  )
}

const READ_OTHERWISE = 'it was prepared when texts were read in another way'

function notKnown({ verbs }: StatementAnalysis, problem: string): Partial<StatementAnalysis> {
  return {
    verbs: [...new Set([...verbs, 'sql:unknown'])],
    understood: false,
    readOnly: false,
    makesCode: true,
    codeWords: ['*'],
    problem,
  }
}

/** EXECUTE, and what it executes. */
function joined(one: StatementAnalysis, named: StatementAnalysis): StatementAnalysis {
  return {
    ...named,
    ...{ start: one.start, end: one.end, fingerprint: one.fingerprint, secrets: one.secrets },
    verbs: [...new Set([...one.verbs, ...named.verbs])],
    objects: [...one.objects, ...named.objects],
    understood: one.understood && named.understood,
    readOnly: false,
    effects: { ...named.effects, executes: one.effects.executes },
  }
}

export function isAscii(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 127) return false
  return true
}
