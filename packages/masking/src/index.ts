/**
 * Masking: finding what is sensitive in values, and what is put in its place. Pure, and knows no protocol.
 */
export { masked, REDACTED } from './actions'
export { createMasking, type MaskedResource, type Masking, type SessionRules } from './configured'
export {
  type Counts,
  createDetection,
  type Detection,
  type DetectorSettings,
  type Edit,
  TO_NULL,
  type ValueDetector,
} from './detection'
export { compilePatterns, type OwnPattern } from './patterns'
export { type ColumnFacts, type ColumnRule, createRules, type Rules } from './rules'
export {
  createScanner,
  DEFAULT_DETECTORS,
  DETECTORS,
  type DetectorName,
  type Find,
  type Scanner,
} from './scan'
export type { ActionSpec, Kind, ValueType } from './types'
