/**
 * Masking: finding what is sensitive in values, and what is put in its place. Pure, and knows no protocol.
 * No gateway calls it yet (docs/limits.md).
 */
export { masked, REDACTED } from './actions'
export {
  createScanner,
  DEFAULT_DETECTORS,
  DETECTORS,
  type DetectorName,
  type Find,
  type Scanner,
} from './scan'
export type { ActionSpec, Kind, ValueType } from './types'
export interface Counts {
  add(detector: string): void
}
export interface ValueDetector {
  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null
  readonly isUseful: boolean
}
export function createDetection(
  _s: unknown,
  _key: Buffer,
): {
  column(name: string, type: import('./types').ValueType): ValueDetector
  text(bytes: Buffer, counts: Counts): Buffer | null
} {
  return { column: () => ({ isUseful: false, mask: () => null }), text: () => null }
}
export interface ColumnRule {
  id: string
  columns: readonly string[]
  tagged: readonly string[]
  action: import('./types').ActionSpec
  groups: readonly string[] | null
  predicates: 'allow' | 'report' | 'forbid'
}
export interface ColumnFacts {
  schema: string
  relation: string
  column: string
  tags: readonly string[]
}
export function createRules(rules: readonly ColumnRule[]): {
  find(column: ColumnFacts, groups: ReadonlySet<string>): ColumnRule | null
  isSensitive(column: ColumnFacts): boolean
} {
  const find = (c: ColumnFacts) =>
    rules.find((r) =>
      r.columns.some((p) =>
        p
          .split('.')
          .every((part, i, all) =>
            new RegExp('^' + part.replace(/\*/g, '.*') + '$').test(
              [c.schema, c.relation, c.column].slice(-all.length)[i]!,
            ),
          ),
      ),
    ) ?? null
  return { find, isSensitive: (c) => find(c) !== null }
}
