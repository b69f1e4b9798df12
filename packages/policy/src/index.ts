/** Policies: loading a set of them, deciding by it. Knows Cedar, and no protocol. */
export * from './approvals'
export * from './decide'
export * from './files'
export * from './policies'
export type { PreApproval, PreApprovedList } from './pre-approved'
