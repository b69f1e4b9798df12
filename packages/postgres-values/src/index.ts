/**
 * PostgreSQL values as text, by type and format, and as bytes again: for whoever records them, shows them or puts others in
 * their place. Owns no socket and knows no message.
 */
export { encodeValue } from './encode'
export { typeName, typeOid, type ValueKind, type ValueTypeInformation, valueTypeOf } from './types'
export { decodeHstore, decodeRecord, decodeValue } from './values'
