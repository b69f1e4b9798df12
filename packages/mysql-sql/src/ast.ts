/**
 * What a statement is, as plain data: names not yet looked up and no values of constants (only where they stand), so that it
 * holds for all statements of one shape. `parse-*` makes it, `facts` and `provenance` read it.
 */

export type Expression =
  /** Neither column nor constant: NULL, CURRENT_DATE, DEFAULT. */
  | { readonly is: 'nothing' }
  | { readonly is: 'constant'; readonly ordinal: number }
  | { readonly is: 'parameter'; readonly number: number }
  | { readonly is: 'column'; readonly names: readonly string[] }
  /** `@name` */
  | { readonly is: 'variable'; readonly name: string }
  | { readonly is: 'assign'; readonly name: string; readonly of: Expression }
  /** `@@name` */
  | { readonly is: 'setting'; readonly name: string }
  | { readonly is: 'cast'; readonly of: Expression; readonly text: boolean }
  /** Made of all together; `compares` where it gives true or false. */
  | {
      readonly is: 'computed'
      readonly by: string
      readonly of: readonly Expression[]
      readonly compares: boolean
    }
  /** Its results side by side; what chooses among them is in `by`. */
  | { readonly is: 'case'; readonly by: readonly Expression[]; readonly of: readonly Expression[] }
  | {
      readonly is: 'call'
      readonly database: string | null
      /** In lower case. */
      readonly name: string
      readonly args: readonly Expression[]
      /** What chooses and orders its rows. */
      readonly by: readonly Expression[]
      /** As a function that somebody made, whatever built-in one has its name. */
      readonly own: boolean
    }
  | {
      readonly is: 'query'
      readonly query: Query
      readonly as: 'value' | 'exists' | 'set'
    }

export interface TableName {
  readonly database: string | null
  readonly name: string
}

export type Output =
  | { readonly is: 'value'; readonly name: string | null; readonly of: Expression }
  /** `*`, `t.*`, `d.t.*` */
  | { readonly is: 'star'; readonly of: readonly string[] }

export type From =
  | {
      readonly is: 'table'
      readonly table: TableName
      readonly alias: string | null
      /** What chooses its rows: FOR SYSTEM_TIME. */
      readonly by: readonly Expression[]
    }
  | {
      readonly is: 'query'
      readonly query: Query
      readonly alias: string | null
      readonly columns: readonly string[]
      readonly lateral: boolean
    }
  | {
      readonly is: 'join'
      readonly left: From
      readonly right: From
      readonly on: readonly Expression[]
      readonly using: readonly string[] | null
      readonly natural: boolean
      readonly outer: 'left' | 'right' | null
    }
  /** Side by side within parentheses. */
  | { readonly is: 'list'; readonly of: readonly From[] }
  | {
      readonly is: 'json'
      readonly of: Expression
      readonly columns: readonly string[]
      readonly alias: string
    }

export interface Cte {
  readonly name: string
  readonly columns: readonly string[]
  readonly query: Query
}

export interface With {
  readonly ctes: readonly Cte[]
  readonly recursive: boolean
}

export type Into =
  | { readonly is: 'outfile' | 'dumpfile'; readonly file: string }
  /** Variables, `@name` or a local one's name. */
  | { readonly is: 'variables'; readonly names: readonly string[] }

interface Tail extends With {
  readonly order: readonly Expression[]
  readonly limited: boolean
  readonly into: Into | null
  readonly locks: boolean
}

export type Query =
  | ({
      readonly is: 'select'
      readonly from: readonly From[]
      readonly outputs: readonly Output[]
      readonly where: Expression | null
      readonly group: readonly Expression[]
      readonly having: readonly Expression[]
      readonly distinct: boolean
    } & Tail)
  | ({ readonly is: 'set'; readonly sides: readonly Query[]; readonly compares: boolean } & Tail)
  | ({ readonly is: 'values'; readonly rows: readonly (readonly Expression[])[] } & Tail)

export interface Assignment {
  /** `c`, `t.c`, `d.t.c` */
  readonly names: readonly string[]
  readonly value: Expression
}

export type Form =
  | { readonly is: 'query'; readonly query: Query }
  | {
      readonly is: 'insert'
      readonly verb: 'insert' | 'replace'
      readonly target: TableName
      /** null: all in order. */
      readonly columns: readonly (readonly string[])[] | null
      readonly source: Query | null
      readonly sets: readonly Assignment[]
      readonly alias: { readonly name: string; readonly columns: readonly string[] } | null
      readonly duplicate: readonly Assignment[]
      readonly returning: readonly Output[] | null
    }
  | ({
      readonly is: 'update'
      readonly from: readonly From[]
      readonly sets: readonly Assignment[]
      readonly where: Expression | null
      readonly order: readonly Expression[]
      readonly limited: boolean
      readonly returning: readonly Output[] | null
    } & With)
  | ({
      readonly is: 'delete'
      /** Names of what is in `from`, or of tables. */
      readonly targets: readonly (readonly string[])[]
      readonly from: readonly From[]
      readonly where: Expression | null
      readonly order: readonly Expression[]
      readonly limited: boolean
      readonly returning: readonly Output[] | null
    } & With)
  /** CREATE TABLE … AS */
  | {
      readonly is: 'into'
      readonly target: TableName
      readonly columns: readonly string[]
      readonly query: Query
    }
  | { readonly is: 'definition'; readonly query: Query }
  | {
      readonly is: 'explain'
      readonly of: Form
      readonly runs: boolean
      /** Its plan shows conditions, and values in them. */
      readonly tells: boolean
    }
  /** SET: variables, and settings, which keep what they are given. */
  | {
      readonly is: 'set'
      readonly variables: readonly { readonly name: string; readonly value: Expression }[]
      readonly settings: readonly { readonly name: string; readonly value: Expression }[]
      /** SET STATEMENT … FOR */
      readonly of: Form | null
    }
  | {
      readonly is: 'load'
      readonly target: TableName
      readonly columns: readonly (readonly string[])[] | null
      readonly variables: readonly string[]
      readonly sets: readonly Assignment[]
    }
  /** HANDLER … OPEN, PREPARE */
  | {
      readonly is: 'make'
      readonly kind: 'cursor' | 'prepared'
      readonly name: string
      readonly of: Form | null
      readonly table: TableName | null
    }
  /** HANDLER … READ, EXECUTE */
  | {
      readonly is: 'defer'
      readonly kind: 'cursor' | 'prepared'
      readonly name: string
      readonly args: readonly Expression[]
      readonly predicates: readonly Expression[]
    }
  /** Gives rows that are no data of anybody's; or null where they may be. */
  | {
      readonly is: 'shown'
      readonly why: string | null
      readonly predicates: readonly Expression[]
    }
  | { readonly is: 'call'; readonly args: readonly Expression[] }
  | { readonly is: 'code'; readonly why: string }
  /** Gives no rows; `of` is evaluated. */
  | { readonly is: 'utility'; readonly of: readonly Expression[] }
