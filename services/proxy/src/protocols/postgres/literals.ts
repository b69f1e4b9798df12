/**
 * What is kept of a statement's text and parameters: constants that say what is in a masked column, passwords, and what
 * detectors find give way to a mark before anything of them is recorded. What is sent to the target stays as it is.
 */

import type { SessionRules } from '@custody/masking'
import { constantsOf, createResolver, type StatementAnalysis } from '@custody/postgres-sql'
import { type ColumnMask, DETECTOR_RULE, type MaskCounts, SECRET, UNPROVEN } from '../../masks'
import type { StatementMask } from '../../statement-masks'
import { WITHHELD } from './messages'

const PLACE = Buffer.from(`'${WITHHELD}'`)

/** By place alone, whatever the database has. */
const anywhere = createResolver({
  find: () => [],
  isOwnFunction: () => false,
  isOwnOperator: () => false,
  isOwnType: () => false,
  isTrustedFunction: () => false,
})
const NONE: ReadonlyMap<number, ColumnMask> = new Map()

/** Passwords of a statement, which are never kept, masking or not. */
export function passwordsOf(
  { lineage, understood }: StatementAnalysis,
  text: Buffer,
): ReadonlyMap<number, ColumnMask> {
  const found = new Map<number, ColumnMask>()
  for (const { ordinal, secret } of anywhere.statement(lineage).constants)
    if (secret) found.set(ordinal, SECRET)
  if (understood || !/password/i.test(text.toString('latin1'))) return found.size > 0 ? found : NONE
  // Of what can't be parsed, whatever stands behind the word.
  for (const [ordinal, { start }] of constantsOf(text, 0, text.length).entries())
    if (/password["'\s=]*$/i.test(text.toString('latin1', Math.max(0, start - 32), start)))
      found.set(ordinal, SECRET)
  return found
}

/** The text as it is kept; the same buffer where nothing is left out. */
export function keptText(
  text: Buffer,
  constants: StatementMask['constants'],
  rules: SessionRules | null,
  counts: MaskCounts,
): Buffer {
  let kept = text
  if (constants === 'all' || constants.size > 0) {
    const parts: Buffer[] = []
    let at = 0
    for (const [ordinal, { start, end }] of constantsOf(text, 0, text.length).entries()) {
      const mask = constants === 'all' ? UNPROVEN : constants.get(ordinal)
      if (mask === undefined || end < at) continue
      parts.push(text.subarray(at, start), PLACE)
      at = end
      counts.add(mask.rule, mask.column, null, 'redact')
    }
    if (at > 0) kept = Buffer.concat([...parts, text.subarray(at)])
  }
  if (rules === null) return kept
  return (
    rules.maskText(kept, {
      add: (detector) => counts.add(DETECTOR_RULE, null, detector, rules.detectorAction),
    }) ?? kept
  )
}

/** Values of the constants that are not kept, as texts of the target may repeat them. */
export function constantsNotKept(text: Buffer, constants: StatementMask['constants']): string[] {
  if (constants !== 'all' && constants.size === 0) return []
  const values: string[] = []
  for (const [ordinal, { start, end }] of constantsOf(text, 0, text.length).entries()) {
    if (constants !== 'all' && !constants.has(ordinal)) continue
    if (values.length >= VALUES_MAX) break
    const written = text.toString('latin1', start, end)
    const quoted = /^[^']*'([\s\S]*)'$/.exec(written)?.[1]
    const value = quoted ?? /^\$([^$]*)\$([\s\S]*)\$\1\$$/.exec(written)?.[2] ?? written
    if (value.length >= CHARACTERS_MIN) values.push(value, value.replaceAll("''", "'"))
  }
  return values
}

/** Constants of one text that are looked for in what is said of it. */
const VALUES_MAX = 1000
/** Shorter ones are in every text. */
const CHARACTERS_MIN = 3

/** The mask for a parameter, by its number from 1, or null. */
export function parameterMask(
  number: number,
  parameters: StatementMask['parameters'],
): ColumnMask | null {
  return parameters === 'all' ? UNPROVEN : (parameters.get(number) ?? null)
}
