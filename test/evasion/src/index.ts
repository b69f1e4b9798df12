/** The evasion check: statements that try to get past policies, and ordinary ones that must not be in the way. */
export { runEvasion } from './evasion'
