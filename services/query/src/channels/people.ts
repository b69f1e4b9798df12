/**
 * Who somebody at a channel is: by the configuration, or by the last sign-in with that e-mail address.
 * Refuses who is in neither, whose last sign-in is too long ago, and who is locked.
 * An identity found here says by its `method` that a channel vouches for it, so that an answer never makes groups young again.
 */
import type { Locks } from '@custody/identity'
import { type ApprovalSettings, CustodyError } from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { Store } from '../store'

/** What a channel knows of who spoke: an e-mail address that it vouches for, or an identifier of its own. */
export interface Spoken {
  email?: string | null
  slack?: string
  jira?: string
}

export interface Person {
  who: Who
  /** Known by subject and issuer, and not by an e-mail address alone. */
  isIdentity: boolean
}

/** So far back it is looked for under which subject somebody signed in. */
const LOCK_DAYS = 30

export interface People {
  /** Rejects with a CustodyError where nobody is meant. */
  find(spoken: Spoken, by: string): Promise<Person>
  /** Those of the configuration. */
  listed(): Person[]
}

export function createPeople(o: {
  settings: ApprovalSettings
  gateway: string
  store: Pick<Store, 'lastIdentity'>
  locks: Pick<Locks, 'of'>
  /** Why somebody may not act now, or null. */
  standing(who: Who): CustodyError | null
}): People {
  const { people, groupsHoursMax } = o.settings

  const personOf = (listed: ApprovalSettings['people'][number], by: string): Person => ({
    who: {
      subject: listed.subject ?? listed.email,
      issuer: listed.issuer ?? `custody:${o.gateway}`,
      email: listed.email,
      name: null,
      groups: listed.groups,
      kind: 'human',
      method: `channel:${by}`,
      tokenId: null,
      authenticatedAt: null,
      onBehalfOf: [],
    },
    isIdentity: listed.subject !== undefined,
  })

  /** A lock may name the subject of somebody who is listed by an address alone. */
  async function lockOf(who: Who, email: string | null): Promise<boolean> {
    const names = [who, { subject: email ?? who.subject, email }]
    if (who.email !== null && who.subject === who.email) {
      const since = Math.floor((Date.now() - LOCK_DAYS * 86_400_000) * 1000)
      const seen = await o.store.lastIdentity(who.email.toLowerCase(), since)
      if (seen !== null) names.push(seen)
    }
    return names.some((one) => o.locks.of(one) !== null)
  }

  async function found(spoken: Spoken, by: string): Promise<Person> {
    const email = spoken.email?.trim().toLowerCase() || null
    const listed = people.find(
      (one) =>
        (spoken.slack !== undefined && one.slack === spoken.slack) ||
        (spoken.jira !== undefined && one.jira === spoken.jira) ||
        (email !== null && one.email.toLowerCase() === email),
    )
    if (listed) return personOf(listed, by)
    if (email === null)
      throw unknown(
        `${spoken.slack ?? spoken.jira ?? 'somebody'}: the channel gives no e-mail address`,
      )
    const since = (Date.now() - groupsHoursMax * 3_600_000) * 1000
    const seen = await o.store.lastIdentity(email, Math.floor(since))
    if (seen === null)
      throw unknown(`${email} did not sign in within ${groupsHoursMax} hours, and is not listed`)
    return {
      who: { ...seen, method: `channel:${by}`, tokenId: null },
      isIdentity: true,
    }
  }

  return {
    async find(spoken, by) {
      const person = await found(spoken, by)
      const refused = o.standing(person.who)
      if (refused) throw refused
      if (await lockOf(person.who, spoken.email?.trim().toLowerCase() || null))
        throw new CustodyError(
          'CUSTODY-TOKEN-005',
          `${person.who.email ?? person.who.subject} is locked`,
        )
      return person
    },
    listed: () => people.map((one) => personOf(one, 'list')),
  }
}

const unknown = (message: string) => new CustodyError('CUSTODY-CHANNEL-005', message)
