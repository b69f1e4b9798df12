/**
 * Terminals: what was typed into them, what they show, and their recordings (asciicast). Pure; knows neither SSH nor any
 * other protocol that carries one.
 */
export * from './asciicast'
export { createStreamMasker, STREAM_MASKER_LIMITS } from './masker'
export { createTerminalRecorder } from './recorder'
export { Screen } from './screen'
export { createTextMasker, TEXT_MASKER_LIMITS } from './text-masker'
export * from './types'
