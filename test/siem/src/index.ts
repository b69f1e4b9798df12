/** Delivery to real receivers, compared with the log. */
export { type CheckOptions, type CheckResult, check, FAULTS, type Fault } from './check'
export { type Comparison, compare } from './compare'
export { DESTINATIONS } from './destinations'
export { Exporter } from './exporter'
export { Load, type Logged, logged } from './load'
