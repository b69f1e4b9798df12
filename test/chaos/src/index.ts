/** Faults of every kind under load, and the reckoning afterwards: what was lost, what is there twice, what is out of order. */
export { type Audit, audit, type Entry, type Evidence, holds } from './audit'
export { type ChaosOptions, type ChaosResult, keeps, runChaos } from './chaos'
