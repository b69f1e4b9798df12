/**
 * The schemas topic: one Avro schema per fingerprint, so that whoever reads events later, or elsewhere, can decode them.
 * Reads all of it once, and what is new when something is not known. Never replaces a schema.
 */
import type { Client } from './client'
import { Backoff, pause } from './pause'
import type { Producer } from './producer'

const FETCH_BYTES_MAX = 4 * 1024 * 1024

export class SchemasTopic {
  private readonly known = new Map<string, string>()
  private at: bigint | null = null

  constructor(
    private readonly client: Client,
    private readonly topic: string,
    private readonly lane: string,
    private readonly signal: AbortSignal,
  ) {}

  async get(fingerprint: string): Promise<string | null> {
    if (!this.known.has(fingerprint)) await this.read()
    return this.known.get(fingerprint) ?? null
  }

  async put(producer: Producer, fingerprint: string, schemaJson: string): Promise<void> {
    if ((await this.get(fingerprint)) !== null) return
    await producer.send([
      {
        topic: this.topic,
        partition: 0,
        key: Buffer.from(fingerprint),
        value: Buffer.from(schemaJson),
        timestampMs: Date.now(),
      },
    ])
    this.known.set(fingerprint, schemaJson)
  }

  /** Up to what is there now. */
  private async read(): Promise<void> {
    const end = (await this.client.offsets(this.topic, 'end')).get(0) ?? 0n
    // Of a topic made anew; what is known stays true.
    if (this.at !== null && this.at > end) this.at = null
    this.at ??= (await this.client.offsets(this.topic, 'first')).get(0) ?? 0n
    const backoff = new Backoff()
    while (this.at < end && !this.signal.aborted) {
      const node = (await this.client.leaders(this.topic))[0] ?? -1
      const answer: Awaited<ReturnType<Client['fetch']>> = await this.client.fetch(
        node,
        this.lane,
        this.topic,
        [{ partition: 0, offset: this.at, bytesMax: FETCH_BYTES_MAX }],
        { waitMs: 100, bytesMax: FETCH_BYTES_MAX },
      )
      const found = answer.get(0)
      if (found && found.moved !== null) {
        const isAnew = found.moved < this.at
        this.at = found.moved
        // Its end is another one then.
        if (isAnew) return await this.read()
        continue
      }
      if (found?.error !== 0) {
        this.client.forget(this.topic)
        await pause(backoff.take(), this.signal)
        continue
      }
      for (const { key, value } of found.records)
        if (key && value.length > 0) this.known.set(key.toString(), value.toString())
      this.at = found.next
    }
  }
}
