/** Every way to read, by group. */
import { DETECTED_WAYS } from './detected'
import { DRIVERS } from './drivers'
import { EFFECTS } from './effects'
import { WAYS_OF_MYSQL } from './of-mysql'
import { QUERIES } from './queries'
import { TOLD } from './told'
import type { MysqlWay } from './ways'
import { WORDS } from './words'

export type { MysqlWay }
export { WAYS_OF_MYSQL }

export const WAYS: readonly MysqlWay[] = [
  ...QUERIES,
  ...WORDS,
  ...EFFECTS,
  ...DETECTED_WAYS,
  ...DRIVERS,
  ...TOLD,
]
