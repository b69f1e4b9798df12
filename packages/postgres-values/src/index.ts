/**
 * PostgreSQL values as text, by type and format: for whoever records them and for whoever shows them.
 * Owns no socket and knows no message.
 */
export { decodeValue, typeName, typeOid } from './values'
