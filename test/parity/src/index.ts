/** The comparison of SQL run direct and through Custody: the same bytes, or it says where they differ. */
export { type Difference, type ParityResult, runParity } from './parity'
