/**
 * Clients without a credential, whose people sign in elsewhere: each gets a code, and waits until somebody who is signed in
 * in a browser says that it is theirs. Asking and answering are events; nothing that waits outlives the process.
 * Refuses to let anybody in whom nobody vouched for, and more waiting than the bound.
 */
import { createHash, randomInt } from 'node:crypto'
import type { Recorder } from '@custody/event-log'
import { CustodyError } from '@custody/kit'
import { type Event, newUuid, type Path, uuidText } from '@custody/schemas'
import type { People } from './people'
import type { CredentialVerifier, Principal } from './protocol'

/** Without vowels and what looks like something else: no words, no mistakes. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const CODE_LETTERS = 8

export interface SignInsOptions {
  recorder: Recorder
  people: People
  verifier: CredentialVerifier
  /** Where people open pages; null where nobody has said yet. */
  consoleUrl(): string | null
  waitingMax: number
  waitMsMax: number
}

export interface SignInAsked {
  /** `BCDF-GHJK`, as people compare and type it. */
  code: string
  url: string
  waitMsMax: number
  /** Rejects with a CustodyError where it does not come to that. */
  answered: Promise<Principal>
  /** The client is gone, or the gateway stops. */
  withdraw(reason: string): void
}

interface Waiting {
  /** Where its client is: no one place may take all. */
  address: string
  resolve(principal: Principal): void
  end(error: CustodyError): void
}

export class SignIns {
  private readonly waiting = new Map<string, Waiting>()

  constructor(private readonly options: SignInsOptions) {
    options.people.on('access.sign-in-answered', (event) => this.hear(event))
  }

  /** `user`: whom the client says that it is; empty: whoever signs in. */
  ask(path: Path, user: string): SignInAsked {
    const { recorder, people, waitMsMax, waitingMax } = this.options
    const base = this.options.consoleUrl()
    if (base === null)
      throw new CustodyError('CUSTODY-ACCESS-006', 'signing in by browser needs the console')
    const address = path.clientAddress ?? ''
    const here = [...this.waiting.values()].filter((one) => one.address === address).length
    if (this.waiting.size >= waitingMax || here >= Math.ceil(waitingMax / 4))
      throw new CustodyError('CUSTODY-ACCESS-006', 'too many clients wait for a sign-in already')
    const id = newUuid()
    const name = uuidText(id)
    const letters = Array.from({ length: CODE_LETTERS }, () => LETTERS[randomInt(LETTERS.length)])
    const plain = letters.join('')
    const code = `${plain.slice(0, 4)}-${plain.slice(4)}`
    recorder.record({
      id,
      kind: 'access.sign-in-asked',
      path,
      access: { action: 'sign-in', outcome: 'waiting', credential: 'browser' },
      // Who reads events is not who waits.
      lifecycle: {
        state: 'opened',
        attributes: { code: createHash('sha256').update(plain).digest('hex'), user },
      },
    })
    const release = people.wait()
    let timer: NodeJS.Timeout | undefined
    const answered = new Promise<Principal>((resolve, reject) => {
      const over = () => {
        clearTimeout(timer)
        release()
        return this.waiting.delete(name)
      }
      const end = (error: CustodyError) => {
        if (over()) reject(error)
      }
      this.waiting.set(name, {
        address,
        resolve: (principal) => {
          if (over()) resolve(principal)
        },
        end,
      })
      timer = setTimeout(
        () => end(new CustodyError('CUSTODY-ACCESS-006', 'nobody signed in in time')),
        waitMsMax,
      )
    })
    // Whoever asked may have gone before it came to listening.
    answered.catch(() => {})
    return {
      code,
      url: `${base}/activate?code=${code}`,
      waitMsMax,
      answered,
      withdraw: (reason) =>
        this.waiting.get(name)?.end(new CustodyError('CUSTODY-ACCESS-006', reason)),
    }
  }

  stop(): void {
    for (const one of [...this.waiting.values()])
      one.end(new CustodyError('CUSTODY-ACCESS-003', 'the gateway is stopping'))
  }

  private hear({ parent, who, access, lifecycle }: Event): void {
    const one = parent ? this.waiting.get(uuidText(parent)) : undefined
    if (one === undefined || !who || !access) return
    if (access.outcome !== 'success') {
      // By whom is in the record; who is turned away may be anybody.
      one.end(new CustodyError('CUSTODY-ACCESS-006', 'somebody turned it away'))
      return
    }
    const { madeOf } = lifecycle?.attributes ?? {}
    const refused = this.options.verifier.standing?.(who, madeOf)
    if (refused) {
      one.end(new CustodyError('CUSTODY-ACCESS-001', refused.message))
      return
    }
    one.resolve({
      // Signing the browser out is no reason to end this; revoking what it signed in with is.
      who: { ...who, method: 'browser', tokenId: null },
      expiresMs: access.expires == null ? null : Number(access.expires) / 1000,
      madeOf: [madeOf, who.tokenId].filter(Boolean).join(' '),
    })
  }
}
