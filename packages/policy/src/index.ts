/** Policies: loading a set of them, deciding by it. Knows Cedar, and no protocol. */
export * from './decide'
export * from './policies'
