/**
 * Schemas beside the log: each recorder's directory has those that its messages were written with, so that whoever reads
 * the log years later, or with an older version, can read them.
 * Refuses to overwrite one: a fingerprint names one schema for ever.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { addSchemaLookup, eventSchema, schemaFingerprint } from '@custody/schemas'

const FINGERPRINT = /^[0-9a-f]{16}$/

function schemaFile(recorderDirectory: string, fingerprint: string): string {
  return join(recorderDirectory, 'schemas', `${fingerprint}.avsc`)
}

/** Before a recorder's first message: the schema that it writes with. */
export function publishSchema(
  recorderDirectory: string,
  fingerprint = schemaFingerprint.toString('hex'),
  schema: string = JSON.stringify(eventSchema),
): void {
  const file = schemaFile(recorderDirectory, fingerprint)
  if (existsSync(file)) return
  mkdirSync(join(recorderDirectory, 'schemas'), { recursive: true, mode: 0o700 })
  const next = `${file}.next`
  const fd = openSync(next, 'w', 0o600)
  try {
    writeFileSync(fd, `${schema}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(next, file)
}

/** JSON of the schema as the recorder published it, or null. */
export function publishedSchema(recorderDirectory: string, fingerprint: string): string | null {
  if (!FINGERPRINT.test(fingerprint)) return null
  try {
    return readFileSync(schemaFile(recorderDirectory, fingerprint), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

const directories = new Set<string>()

/** From here on the codec finds in this directory what it does not know. */
export function learnSchemas(recorderDirectory: string): void {
  if (directories.size === 0)
    addSchemaLookup((fingerprint) => {
      for (const directory of directories) {
        const schema = publishedSchema(directory, fingerprint)
        if (schema !== null) return schema
      }
      return null
    })
  directories.add(recorderDirectory)
}
