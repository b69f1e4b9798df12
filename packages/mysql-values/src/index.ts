/**
 * Pieces of MySQL's and MariaDB's protocol, decoded and made again: values of both protocols, columns, rows, parameters, what
 * ends an answer. For whoever records them, shows them or puts others in their place. Owns no socket and knows no order of packets.
 */
export {
  FormError,
  lenenc,
  lenencSize,
  lenencString,
  NULL_MARK,
  Reader,
  writeLenenc,
} from './bytes'
export {
  BINARY_COLLATION,
  charsetOf,
  decodeText,
  encodeText,
  isAsciiCharset,
  isUtf8Charset,
  UTF8MB4_COLLATION,
} from './charsets'
export { type ColumnDefinition, columnDefinition, readColumn, withNames } from './columns'
export { encodeValue } from './encode'
export {
  ChangeKind,
  changeText,
  type ErrPacket,
  errPacket,
  isEof,
  type OkPacket,
  okPacket,
  PROGRESS_CODE,
  readEof,
  readErr,
  readOk,
  type SessionChange,
  Status,
  settingsChange,
} from './packets'
export {
  type Execution,
  type ExecutionSettings,
  Indicator,
  type Parameter,
  type ParameterType,
  readBulkExecute,
  readExecute,
  readQuery,
} from './parameters'
export { RowPlaces } from './rows'
export {
  binarySize,
  ColumnFlag,
  FieldType,
  isInteger,
  isString,
  kindOf,
  NOT_FIXED,
  typeName,
  typeNamed,
  type ValueKind,
  type ValueType,
} from './types'
export { decodeValue, hex, printable } from './values'
