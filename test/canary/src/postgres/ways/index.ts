/** All ways to read from a PostgreSQL, by group. The lists only grow. */
import { DETECTED_WAYS } from './detected'
import { DRIVERS } from './drivers'
import { EFFECTS } from './effects'
import { PROTOCOL } from './protocol'
import { QUERIES } from './queries'
import { TOLD } from './told'
import type { PostgresWay } from './ways'

export type { PostgresWay } from './ways'

export const WAYS: readonly PostgresWay[] = [
  ...PROTOCOL,
  ...QUERIES,
  ...EFFECTS,
  ...TOLD,
  ...DETECTED_WAYS,
  ...DRIVERS,
]
