/**
 * What can go wrong with Kafka, in our words: which code it gets, and whether trying again can help.
 */
import { CustodyError, isCustodyError } from '@custody/kit'

/** Kafka's own numbers that are told apart here. */
export const PROTOCOL = {
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  MESSAGE_TOO_LARGE: 10,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  RECORD_LIST_TOO_LARGE: 18,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER_ID: 25,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  TOPIC_ALREADY_EXISTS: 36,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  DUPLICATE_SEQUENCE_NUMBER: 46,
  INVALID_PRODUCER_EPOCH: 47,
  UNKNOWN_PRODUCER_ID: 59,
  MEMBER_ID_REQUIRED: 79,
  FENCED_INSTANCE_ID: 82,
} as const

/** Kafka's answer was a number other than 0. */
export class AnsweredError extends Error {
  constructor(
    readonly answer: number,
    readonly answerName: string,
    what: string,
  ) {
    super(`${what}: ${answerName}`)
    this.name = 'AnsweredError'
  }
}

/** No answer: connecting failed, the connection broke, or it took too long. What was asked may have been done. */
export class NoAnswerError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'NoAnswerError'
  }
}

/** What was asked to stop has stopped. */
export class StoppedError extends Error {
  constructor() {
    super('stopped')
    this.name = 'StoppedError'
  }
}

const REFUSED = new Set<number>([
  PROTOCOL.TOPIC_AUTHORIZATION_FAILED,
  PROTOCOL.GROUP_AUTHORIZATION_FAILED,
  PROTOCOL.CLUSTER_AUTHORIZATION_FAILED,
])

/** The error as people see it. */
export function inOurWords(error: unknown): CustodyError {
  if (isCustodyError(error)) return error
  if (error instanceof AnsweredError) {
    const { answer, message } = error
    if (REFUSED.has(answer)) return new CustodyError('CUSTODY-KAFKA-002', message, { cause: error })
    if (answer === PROTOCOL.UNKNOWN_TOPIC_OR_PARTITION)
      return new CustodyError('CUSTODY-KAFKA-003', message, { cause: error })
    if (answer === PROTOCOL.MESSAGE_TOO_LARGE || answer === PROTOCOL.RECORD_LIST_TOO_LARGE)
      return new CustodyError('CUSTODY-KAFKA-004', message, { cause: error })
    if (
      answer === PROTOCOL.NOT_ENOUGH_REPLICAS ||
      answer === PROTOCOL.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    )
      return new CustodyError('CUSTODY-KAFKA-005', message, { cause: error })
  }
  if (error instanceof Error && (error as { code?: unknown }).code === 'CUSTODY-LOG-002')
    return new CustodyError('CUSTODY-KAFKA-008', error.message, { cause: error })
  return new CustodyError(
    'CUSTODY-KAFKA-001',
    error instanceof Error ? error.message : String(error),
    { cause: error },
  )
}
