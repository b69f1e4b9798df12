/**
 * Reaches and signs in to the target of a resource: by the account that was asked for, with the resource's own key or
 * password, after its host key was found to be the one that it must be (`known-hosts.ts`).
 * Refuses an agent, and to go on with a host key that changed. Never shows a credential.
 */
import {
  CustodyError,
  isCustodyError,
  type Refusal,
  type Secrets,
  type SshResource,
} from '@custody/kit'
import { connectTarget } from '../../upstream'
import { Connection, type ConnectionHandler } from './connection'
import type { HostKeys } from './known-hosts'
import { printable, Transport } from './transport'

interface PrivateKey {
  readonly type: string
  sign(data: Buffer, hash?: string): Buffer | Error
  isPrivateKey(): boolean
}

const { parseKey } = require('ssh2/lib/protocol/keyParser.js') as {
  parseKey(text: string, passphrase?: string): PrivateKey | PrivateKey[] | Error
}

export interface TargetOptions {
  resource: SshResource
  account: string
  software: string
  hostKeys: HostKeys
  connectMsMax: number
  channelsMax: number
  secrets: Secrets
  handler: ConnectionHandler
  /** It is over, after it was signed in to. */
  ended(error: Error | null): void
}

/** The target refused this account's sign-in. */
class RefusedError extends CustodyError {
  constructor(message: string) {
    super('CUSTODY-TARGET-004', message)
  }
}

/** A connection that may open channels. Rejects with a CustodyError. */
export async function signInAtTarget(options: TargetOptions): Promise<Connection> {
  const { resource, secrets } = options
  const refusal = (error: unknown): Refusal | null =>
    error instanceof RefusedError ? 'wrong' : null
  try {
    if (resource.privateKey) {
      const passphrase = resource.passphrase ? await secrets.read(resource.passphrase) : undefined
      return await secrets.use(
        resource.privateKey,
        (text) => attempt(options, { key: readKey(text, passphrase) }),
        refusal,
      )
    }
    if (resource.password)
      return await secrets.use(
        resource.password,
        (password) => attempt(options, { password }),
        refusal,
      )
    return await attempt(options, {})
  } catch (error) {
    throw isCustodyError(error) && /^CUSTODY-(CONFIG|VAULT)-/.test(error.code)
      ? // Where the secret is kept is for the record and the log, not for the client.
        new CustodyError('CUSTODY-SECRET-001', 'the credential for the target can’t be read', {
          cause: error,
          details: { recorded: `${error.code}: ${error.message}` },
        })
      : error
  }
}

function readKey(text: string, passphrase: string | undefined): PrivateKey {
  const parsed = parseKey(text, passphrase)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  // What the parser says may quote the key.
  if (key === undefined || key instanceof Error || !key.isPrivateKey())
    throw new CustodyError('CUSTODY-SECRET-001', 'the credential for the target can’t be read', {
      details: { recorded: 'privateKey is no private key, or passphrase is not its own' },
    })
  return key
}

interface Credential {
  key?: PrivateKey
  password?: string
}

async function attempt(options: TargetOptions, { key, password }: Credential): Promise<Connection> {
  const { resource, account, connectMsMax, hostKeys } = options
  const socket = await connectTarget(resource.address, connectMsMax)
  return new Promise((resolve, reject) => {
    let isSignedIn = false
    let hostKeyProblem: CustodyError | null = null
    const tried: string[] = []
    const failed = (error: Error) => {
      clearTimeout(timer)
      // First: that it is ended is no reason why.
      reject(hostKeyProblem ?? error)
      transport.end()
    }
    const timer = setTimeout(
      () =>
        failed(
          new CustodyError(
            'CUSTODY-TARGET-001',
            `no sign-in at ${resource.address} within ${connectMsMax} ms`,
          ),
        ),
      connectMsMax,
    )
    /** One after the other, of those that the target still takes. */
    const next = (accepted: readonly string[] | null) => {
      const ways: { name: string; method: string; go(): void }[] = []
      const signed = (algorithm: string, hash: string | undefined) => ({
        name: algorithm,
        method: 'publickey',
        go: () =>
          protocol.authPK(account, key, algorithm, (data, done) => {
            const signature = key!.sign(data, hash)
            if (signature instanceof Error) failed(new RefusedError('the private key can’t sign'))
            else done(signature)
          }),
      })
      if (key?.type === 'ssh-rsa')
        ways.push(signed('rsa-sha2-512', 'sha512'), signed('rsa-sha2-256', 'sha256'))
      else if (key) ways.push(signed(key.type, undefined))
      if (password !== undefined)
        ways.push(
          {
            name: 'password',
            method: 'password',
            go: () => protocol.authPassword(account, password),
          },
          {
            name: 'keyboard-interactive',
            method: 'keyboard-interactive',
            go: () => protocol.authKeyboard(account),
          },
        )
      if (ways.length === 0)
        ways.push({ name: 'none', method: 'none', go: () => protocol.authNone(account) })
      const way = ways.find(
        ({ name, method }) =>
          !tried.includes(name) && (accepted === null || accepted.includes(method)),
      )
      if (way === undefined) {
        failed(
          new RefusedError(
            `the target refused the account ${JSON.stringify(account)}${accepted === null ? '' : ` (it takes ${printable(accepted.join(', ')) || 'nothing more'})`}`,
          ),
        )
        return
      }
      tried.push(way.name)
      way.go()
    }
    const transport = new Transport({
      socket,
      software: options.software,
      hostKeyAlgorithms: hostKeys.algorithms,
      verifyHostKey: (presented, self) => {
        hostKeyProblem = hostKeys.verify(presented, self)
        return hostKeyProblem === null
      },
      authentication: {
        SERVICE_ACCEPT: () => next(null),
        USERAUTH_FAILURE: (_: unknown, methods: never) => next(methods as string[]),
        USERAUTH_INFO_REQUEST: (_: unknown, __: never, ___: never, prompts: never) =>
          // The password answers one question that is not shown; nothing else is answered.
          protocol.authInfoRes(
            (prompts as { echo: boolean }[]).map(({ echo }) => (echo ? '' : (password ?? ''))),
          ),
        USERAUTH_PASSWD_CHANGEREQ: () =>
          failed(new RefusedError('the target asks for a new password')),
        USERAUTH_SUCCESS: () => {
          if (isSignedIn) return
          isSignedIn = true
          clearTimeout(timer)
          connection.start()
          resolve(connection)
        },
      },
    })
    const { protocol } = transport
    const connection = new Connection(transport, options.handler, options.channelsMax)
    transport.start({
      ready: () => {
        if (!isSignedIn) protocol.service('ssh-userauth')
      },
      message: (type, payload) => connection.message(type, payload),
      drained: () => connection.drained(),
      ended: (error) => {
        if (!isSignedIn) {
          failed(
            new CustodyError(
              'CUSTODY-TARGET-001',
              `signing in at ${resource.address} failed: ${printable(error?.message ?? 'the target closed the connection')}`,
            ),
          )
          return
        }
        connection.lost()
        options.ended(error)
      },
    })
  })
}
