/**
 * What is kept of a statement's text and parameters: literals that say what is in a masked column, passwords, and what
 * detectors find give way to a mark before anything of them is recorded. What is sent to the target stays as it is.
 */
import type { SessionRules } from '@custody/masking'
import { literalsOf, type SqlContext, type StatementAnalysis, secretsOf } from '@custody/mysql-sql'
import { type ColumnMask, DETECTOR_RULE, type MaskCounts, SECRET, UNPROVEN } from '../../masks'
import type { StatementMask } from '../../statement-masks'
import { WITHHELD } from './masked-messages'

const PLACE = Buffer.from(`'${WITHHELD}'`)
const NONE: ReadonlyMap<number, ColumnMask> = new Map()

/** Passwords and keys of a statement, by the ordinals of its literals; they are never kept, masking or not. */
export function passwordsOf(
  analysis: Pick<StatementAnalysis, 'secrets' | 'start' | 'end'>,
  text: string,
  context: SqlContext,
): ReadonlyMap<number, ColumnMask> {
  if (analysis.secrets !== null && analysis.secrets.length === 0) return NONE
  const places = new Set(secretsOf(analysis, text, context).map(({ start }) => start))
  if (places.size === 0) return NONE
  const found = new Map<number, ColumnMask>()
  const literals = literalsOf(text, context, analysis.start, analysis.end)
  for (const [ordinal, { start }] of literals.entries())
    if (places.has(start)) found.set(ordinal, SECRET)
  return found
}

/** The statement's part of the text as it is kept; the same bytes where nothing is left out. */
export function keptText(
  bytes: Buffer,
  context: SqlContext,
  constants: StatementMask['constants'],
  passwords: ReadonlyMap<number, ColumnMask>,
  rules: SessionRules | null,
  counts: MaskCounts,
): Buffer {
  let kept = bytes
  if (constants === 'all' || constants.size > 0 || passwords.size > 0) {
    const parts: Buffer[] = []
    let at = 0
    for (const [ordinal, { start, end }] of literalsOf(
      bytes.toString('latin1'),
      context,
    ).entries()) {
      const mask =
        passwords.get(ordinal) ?? (constants === 'all' ? UNPROVEN : constants.get(ordinal))
      if (mask === undefined || end < at) continue
      parts.push(bytes.subarray(at, start), PLACE)
      at = end
      counts.add(mask.rule, mask.column, null, 'redact')
    }
    if (at > 0) kept = Buffer.concat([...parts, bytes.subarray(at)])
  }
  if (rules === null) return kept
  return (
    rules.maskText(kept, {
      add: (detector) => counts.add(DETECTOR_RULE, null, detector, rules.detectorAction),
    }) ?? kept
  )
}

/** Literals of one text that are looked for in what is said of it. */
const VALUES_MAX = 1000
/** Shorter ones are in every text. */
const CHARACTERS_MIN = 3

/** Values of the literals that are not kept, as texts of the target may repeat them. */
export function constantsNotKept(
  text: string,
  context: SqlContext,
  constants: StatementMask['constants'],
  passwords: ReadonlyMap<number, ColumnMask>,
): string[] {
  if (constants !== 'all' && constants.size + passwords.size === 0) return []
  const values: string[] = []
  for (const [ordinal, { start, end }] of literalsOf(text, context).entries()) {
    if (constants !== 'all' && !constants.has(ordinal) && !passwords.has(ordinal)) continue
    if (values.length >= VALUES_MAX) break
    const written = text.slice(start, end)
    const quoted = /^[^'"]*(['"])([\s\S]*)\1$/.exec(written)
    const value = quoted?.[2] ?? written
    if (value.length < CHARACTERS_MIN) continue
    values.push(value)
    const plain = value.replace(/''|""/g, (pair) => pair[0]!).replace(/\\(.)/gs, '$1')
    if (plain !== value) values.push(plain)
  }
  return values
}

/** The mask for a parameter, by its number from 1, or null. */
export function parameterMask(
  number: number,
  parameters: StatementMask['parameters'],
): ColumnMask | null {
  return parameters === 'all' ? UNPROVEN : (parameters.get(number) ?? null)
}
