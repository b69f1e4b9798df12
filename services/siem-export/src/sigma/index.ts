/** Sigma rules evaluated on the stream; docs/reference/siem-rules.md has the subset. */
export { createSigma, type Detection, loadRules, type Sigma, type SigmaOptions } from './engine'
export { parseRules, type Rule, SigmaError } from './rule'
