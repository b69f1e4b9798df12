/**
 * Secrets of the configuration, wherever they are kept. What is on this machine is read anew each time; what is in Vault
 * is kept in memory for `cacheSecondsMax`, and, while Vault does not answer, for `staleSecondsMax` unless its target has
 * refused it. Refuses to use a value after Vault itself has said no, and to write a value anywhere.
 */
import { CustodyError, isCustodyError } from './errors'
import type { Logger } from './logger'
import { readSecret, type Secret, type VaultSecret } from './secret'
import { VaultClient, type VaultSettings } from './vault'

export interface Secrets {
  /** The value to sign in with now. */
  read(secret: Secret): Promise<string>
  /**
   * Signs in with the value. Where the target refuses it and a read past the cache gives another one, signs in once more
   * with that. What one target refuses is not refused for others: `secret` is the one object in its resource's settings.
   */
  use<T>(
    secret: Secret,
    signIn: (value: string) => Promise<T>,
    refusalOf: (error: unknown) => Refusal | null,
  ): Promise<T>
}

/** `wrong`: the value itself was refused. `unclear`: the sign-in was, and what a client asked for may be the reason. */
export type Refusal = 'wrong' | 'unclear'

export interface SecretsOptions {
  logger?: Logger
  environment?: NodeJS.ProcessEnv
  /** Everything that one read may take, a login included. */
  readMsMax?: number
  /** After Vault failed or said no, it is not asked for the same secret again for so long. */
  pauseMs?: number
}

const READ_MS_MAX = 5000
const PAUSE_MS = 1000

interface Kept {
  value: string | null
  readMs: number
  failure: { error: unknown; untilMs: number } | null
  /** Of the last read for a refusal: refused sign-ins must not become a load on Vault. */
  rereadMs: number
  reading: Promise<string> | null
}

export function createSecrets(
  vault: VaultSettings | undefined,
  {
    logger,
    environment = process.env,
    readMsMax = READ_MS_MAX,
    pauseMs = PAUSE_MS,
  }: SecretsOptions = {},
): Secrets {
  const clients = new Map<string, VaultClient>()
  // As many as the configuration names.
  const all = new Map<string, Kept>()
  /** The values that targets have refused, by their resources' settings. */
  const wrong = new WeakMap<VaultSecret, string>()

  return { read, use }

  async function read(secret: Secret): Promise<string> {
    if (!('vault' in secret)) return readSecret(secret, environment)
    const kept = keptOf(secret)
    const known = !isWrong(secret, kept) || Date.now() - kept.rereadMs < pauseMs
    if (kept.value !== null && known && Date.now() - kept.readMs < seconds('cacheSecondsMax'))
      return kept.value
    try {
      return await readVault(secret, kept)
    } catch (error) {
      if (isUnanswered(error) && mayGoOn(kept) && !isWrong(secret, kept)) return kept.value
      throw error
    }
  }

  async function use<T>(
    secret: Secret,
    signIn: (value: string) => Promise<T>,
    refusalOf: (error: unknown) => Refusal | null,
  ): Promise<T> {
    const attempt = async (value: string) => {
      try {
        const signedIn = await signIn(value)
        if ('vault' in secret) wrong.delete(secret)
        return signedIn
      } catch (error) {
        if ('vault' in secret && refusalOf(error) === 'wrong') wrong.set(secret, value)
        throw error
      }
    }
    const value = await read(secret)
    try {
      return await attempt(value)
    } catch (error) {
      const other = refusalOf(error) ? await another(secret, value) : null
      if (other === null) throw error
      return await attempt(other)
    }
  }

  /** Null where there is no other one. Never rejects: the target's refusal is the better thing to show. */
  async function another(secret: Secret, value: string): Promise<string | null> {
    if ('literal' in secret) return null
    try {
      const now = 'vault' in secret ? await reread(secret, value) : readSecret(secret, environment)
      return now === value ? null : now
    } catch (error) {
      logger?.warn({ err: error }, 'a secret that its target refused can’t be read anew')
      return null
    }
  }

  async function reread(secret: VaultSecret, refused: string): Promise<string | null> {
    const kept = keptOf(secret)
    // Somebody else's refusal may have brought the new one already.
    if (kept.value !== refused) return kept.value
    if (kept.reading === null) {
      if (Date.now() - kept.rereadMs < pauseMs) return null
      kept.rereadMs = Date.now()
    }
    return await readVault(secret, kept)
  }

  function isWrong(secret: VaultSecret, kept: Kept): boolean {
    return kept.value !== null && wrong.get(secret) === kept.value
  }

  function mayGoOn(kept: Kept): kept is Kept & { value: string } {
    return kept.value !== null && Date.now() - kept.readMs < seconds('staleSecondsMax')
  }

  function seconds(bound: 'cacheSecondsMax' | 'staleSecondsMax'): number {
    return (vault?.[bound] ?? 0) * 1000
  }

  function keptOf({ vault: at }: VaultSecret): Kept {
    const name = JSON.stringify([at.address, at.namespace, at.mount, at.path, at.key])
    let kept = all.get(name)
    if (!kept) {
      kept = {
        value: null,
        readMs: 0,
        failure: null,
        rereadMs: 0,
        reading: null,
      }
      all.set(name, kept)
    }
    return kept
  }

  /** Everybody who wants the same at the same time waits for one answer. */
  function readVault(secret: VaultSecret, kept: Kept): Promise<string> {
    if (kept.failure && Date.now() < kept.failure.untilMs)
      return Promise.reject(kept.failure.error as Error)
    kept.reading ??= clientOf(secret)
      .read(secret, readMsMax)
      .then(
        (value) => {
          kept.value = value
          kept.readMs = Date.now()
          kept.failure = null
          return value
        },
        (error: unknown) => {
          kept.failure = { error, untilMs: Date.now() + pauseMs }
          warn(secret, kept, error)
          throw error
        },
      )
      .finally(() => {
        kept.reading = null
      })
    return kept.reading
  }

  function warn(secret: VaultSecret, kept: Kept, error: unknown): void {
    const { vault: at } = secret
    // Vault is there and says no: what it said before counts no more.
    if (!isUnanswered(error)) kept.value = null
    const goesOn = mayGoOn(kept) && !isWrong(secret, kept)
    logger?.warn(
      {
        err: error,
        path: `${at.mount}/${at.path}`,
        ageSeconds: goesOn ? Math.round((Date.now() - kept.readMs) / 1000) : null,
      },
      goesOn
        ? 'Vault does not answer; the value that it gave before is used'
        : 'a secret can’t be read from Vault, and there is no value to go on with',
    )
  }

  function clientOf({ vault: at }: VaultSecret): VaultClient {
    if (!vault)
      throw new CustodyError('CUSTODY-CONFIG-002', 'a secret is in Vault, and vault is not set')
    const address = at.address ?? vault.address
    let client = clients.get(address)
    if (!client) {
      client = new VaultClient(vault, address)
      clients.set(address, client)
    }
    return client
  }
}

/** As opposed to being there and saying no. */
function isUnanswered(error: unknown): boolean {
  return isCustodyError(error) && error.code === 'CUSTODY-VAULT-001'
}
