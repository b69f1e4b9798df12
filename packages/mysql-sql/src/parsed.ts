/** What was found of one statement while it was parsed, but for what its form says. */
import type { ObjectName } from '@custody/sql'
import type { Form } from './ast'

export interface SettingChange {
  /** `statement`: for one statement's time. */
  scope: 'session' | 'global' | 'persist' | 'statement'
  /** In lower case; `names` and `character set` by the settings that they change. */
  name: string
  /** A constant or a word as it is written; null where it is computed. */
  value: string | null
}

export interface Effects {
  settings: SettingChange[]
  /** USE */
  database: string | null
  /** A statement made of a text: PREPARE, EXECUTE IMMEDIATE; the text where it is a plain string. */
  prepares: { readonly name: string | null; readonly text: string | null } | null
  /** EXECUTE of what was prepared by PREPARE. */
  executes: string | null
  callsProcedure: boolean
  /** Files of the server's. */
  writesFile: string | null
  readsFile: string | null
  /** LOAD DATA LOCAL: the server asks the client for this file. */
  asksForFile: string | null
  changesUsers: boolean
  usesHandler: boolean
  kills: boolean
  transaction: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'implicit-commit' | null
  locksTables: boolean
  /** It makes a temporary table, which hides others of its name from this session. */
  makesTemporary: boolean
  /** User variables that are given a value, in lower case, without `@`. */
  assigns: string[]
}

export interface Parsed {
  verbs: Set<string>
  objects: ObjectName[]
  form: Form
  effects: Effects
  /** Ordinals of literals that are passwords or keys by their place. */
  secrets: number[]
  /** It makes code that others run, or may. */
  makesCode: boolean
  renames: boolean
  /** Understood, but for this. */
  problem: string | null
  /** Tokens of code that it runs or leaves behind. */
  code: { readonly from: number; readonly to: number } | null
}

export function noEffects(): Effects {
  return {
    settings: [],
    database: null,
    prepares: null,
    executes: null,
    callsProcedure: false,
    writesFile: null,
    readsFile: null,
    asksForFile: null,
    changesUsers: false,
    usesHandler: false,
    kills: false,
    transaction: null,
    locksTables: false,
    makesTemporary: false,
    assigns: [],
  }
}
