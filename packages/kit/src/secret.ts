/**
 * Secrets of the configuration that are on this machine: named in it, read when they are needed.
 * Refuses to keep what it read; a configuration can therefore be shown, hashed and recorded without one secret in it
 * (except `literal`, meant for demonstrations, which `withoutSecrets` blanks). Those kept in Vault: secrets.ts.
 */
import { readFileSync } from 'node:fs'
import { CustodyError } from './errors'

/** A secret that Custody itself presents to Vault: never written in the configuration. */
export type KeptSecret = { env: string } | { file: string }
export type LocalSecret = { literal: string } | KeptSecret
/** One key of a secret of Vault's KV engine, version 2. */
export interface VaultSecret {
  vault: {
    mount: string
    path: string
    key: string
    /** Where it is not the address of `vault` at the top. */
    address?: string | undefined
    namespace?: string | undefined
  }
}
export type Secret = LocalSecret | VaultSecret

const secretBytesMax = 64 * 1024

/** The secret's value. A trailing line break of a file is not part of it. */
export function readSecret(
  secret: LocalSecret,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  if ('literal' in secret) return secret.literal
  if ('env' in secret) {
    const value = environment[secret.env]
    if (value === undefined || value === '') {
      throw new CustodyError('CUSTODY-CONFIG-003', `environment variable ${secret.env} is not set`)
    }
    return value
  }
  let bytes: Buffer
  try {
    bytes = readFileSync(secret.file)
  } catch (cause) {
    throw new CustodyError('CUSTODY-CONFIG-003', `cannot read the secret file ${secret.file}`, {
      cause,
    })
  }
  if (bytes.length > secretBytesMax) {
    throw new CustodyError(
      'CUSTODY-CONFIG-003',
      `the secret file ${secret.file} has ${bytes.length} bytes, at most ${secretBytesMax} are accepted`,
    )
  }
  return bytes.toString('utf8').replace(/\r?\n$/, '')
}
