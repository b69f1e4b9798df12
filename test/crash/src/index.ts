/** Kill -9 at random moments under load; then the target's own log, the clients' transcript and the record are compared. */
export { type CrashOptions, type CrashResult, runCrash } from './crash'
