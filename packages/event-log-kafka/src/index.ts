/**
 * The event log in Kafka: fills it from a recorder's local log, empties it in ranges, follows what is to be acted on.
 * Refuses to lose, to reorder within a session, and to go on where it can't know.
 */
export { type Cluster, type ClusterOptions, type ClusterStatus, joinCluster } from './cluster'
export { Duplicates } from './duplicates'
export { createKafka } from './kafka'
export { shipperMetrics } from './metrics'
export { ROUTES, routeOf, topicsFor } from './routing'
export { CONSUMER as KAFKA_CONSUMER } from './shipper'
export { startShipperThread } from './shipper-thread'
export { openTopic, type Topic, type TopicOptions, type TopicRecord } from './topic'
export * from './types'
