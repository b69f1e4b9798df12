export interface Lineage {
  readonly unknown: string
}
export interface Source {
  schema: string
  relation: string
  column: string
}
export interface Provenance {
  sources: readonly Source[]
  exact: boolean
  unknown: string | null
}
export interface RelationFacts {
  schema: string
  name: string
  columns: readonly string[]
  definition: Lineage | null
}
export interface Relations {
  find(schema: string | null, name: string): readonly RelationFacts[]
  isOwnFunction(name: string): boolean
  isOwnOperator(name: string): boolean
  isOwnType(name: string): boolean
  isTrustedFunction(name: string): boolean
}
export interface Resolved {
  outputs: readonly Provenance[] | null
  whole: Provenance
  predicates: Provenance
  flows: readonly {
    to: { schema: string | null; relation: string | null; column: string | null; via: string }
    from: Provenance
  }[]
  reads: ReadonlySet<string>
  code: string | null
  constants: readonly { ordinal: number; to: Provenance; secret: boolean }[]
  parameters: readonly { number: number; to: Provenance; secret: boolean }[]
  defers: { kind: 'cursor' | 'prepared'; name: string } | null
  makes: { kind: 'cursor' | 'prepared'; name: string } | null
}
export function createResolver(_relations: Relations): {
  statement(lineage: Lineage): Resolved
  column(facts: RelationFacts, column: string): Provenance
} {
  const none: Provenance = { sources: [], exact: false, unknown: null }
  return {
    statement: () => ({
      outputs: null,
      whole: { ...none, unknown: 'stub' },
      predicates: none,
      flows: [],
      reads: new Set(),
      code: null,
      constants: [],
      parameters: [],
      defers: null,
      makes: null,
    }),
    column: (facts, column) => ({
      sources: [{ schema: facts.schema, relation: facts.name, column }],
      exact: true,
      unknown: null,
    }),
  }
}
export function constantsOf(
  _text: Buffer,
  _start: number,
  _end: number,
): { start: number; end: number }[] {
  return []
}
