/**
 * Links that answer for one addressee about one request: sealed with AES-256-GCM under a key of this installation, so that
 * nobody else can make one, and that they say nothing to who sees them pass.
 * Refuses links that it did not make. Whether one was used, or its request has ended, is asked elsewhere.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CustodyError, type Home, writeFileAtomic } from '@custody/kit'
import { uuidBytes, uuidText } from '@custody/schemas'

export interface Link {
  channel: string
  request: string
  email: string
}

export interface Links {
  seal(link: Link): string
  /** Throws where it is none of ours. */
  open(token: string): Link
}

const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16
const TOKEN_CHARACTERS_MAX = 1024
const CIPHER = 'aes-256-gcm'

export const deadLink = (message: string) => new CustodyError('CUSTODY-CHANNEL-004', message)

export function createLinks(home: Home): Links {
  const key = keyOf(home)
  return {
    seal({ channel, request, email }) {
      const iv = randomBytes(IV_BYTES)
      const cipher = createCipheriv(CIPHER, key, iv)
      const sealed = Buffer.concat([
        cipher.update(uuidBytes(request)),
        cipher.update(`${channel}\0${email}`),
        cipher.final(),
      ])
      return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')
    },
    open(token) {
      if (!/^[A-Za-z0-9_-]+$/.test(token) || token.length > TOKEN_CHARACTERS_MAX)
        throw deadLink('the link is none of ours')
      const bytes = Buffer.from(token, 'base64url')
      try {
        const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), {
          authTagLength: TAG_BYTES,
        })
        decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
        const opened = Buffer.concat([
          decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)),
          decipher.final(),
        ])
        const [channel, email] = opened.toString('utf8', 16).split('\0')
        return { request: uuidText(opened.subarray(0, 16)), channel: channel!, email: email! }
      } catch {
        throw deadLink('the link is none of ours')
      }
    },
  }
}

function keyOf(home: Home): Buffer {
  const path = join(home.keys, 'approval-links.key')
  if (!existsSync(path)) writeFileAtomic(path, `${randomBytes(KEY_BYTES).toString('hex')}\n`, 0o600)
  return Buffer.from(readFileSync(path, 'utf8').trim(), 'hex')
}
