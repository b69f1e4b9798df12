/**
 * Proves that log, Kafka and store hold the same unbroken sequence of every recorder, and names what does not. Reads only.
 * Can't tell whether the other columns of a row are what was recorded: it compares which events are where, in which order
 * and with which identifier and link to the one before.
 */
export { type Finding, type Problem, type Range, rangesOf } from './compare'
export { type KafkaPlace, readKafka, readLog } from './places'
export {
  type PipelineOptions,
  type PipelineResult,
  type RecorderCounts,
  verifyPipeline,
} from './verify'
