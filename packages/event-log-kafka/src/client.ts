/**
 * One client of the cluster: connections by broker and purpose, who leads what, and one request at a time on each. The only
 * file that knows the library beneath; from it come messages' bytes, TLS and SASL, and nothing that retries or caches.
 * Refuses to use a connection again on which a request went unanswered.
 */
import { readFileSync } from 'node:fs'
import {
  CustodyError,
  type KafkaSettings,
  type Logger,
  type Secret,
  type Secrets,
} from '@custody/kit'
import {
  Connection,
  type ConnectionOptions,
  createTopicsV7,
  describeConfigsV4,
  fetchV12,
  findCoordinatorV4,
  heartbeatV4,
  initProducerIdV4,
  joinGroupV7,
  leaveGroupV4,
  listOffsetsV7,
  metadataV12,
  offsetCommitV8,
  offsetFetchV8,
  produceV9,
  protocolErrorsCodesById,
  type ResponseError,
  syncGroupV5,
} from '@platformatic/kafka'
import { AnsweredError, NoAnswerError, PROTOCOL } from './errors'
import { createTokens, type Tokens } from './tokens'

export interface ClientOptions {
  settings: KafkaSettings
  secrets: Secrets
  logger: Logger
  clientId?: string
  /** Shared, so that an authorisation server is not asked for each connection. */
  tokens?: Tokens | null
}

type Wire = Connection

const CONNECT_MS_MAX = 5000
const REQUEST_MS_MAX = 10_000
/** Leaders are asked for again when they are older, or when one says that it is none. */
const METADATA_MS_MAX = 60_000

export interface Outgoing {
  topic: string
  partition: number
  key: Buffer | null
  value: Buffer
  timestampMs: number
  headers?: Map<Buffer, Buffer>
}

export interface Incoming {
  offset: bigint
  key: Buffer | null
  value: Buffer
  timestampMs: number
  headers?: readonly (readonly [Buffer | null, Buffer | null])[]
}

export interface Fetched {
  error: number
  /** Behind the last record that came, whatever of it is left out. */
  next: bigint
  highWatermark: bigint
  /** Where to go on when what was asked for is not there: the partition’s begin. Before it: deleted; behind its end: it is another one. */
  moved: bigint | null
  records: Incoming[]
}

export interface Produced {
  error: number
  base: bigint
}

export class Client {
  private readonly connections = new Map<string, Promise<Wire>>()
  private brokers: { id: number; host: string; port: number }[] = []
  private readonly topics = new Map<string, { leaders: number[]; atMs: number }>()
  private readonly tokens: Tokens | null
  private bootstrapAt = Math.floor(Math.random() * 100)
  private closed = false

  constructor(private readonly o: ClientOptions) {
    this.tokens = o.tokens === undefined ? createTokens(o.settings, o.secrets) : o.tokens
  }

  /** Leader of each partition. Rejects where the topic is not there. */
  async leaders(topic: string): Promise<number[]> {
    const known = this.topics.get(topic)
    if (known && Date.now() - known.atMs < METADATA_MS_MAX) return known.leaders
    const found = await this.metadata([topic])
    const one = found.topics[0]
    if (one?.errorCode !== 0) {
      const code = one?.errorCode ?? PROTOCOL.UNKNOWN_TOPIC_OR_PARTITION
      // LEADER_NOT_AVAILABLE of a topic just made, or of brokers that come up.
      throw answered(code, `topic ${topic}`)
    }
    const leaders: number[] = []
    for (const { partitionIndex, leaderId } of one.partitions) leaders[partitionIndex] = leaderId
    this.topics.set(topic, { leaders, atMs: Date.now() })
    return leaders
  }

  /** Somebody said that what we know is not so any more. */
  forget(topic?: string): void {
    if (topic === undefined) this.topics.clear()
    else this.topics.delete(topic)
  }

  async metadata(topics: string[]) {
    const found = await this.anyBroker((wire) => metadataV12.api.async(wire, topics, false, false))
    if (found.brokers.length > 0)
      this.brokers = found.brokers.map(({ nodeId, host, port }) => ({ id: nodeId, host, port }))
    return found
  }

  async coordinator(group: string): Promise<number> {
    const { coordinators } = await this.anyBroker((wire) =>
      findCoordinatorV4.api.async(wire, 0, [group]),
    )
    const one = coordinators[0]
    if (!one) throw new NoAnswerError('no coordinator')
    if (one.errorCode !== 0) throw answered(one.errorCode, `coordinator of ${group}`)
    if (!this.brokers.some(({ id }) => id === one.nodeId))
      this.brokers.push({ id: one.nodeId, host: one.host, port: one.port })
    return one.nodeId
  }

  async initProducerId(): Promise<{ producerId: bigint; producerEpoch: number }> {
    const found = await this.anyBroker((wire) =>
      initProducerIdV4.api.async(wire, null, 60_000, -1n, -1),
    )
    if (found.errorCode !== 0) throw answered(found.errorCode, 'a producer’s id')
    return found
  }

  /** To one leader; an answer for each partition that was asked, by `topic/partition`. */
  async produce(
    node: number,
    records: Outgoing[],
    producer: {
      producerId: bigint
      producerEpoch: number
      sequences: Map<string, number>
      compression: KafkaSettings['compression']
    },
    msMax: number,
  ): Promise<Map<string, Produced>> {
    const messages = records.map(({ topic, partition, key, value, timestampMs, headers }) => ({
      topic,
      partition,
      value,
      timestamp: BigInt(Math.floor(timestampMs)),
      ...(key && { key }),
      ...(headers && { headers }),
    }))
    const { sequences } = producer
    const found = await this.ask(
      node,
      'produce',
      (wire) =>
        produceV9.api.async(wire, -1, msMax, messages, {
          compression: producer.compression,
          producerId: producer.producerId,
          producerEpoch: producer.producerEpoch,
          sequences: {
            getWithDefault: (at: string, missing: number) => sequences.get(at) ?? missing,
          } as never,
        }),
      msMax + 2000,
    )
    const answers = new Map<string, Produced>()
    if (typeof found === 'boolean') return answers
    for (const { name, partitionResponses } of found.responses)
      for (const { index, errorCode, baseOffset } of partitionResponses)
        answers.set(`${name}/${index}`, { error: errorCode, base: baseOffset })
    return answers
  }

  /** Long poll at one leader. `lane` keeps it off the connections of others. */
  async fetch(
    node: number,
    lane: string,
    topic: string,
    partitions: { partition: number; offset: bigint; bytesMax: number }[],
    o: { waitMs: number; bytesMax: number },
  ): Promise<Map<number, Fetched>> {
    const found = await this.ask(
      node,
      lane,
      (wire) =>
        fetchV12.api.async(
          wire,
          o.waitMs,
          1,
          o.bytesMax,
          0,
          0,
          -1,
          [
            {
              topicId: topic,
              partitions: partitions.map(({ partition, offset, bytesMax }) => ({
                partition,
                currentLeaderEpoch: -1,
                fetchOffset: offset,
                lastFetchedEpoch: -1,
                partitionMaxBytes: bytesMax,
              })),
            },
          ],
          [],
          '',
        ),
      REQUEST_MS_MAX + o.waitMs,
    )
    if (found.errorCode !== 0) throw answered(found.errorCode, `fetch from ${topic}`)
    const asked = new Map(partitions.map(({ partition, offset }) => [partition, offset]))
    const answers = new Map<number, Fetched>()
    for (const one of found.responses[0]?.partitions ?? []) {
      const from = asked.get(one.partitionIndex)
      if (from === undefined) continue
      const records: Incoming[] = []
      let next = from
      for (const batch of one.records ?? []) {
        const { firstOffset, attributes, firstTimestamp, maxTimestamp } = batch
        next = firstOffset + BigInt(batch.lastOffsetDelta) + 1n
        // Of a transaction's end, which others may have written.
        if (attributes & 0x20) continue
        for (const record of batch.records) {
          const offset = firstOffset + BigInt(record.offsetDelta)
          // Batches come whole: what is before was not asked for.
          if (offset < from) continue
          records.push({
            offset,
            key: record.key,
            value: record.value ?? Buffer.alloc(0),
            headers: record.headers,
            timestampMs: Number(
              attributes & 0x08 ? maxTimestamp : firstTimestamp + BigInt(record.timestampDelta),
            ),
          })
        }
      }
      answers.set(one.partitionIndex, {
        error: one.errorCode,
        next: next > from ? next : from,
        highWatermark: one.highWatermark,
        moved: null,
        records,
      })
    }
    await this.findMoved(topic, asked, answers)
    return answers
  }

  /** An answer that an offset is out of range doesn't say what is in range: that is asked for. */
  private async findMoved(
    topic: string,
    asked: ReadonlyMap<number, bigint>,
    answers: ReadonlyMap<number, Fetched>,
  ): Promise<void> {
    const out = [...answers].filter(([, { error }]) => error === PROTOCOL.OFFSET_OUT_OF_RANGE)
    if (out.length === 0) return
    const which = out.map(([partition]) => partition)
    const first = await this.offsets(topic, 'first', which)
    const end = await this.offsets(topic, 'end', which)
    for (const [partition, answer] of out) {
      const at = asked.get(partition)!
      const begin = first.get(partition)
      // In between it is there by now, and whoever asks again gets it.
      if (begin !== undefined && (at < begin || at > (end.get(partition) ?? at)))
        answer.moved = begin
    }
  }

  /** Where partitions begin or end; what can be read, not what is written. */
  async offsets(
    topic: string,
    /** Or the first that is not older than this moment, in ms since 1970; -1 where there is none. */
    at: 'first' | 'end' | number,
    which?: number[],
  ): Promise<Map<number, bigint>> {
    const leaders = await this.leaders(topic)
    const wanted = which ?? leaders.map((_, partition) => partition)
    const byNode = groupBy(wanted, (partition) => leaders[partition] ?? -1)
    const offsets = new Map<number, bigint>()
    for (const [node, partitions] of byNode) {
      const found = await this.ask(node, 'offsets', (wire) =>
        listOffsetsV7.api.async(wire, -1, 0, [
          {
            name: topic,
            partitions: partitions.map((partitionIndex) => ({
              partitionIndex,
              currentLeaderEpoch: -1,
              timestamp: at === 'first' ? -2n : at === 'end' ? -1n : BigInt(Math.floor(at)),
            })),
          },
        ]),
      )
      for (const { partitionIndex, errorCode, offset } of found.topics[0]?.partitions ?? []) {
        if (errorCode !== 0) {
          this.forget(topic)
          throw answered(errorCode, `offsets of ${topic}`)
        }
        offsets.set(partitionIndex, offset)
      }
    }
    return offsets
  }

  async createTopics(
    topics: {
      name: string
      partitions: number
      replicationFactor: number
      configuration: Record<string, string>
    }[],
  ) {
    const { controllerId } = await this.metadata([])
    const { topics: made } = await this.ask(controllerId, 'admin', (wire) =>
      createTopicsV7.api.async(
        wire,
        topics.map(({ name, partitions, replicationFactor, configuration }) => ({
          name,
          numPartitions: partitions,
          replicationFactor,
          assignments: [],
          configs: Object.entries(configuration).map(([key, value]) => ({ name: key, value })),
        })),
        REQUEST_MS_MAX,
        false,
      ),
    )
    return made
  }

  async configurationOf(topics: string[]) {
    const { results } = await this.anyBroker((wire) =>
      describeConfigsV4.api.async(
        wire,
        topics.map((resourceName) => ({
          resourceType: 2 as never,
          resourceName,
          configurationKeys: null,
        })),
        false,
        false,
      ),
    )
    return results
  }

  /** What a group has committed, and what was noted with it. */
  async committed(
    group: string,
    topic: string,
    partitions: number[],
  ): Promise<Map<number, { offset: bigint; metadata: string | null }>> {
    const node = await this.coordinator(group)
    const { groups } = await this.ask(node, 'offsets', (wire) =>
      offsetFetchV8.api.async(
        wire,
        [
          {
            groupId: group,
            memberEpoch: -1,
            topics: [{ name: topic, partitionIndexes: partitions }],
          },
        ],
        false,
      ),
    )
    const one = groups[0]
    if (one?.errorCode !== 0) throw answered(one?.errorCode ?? -1, `what ${group} has committed`)
    const committed = new Map<number, { offset: bigint; metadata: string | null }>()
    for (const at of one.topics[0]?.partitions ?? []) {
      if (at.errorCode !== 0) throw answered(at.errorCode, `what ${group} has committed`)
      if (at.committedOffset >= 0n)
        committed.set(at.partitionIndex, {
          offset: at.committedOffset,
          metadata: at.metadata ?? null,
        })
    }
    return committed
  }

  async commit(
    node: number,
    group: { group: string; generation: number; member: string },
    topic: string,
    partition: number,
    offset: bigint,
    metadata: string,
  ): Promise<number> {
    const { topics } = await this.ask(node, 'group', (wire) =>
      offsetCommitV8.api.async(wire, group.group, group.generation, group.member, null, [
        {
          name: topic,
          partitions: [
            {
              partitionIndex: partition,
              committedOffset: offset,
              committedLeaderEpoch: -1,
              committedMetadata: metadata,
            },
          ],
        },
      ]),
    )
    return topics[0]?.partitions[0]?.errorCode ?? -1
  }

  join(
    node: number,
    o: { group: string; member: string; sessionMs: number; rebalanceMs: number },
    protocol: { name: string; metadata: Buffer },
  ) {
    return this.ask(
      node,
      'join',
      (wire) =>
        joinGroupV7.api.async(
          wire,
          o.group,
          o.sessionMs,
          o.rebalanceMs,
          o.member,
          null,
          'consumer',
          [protocol],
        ),
      o.rebalanceMs + REQUEST_MS_MAX,
    )
  }

  sync(
    node: number,
    o: { group: string; member: string; generation: number; rebalanceMs: number },
    protocol: string,
    assignments: { memberId: string; assignment: Buffer }[],
  ) {
    return this.ask(
      node,
      'join',
      (wire) =>
        syncGroupV5.api.async(
          wire,
          o.group,
          o.generation,
          o.member,
          null,
          'consumer',
          protocol,
          assignments,
        ),
      o.rebalanceMs + REQUEST_MS_MAX,
    )
  }

  async heartbeat(
    node: number,
    o: { group: string; member: string; generation: number },
    msMax: number,
  ): Promise<number> {
    const { errorCode } = await this.ask(
      node,
      'heartbeat',
      (wire) => heartbeatV4.api.async(wire, o.group, o.generation, o.member, null),
      msMax,
    )
    return errorCode
  }

  async leave(node: number, group: string, member: string): Promise<void> {
    await this.ask(
      node,
      'heartbeat',
      (wire) => leaveGroupV4.api.async(wire, group, [{ memberId: member, groupInstanceId: null }]),
      2000,
    )
  }

  close(): void {
    this.closed = true
    for (const one of this.connections.values())
      void one.then(
        (wire) => wire.socket.destroy(),
        () => {},
      )
    this.connections.clear()
  }

  /** The first broker that answers: one known from the cluster, or one of the settings. */
  private async anyBroker<T>(call: (wire: Wire) => Promise<T>): Promise<T> {
    const named = this.o.settings.brokers.map((text) => {
      const at = text.lastIndexOf(':')
      const host = text.slice(0, at).replace(/^\[|\]$/g, '')
      return { host, port: Number(text.slice(at + 1)) }
    })
    const all = [...this.brokers, ...named].filter(
      ({ host, port }, i, list) =>
        list.findIndex((one) => one.host === host && one.port === port) === i,
    )
    let last: unknown
    for (let i = 0; i < all.length; i++) {
      const broker = all[(this.bootstrapAt + i) % all.length]!
      try {
        const answer = await this.askAt(broker, 'any', call, REQUEST_MS_MAX)
        this.bootstrapAt = (this.bootstrapAt + i) % all.length
        return answer
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error
        last = error
      }
    }
    throw last
  }

  private async ask<T>(
    node: number,
    lane: string,
    call: (wire: Wire) => Promise<T>,
    msMax = REQUEST_MS_MAX,
  ): Promise<T> {
    let broker = this.brokers.find(({ id }) => id === node)
    if (!broker && node >= 0) {
      await this.metadata([])
      broker = this.brokers.find(({ id }) => id === node)
    }
    if (!broker) {
      this.forget()
      throw new NoAnswerError(`broker ${node} is not there`)
    }
    try {
      return await this.askAt(broker, lane, call, msMax)
    } catch (error) {
      // It may lead nothing any more.
      if (error instanceof NoAnswerError) this.forget()
      throw error
    }
  }

  private async askAt<T>(
    broker: { host: string; port: number },
    lane: string,
    call: (wire: Wire) => Promise<T>,
    msMax: number,
  ): Promise<T> {
    const key = `${broker.host}:${broker.port}/${lane}`
    let connecting = this.connections.get(key)
    if (!connecting) {
      connecting = this.connect(broker)
      this.connections.set(key, connecting)
      connecting.catch(() => {
        if (this.connections.get(key) === connecting) this.connections.delete(key)
      })
    }
    const wire = await connecting
    let timer: NodeJS.Timeout | undefined
    let gone: (() => void) | undefined
    try {
      return await Promise.race([
        call(wire),
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () => reject(new NoAnswerError(`${broker.host}:${broker.port} does not answer`)),
            msMax,
          )
          gone = () =>
            reject(new NoAnswerError(`the connection to ${broker.host}:${broker.port} broke`))
          wire.once('close', gone)
          if (wire.socket.destroyed) gone()
        }),
      ])
    } catch (error) {
      // An answer with errors in it is an answer; each part of it is looked at where it is needed.
      const { response } = error as ResponseError & { response?: T }
      if (response !== undefined && response !== null && typeof response === 'object')
        return response
      if (this.connections.get(key) === connecting) this.connections.delete(key)
      wire.socket.destroy()
      if (error instanceof NoAnswerError) throw error
      throw new NoAnswerError(
        `${broker.host}:${broker.port}: ${error instanceof Error ? error.message : String(error)}`,
        error,
      )
    } finally {
      clearTimeout(timer)
      if (gone) wire.removeListener('close', gone)
    }
  }

  private async connect(broker: { host: string; port: number }): Promise<Wire> {
    const { sasl } = this.o.settings
    if (this.closed) throw new NoAnswerError('closed')
    if (sasl === undefined) return this.open(broker, undefined)
    if (sasl.mechanism === 'oauthbearer') {
      const token = async () => (await this.tokens?.token()) ?? ''
      try {
        return await this.open(broker, { mechanism: 'OAUTHBEARER', token })
      } catch (error) {
        this.tokens?.refused()
        throw error
      }
    }
    const mechanism = sasl.mechanism.toUpperCase() as 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
    const secret: Secret = sasl.password
    return await this.o.secrets.use(
      secret,
      (password) => this.open(broker, { mechanism, username: sasl.username, password }),
      (error) => ((error as { code?: string }).code === 'CUSTODY-KAFKA-002' ? 'wrong' : null),
    )
  }

  private async open(
    { host, port }: { host: string; port: number },
    sasl: ConnectionOptions['sasl'],
  ): Promise<Wire> {
    const { tls, clientId } = this.o.settings
    const name = tls?.serverName ?? host
    const wire = new Connection(this.o.clientId ?? clientId, {
      connectTimeout: CONNECT_MS_MAX,
      // Ours is shorter, and ends the connection.
      requestTimeout: 2 ** 31 - 1,
      ...(tls && {
        tls: {
          ...(tls.ca && { ca: readFileSync(tls.ca) }),
          ...(tls.certificate && { cert: readFileSync(tls.certificate) }),
          ...(tls.key && { key: readFileSync(tls.key) }),
          minVersion: 'TLSv1.2',
        },
        // An address has no name to ask for; what its certificate says is checked against it all the same.
        ...(!/^[\d.]+$|:/.test(name) && { tlsServerName: name }),
      }),
      ...(sasl && { sasl }),
    })
    // Who waits is told by the request.
    wire.on('error', () => {})
    let timer: NodeJS.Timeout | undefined
    try {
      await Promise.race([
        wire.connect(host, port),
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () => reject(new Error('took too long')),
            CONNECT_MS_MAX + (sasl ? REQUEST_MS_MAX : 0),
          )
        }),
      ])
      if (this.closed) throw new Error('closed')
      return wire
    } catch (error) {
      wire.socket?.destroy()
      const reasons = reasonsOf(error)
      const said = reasons.map(({ message }) => message).join(' ')
      const code = reasons.map((one) => String((one as { code?: unknown }).code)).join(' ')
      if (/AUTHENTICATION|CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_|WRONG_VERSION/.test(code))
        throw new CustodyError(
          'CUSTODY-KAFKA-002',
          `${host}:${port} and Custody don’t accept each other: ${said}`,
          { cause: error },
        )
      throw new NoAnswerError(`${host}:${port} can’t be reached: ${said}`, error)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** An error, those that it gathers and those that caused it, whichever realm they are of. */
function* walk(error: unknown): Generator<Error> {
  if (typeof error !== 'object' || error === null || !('message' in error)) return
  yield error as Error
  const { errors, cause } = error as Partial<AggregateError>
  if (Array.isArray(errors)) for (const one of errors) yield* walk(one)
  yield* walk(cause)
}

function reasonsOf(error: unknown): Error[] {
  return [...walk(error)].slice(0, 10)
}

export function answered(code: number, what: string): AnsweredError {
  const name = (protocolErrorsCodesById as Record<number, string>)[code] ?? `error ${code}`
  return new AnsweredError(code, name, what)
}

export function groupBy<K, T>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}
