/**
 * Where cold files lie: a directory beside the embedded warehouse, or an S3-compatible store. The engine itself writes and
 * reads them; here is how it is told, and what a directory needs besides (files flushed, digests, removal).
 * Refuses nothing; a place that does not work fails when it is written to.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Secrets, WarehouseSettings } from '@custody/kit'
import { literal } from './request'

export type ColdSettings = NonNullable<WarehouseSettings['cold']>

export interface Place {
  /** For people and manifests: never a key. */
  readonly name: string
  /** What must not be in a message. */
  readonly secrets: readonly string[]
  /** `INSERT INTO FUNCTION <target(name, format)> …`. */
  target(name: string, format: string): string
  /** `ENGINE = <engine(name)>` of a table that is that one file. */
  engine(name: string): string
  prepare(name: string): void
  /** After it was written: durable from here on. Bytes and SHA-256 where the file can be read here, else null. */
  finish(name: string): Promise<{ bytes: number; sha256: string } | null>
  /** Whether it could be removed from here. */
  remove(name: string): boolean
}

export async function placeOf(
  cold: ColdSettings,
  secrets: { read: Secrets['read'] },
): Promise<Place> {
  if (cold.disk) return diskPlace(cold.disk)
  const s3 = cold.s3!
  return s3Place(
    `${s3.endpoint.replace(/\/+$/, '')}/${s3.bucket}/${s3.prefix}`,
    await secrets.read(s3.accessKeyId),
    await secrets.read(s3.secretAccessKey),
  )
}

function diskPlace(directory: string): Place {
  const path = (name: string) => join(directory, name)
  return {
    name: directory,
    secrets: [],
    target: (name, format) => `file(${literal(path(name))}, ${format})`,
    engine: (name) => `File(Parquet, ${literal(path(name))})`,
    prepare: (name) => {
      mkdirSync(dirname(path(name)), { recursive: true, mode: 0o700 })
    },
    async finish(name) {
      // The engine writes without flushing, and what is dropped next is nowhere else.
      for (const each of [path(name), dirname(path(name)), dirname(dirname(path(name)))]) {
        const file = openSync(each, 'r')
        try {
          fsyncSync(file)
        } finally {
          closeSync(file)
        }
      }
      const hash = createHash('sha256')
      for await (const chunk of createReadStream(path(name))) hash.update(chunk as Buffer)
      return { bytes: statSync(path(name)).size, sha256: hash.digest('hex') }
    },
    remove(name) {
      rmSync(path(name), { force: true })
      return true
    },
  }
}

function s3Place(base: string, key: string, secret: string): Place {
  const args = (name: string) =>
    `${literal(`${base}/${name}`)}, ${literal(key)}, ${literal(secret)}`
  return {
    name: base,
    secrets: [key, secret],
    target: (name, format) => `s3(${args(name)}, ${literal(format)})`,
    engine: (name) => `S3(${args(name)}, 'Parquet')`,
    prepare: () => {},
    // Complete when the engine's request was answered; what it is of, is asked of the file itself when it is read back.
    finish: async () => null,
    // The engine can't delete objects: the store's own lifecycle rules do, by prefix.
    remove: () => false,
  }
}
