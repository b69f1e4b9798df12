/** The canary check: values that must not be seen, every way a protocol has to read them, and everywhere they could be. */
export { runCanary } from './canary'
