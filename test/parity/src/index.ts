/** The comparison of SQL run direct and through Custody: the same bytes, or it says where they differ. And its client. */
export { type Difference, type ParityResult, runParity } from './parity'
export * from './raw'
