/** The `custody` command as a function, for tests, and what it checks of a log. */
export { custody } from './cli'
export { type Finding, type Verification, verifyLog } from './verify'
