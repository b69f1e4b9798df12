/**
 * The ways in which an SSH client shows who is there (RFC 4252, 4256): a token as password, or as the answer to a question;
 * a person who signs in in a browser while the client waits; a certificate, of Custody's own authority or of one that the
 * settings name; a key that the settings name. Which of them is the client's to say; the user name says nothing of who it is.
 * Refuses signatures that rest on SHA-1, and more attempts than the bounds.
 */
import { verify as verifyWithKey } from 'node:crypto'
import {
  CERTIFICATE_SUFFIX,
  holderOf,
  parseCertificate,
  publicKeyBlob,
  readPublicKey,
  type SshAuthority,
  type UserCertificateTerms,
  verifySignature,
  verifyUserCertificate,
} from '@custody/identity'
import { type Configuration, CustodyError, isCustodyError } from '@custody/kit'
import type { Path } from '@custody/schemas'
import type { CredentialVerifier, Principal } from '../../protocol'
import type { SignInAsked } from '../../sign-ins'
import { fingerprintOf } from './known-hosts'
import { Disconnect, Message, wire } from './numbers'
import type { Transport } from './transport'

const METHODS = ['publickey', 'keyboard-interactive', 'password']
/** Requests of one connection, keys that are only asked about included. */
const REQUESTS_MAX = 50
/** Credentials refused on one connection. */
const REFUSED_MAX = 10
/** Times that somebody is asked in a browser on one connection. */
const QUESTIONS_MAX = 3
const TOKEN_BYTES_MAX = 64 * 1024
const QUESTION = 'Custody token as password, or Enter to sign in by browser: '

/** Who is there, what they may do by their credential alone, and under which user name. */
export interface SignedIn {
  principal: Principal
  /** Null where the credential says nothing of it. */
  terms: UserCertificateTerms | null
  user: string
}

export interface SignInOptions {
  configuration: Configuration
  authority: SshAuthority
  verifier: CredentialVerifier
  /** Asks for somebody to sign in in a browser; recorded once it resolves. */
  ask(): Promise<SignInAsked>
  path: Path
  /** A credential was refused, for this reason. */
  refused(error: unknown): void
  /** Somebody is asked elsewhere: the time for signing in is theirs now. */
  waiting(): void
  /** It came to something or to nothing: the time is the client's again. */
  waited(): void
  /** Who it is; called once. What is to be recorded first is, before `let in`. */
  signedIn(who: SignedIn, letIn: () => void): void
}

interface PublicKey {
  keyAlgo: string
  key: Buffer
  signature?: Buffer
  blob?: Buffer
  hashAlgo?: string
}

export class SignIn {
  private transport: Transport | null = null
  private requests = 0
  private refusals = 0
  private questions = 0
  private isOver = false
  /** The request that is being looked at; a later one takes its place. */
  private current = 0
  private isBusy = false
  private answer: ((responses: string[]) => void) | null = null
  private asked: SignInAsked | null = null
  private readonly authorities: Buffer[]
  private lastError: unknown = null

  constructor(private readonly options: SignInOptions) {
    this.authorities = [
      options.authority.blob,
      ...options.configuration.ssh.userAuthorities.map(({ publicKey }) => publicKeyBlob(publicKey)),
    ]
  }

  /** ssh2's messages of user authentication. */
  handlers(): Record<string, (protocol: unknown, ...values: never[]) => void> {
    return {
      SERVICE_REQUEST: (_, name) => {
        const { transport } = this
        if (name !== 'ssh-userauth' || this.isOver)
          transport!.disconnect(Disconnect.serviceNotAvailable, 'only ssh-userauth comes first')
        else transport!.protocol.serviceAccept(name)
      },
      USERAUTH_REQUEST: (_, user, service, method, data) =>
        this.onRequest(user, service, method, data),
      USERAUTH_INFO_RESPONSE: (_, responses) => {
        const { answer } = this
        this.answer = null
        answer?.(responses)
      },
    }
  }

  begin(transport: Transport): void {
    this.transport = transport
  }

  /** The connection is over. */
  gone(): void {
    this.isOver = true
    this.current++
    this.asked?.withdraw('the client went away')
  }

  /** Why nobody was let in, as far as it went. */
  get failure(): unknown {
    return this.lastError
  }

  private onRequest(user: string, service: string, method: string, data: unknown): void {
    const transport = this.transport!
    // What comes after it is to be passed over (RFC 4252, 5.3).
    if (this.isOver) return
    if (service !== 'ssh-connection') {
      transport.disconnect(Disconnect.serviceNotAvailable, 'only ssh-connection is served')
      return
    }
    if (++this.requests > REQUESTS_MAX) {
      transport.disconnect(Disconnect.noMoreAuthMethods, 'too many attempts to sign in')
      return
    }
    if (this.isBusy) {
      // A question that is put is given up for the next attempt; ssh2 counts it as answered.
      if (this.answer === null && this.asked === null) {
        transport.disconnect(Disconnect.protocolError, 'two attempts to sign in at once')
        return
      }
      this.answer = null
      this.asked?.withdraw('the client tries something else')
      ;(transport.protocol as unknown as { _authsQueue: string[] })._authsQueue.shift()
    }
    const turn = ++this.current
    this.isBusy = true
    const isCurrent = () => turn === this.current && !this.isOver && !transport.isOver
    this.attempt(user, method, data, isCurrent).then(
      (found) => {
        if (!isCurrent()) return
        this.isBusy = false
        if (found !== null) this.letIn(found)
      },
      (error) => {
        if (!isCurrent()) return
        this.isBusy = false
        this.refuse(error)
      },
    )
  }

  /** Null where the client was answered already and goes on. */
  private async attempt(
    user: string,
    method: string,
    data: unknown,
    isCurrent: () => boolean,
  ): Promise<SignedIn | null> {
    switch (method) {
      case 'password':
        if (typeof data !== 'string')
          throw new CustodyError('CUSTODY-ACCESS-001', 'passwords are not changed here')
        return { principal: await this.byToken(data), terms: null, user }
      case 'keyboard-interactive':
        return { principal: await this.byQuestion(isCurrent), terms: null, user }
      case 'publickey':
        return this.byKey(user, data as PublicKey)
      default:
        this.transport!.protocol.authFailure(METHODS, false)
        return null
    }
  }

  private async byToken(presented: string): Promise<Principal> {
    if (presented.length > TOKEN_BYTES_MAX)
      throw new CustodyError('CUSTODY-ACCESS-001', 'a token that is too long')
    return await this.options.verifier.verify(presented.trim())
  }

  private async byQuestion(isCurrent: () => boolean): Promise<Principal> {
    const { protocol } = this.transport!
    const responses = new Promise<string[]>((resolve) => {
      this.answer = resolve
    })
    protocol.authInfoReq('', '', [{ prompt: QUESTION, echo: false }])
    const token = (await responses)[0] ?? ''
    if (token.trim() !== '') return this.byToken(token)
    if (++this.questions > QUESTIONS_MAX)
      throw new CustodyError('CUSTODY-ACCESS-006', 'somebody was asked often enough')
    const asked = await this.options.ask()
    if (!isCurrent()) {
      asked.withdraw('the client went away')
      throw new CustodyError('CUSTODY-ACCESS-006', 'the client went away')
    }
    this.asked = asked
    this.options.waiting()
    // Without a question: clients show the words and say at once that they have.
    protocol.authInfoReq(
      'Custody',
      `Sign in here: ${asked.url}\nThe page shows the code ${asked.code}. This connection waits ${Math.round(asked.waitMsMax / 1000)} seconds for it.`,
      [],
    )
    try {
      return await asked.answered
    } finally {
      this.asked = null
      this.options.waited()
      asked.withdraw('the sign-in came to nothing')
    }
  }

  private async byKey(user: string, presented: PublicKey): Promise<SignedIn | null> {
    const { protocol } = this.transport!
    const isCertificate = presented.keyAlgo.endsWith(CERTIFICATE_SUFFIX)
    const isProbe = presented.signature === undefined
    let found: SignedIn | null
    try {
      found = isCertificate
        ? this.byCertificate(user, presented.key)
        : this.byKnownKey(user, presented)
    } catch (error) {
      if (!isProbe || isCertificate) throw error
      found = null
    }
    if (found === null) {
      // A key that is nobody's is no attempt: agents offer all that they have.
      protocol.authFailure(METHODS, false)
      return null
    }
    if (isProbe) {
      protocol.authPKOK(presented.keyAlgo, presented.key)
      return null
    }
    if (!isSigned(presented, isCertificate))
      throw new CustodyError('CUSTODY-ACCESS-001', 'the signature is not this key’s')
    this.options.verifier.admit?.(found.principal)
    return found
  }

  private byCertificate(user: string, blob: Buffer): SignedIn {
    const refused = (why: string) =>
      new CustodyError('CUSTODY-SSH-001', `the certificate was refused: ${why}`)
    let certificate: ReturnType<typeof parseCertificate>
    try {
      certificate = parseCertificate(blob)
    } catch (error) {
      throw refused((error as Error).message)
    }
    const { configuration, authority, path, verifier } = this.options
    const checked = verifyUserCertificate(
      certificate,
      this.authorities,
      path.clientAddress ?? '',
      Date.now(),
    )
    if (checked.problem !== null) throw refused(checked.problem)
    let principal: Principal | null
    if (certificate.authority.equals(authority.blob)) principal = holderOf(certificate)
    else {
      const other = configuration.ssh.userAuthorities.find(({ publicKey }) =>
        publicKeyBlob(publicKey).equals(certificate.authority),
      )!
      const known = certificate.principals.filter((one) => Object.hasOwn(other.principals, one))
      if (known.length > 1 && new Set(known.map((one) => other.principals[one]!.subject)).size > 1)
        throw refused('its principals are several identities')
      const identity = known.length > 0 ? other.principals[known[0]!]! : null
      principal = identity && {
        who: {
          ...identityOf(identity, other.issuer, 'ssh-certificate'),
          // Authorities that number nothing number everything 0: then the key is what can be revoked.
          tokenId: `${other.issuer}#${certificate.serial || fingerprintOf(certificate.key)}`,
        },
        expiresMs:
          certificate.validBefore > BigInt(Number.MAX_SAFE_INTEGER)
            ? null
            : Number(certificate.validBefore) * 1000,
      }
    }
    if (principal === null) throw refused('it is nobody’s who is known here')
    const barred = verifier.standing?.(principal.who, principal.madeOf)
    if (barred) throw barred
    return { principal, terms: checked.terms, user }
  }

  private byKnownKey(user: string, { key }: PublicKey): SignedIn | null {
    const { configuration } = this.options
    const found = configuration.ssh.publicKeys.find(({ publicKey }) =>
      publicKeyBlob(publicKey).equals(key),
    )
    if (found === undefined) return null
    return {
      principal: {
        who: identityOf(found, `custody:${configuration.gateway}`, 'ssh-key'),
        expiresMs: null,
      },
      terms: null,
      user,
    }
  }

  private letIn(found: SignedIn): void {
    this.isOver = true
    const transport = this.transport!
    this.options.signedIn(found, () => {
      if (!transport.isOver) transport.protocol.authSuccess()
    })
  }

  private refuse(error: unknown): void {
    const transport = this.transport!
    this.lastError = error
    this.options.refused(error)
    if (++this.refusals >= REFUSED_MAX) {
      transport.disconnect(Disconnect.noMoreAuthMethods, 'too many credentials were refused')
      return
    }
    // The protocol has no words for why; clients show a banner.
    const words = isCustodyError(error)
      ? `custody: ${error.message} (${error.code})\r\n`
      : 'custody: the credential was not understood (CUSTODY-ACCESS-001)\r\n'
    transport.send(wire({ byte: Message.userauthBanner }, words, ''))
    transport.protocol.authFailure(METHODS, false)
  }
}

function identityOf(
  identity:
    | Configuration['ssh']['publicKeys'][number]
    | Configuration['ssh']['userAuthorities'][number]['principals'][string],
  issuer: string,
  method: string,
): Principal['who'] {
  return {
    subject: identity.subject,
    issuer,
    email: identity.email ?? null,
    name: null,
    groups: identity.groups,
    kind: identity.kind,
    method,
    tokenId: null,
    authenticatedAt: null,
    onBehalfOf: [],
  }
}

/** ssh2 hands certificates' signatures on as they came, and others without their format, ECDSA's as DER. */
function isSigned(presented: PublicKey, isCertificate: boolean): boolean {
  const { key, blob, signature, hashAlgo } = presented
  if (signature === undefined || blob === undefined) return false
  if (isCertificate) return verifySignature(parseCertificate(key).key, blob, signature)
  try {
    const { type, key: known } = readPublicKey(key)
    if (type === 'ssh-ed25519') return verifyWithKey(null, blob, known, signature)
    if (type === 'ssh-rsa')
      return hashAlgo !== undefined && verifyWithKey(hashAlgo, blob, known, signature)
    const hash = { '256': 'sha256', '384': 'sha384', '521': 'sha512' }[type.slice(-3)]
    return hash !== undefined && verifyWithKey(hash, blob, known, signature)
  } catch {
    return false
  }
}
