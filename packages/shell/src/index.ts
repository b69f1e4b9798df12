/** Shell command lines: what they do, for policies. Pure; runs nothing. */
export { analyseShell, unanalysedShell } from './analyse'
export * from './types'
