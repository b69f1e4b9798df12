/** Locks and revoked tokens that come from other hosts, in the order of all of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Home, prepareHome } from '@custody/kit'
import { type Event, newUuid, nowMicros } from '@custody/schemas'
import { createTokenVerifier, issueToken, Locks, loadTokenKeys, Standing } from '.'

let directory: string
let home: Home
let standing: Standing

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-standing-'))
  home = prepareHome(directory)
  standing = new Standing(home)
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const said = (kind: string, attributes: Record<string, string>, more: Partial<Event> = {}) =>
  ({
    id: newUuid(),
    time: nowMicros(),
    kind,
    who: { subject: 'admin' },
    access: null,
    lifecycle: { state: 'changed', attributes },
    ...more,
  }) as unknown as Event

const locked = (identity: string) => said('access.locked', { identity, reason: 'left' })
const unlocked = (identity: string) => said('access.unlocked', { identity })
const names = () => Object.keys(new Locks(home).all()).sort()

test('what was before counts once all of it is heard, the last word of each', () => {
  for (const event of [locked('ada'), locked('Bob'), unlocked('ada'), locked('eve')])
    standing.hear(event)
  expect(names()).toEqual([])
  standing.settle()
  expect(names()).toEqual(['bob', 'eve'])
  expect(new Locks(home).of({ subject: 'BOB', email: null })).toMatchObject({
    by: 'admin',
    reason: 'left',
  })
  standing.hear(unlocked('bob'))
  expect(names()).toEqual(['eve'])
})

test('what was said here is the last word until it comes round', async () => {
  standing.settle()
  const locks = new Locks(home)
  let id: Buffer | undefined
  const lock = { by: 'me', reason: null, since: '2026-01-01T00:00:00.000Z' }
  // From elsewhere, and still on its way here.
  const older = unlocked('ada')
  await locks.say('ada', lock, true, async (said) => {
    id = said
  })
  standing.hear(older)
  expect(names()).toEqual(['ada'])
  standing.hear({ ...locked('ada'), id: id! })
  standing.hear(unlocked('ada'))
  expect(names()).toEqual([])
})

test('an unlock said here holds against an older lock that is heard again', async () => {
  const older = locked('ada')
  standing.hear(older)
  standing.settle()
  let id: Buffer | undefined
  await new Locks(home).say('ada', null, true, async (said) => {
    id = said
  })
  expect(names()).toEqual([])
  const again = new Standing(home)
  again.hear(older)
  again.settle()
  expect(names()).toEqual([])
  again.hear({ ...unlocked('ada'), id: id! })
  again.hear(locked('ada'))
  expect(names()).toEqual(['ada'])
})

test('what was said here and never comes round gives way to what was said later, before the start or after', async () => {
  standing.settle()
  const lock = { by: 'me', reason: null, since: '2026-01-01T00:00:00.000Z' }
  // The process ends between noting the word and recording it: nothing of it is ever heard.
  for (const name of ['ada', 'bob'])
    void new Locks(home).say(name, lock, true, () => new Promise<void>(() => {}))
  // Recorded and shipped, but not heard any more; by the next start a later word is kept in its place.
  await new Locks(home).say('eve', lock, true, async () => {})
  expect(names()).toEqual(['eve'])
  const again = new Standing(home)
  again.hear(unlocked('eve'))
  again.settle()
  expect(names()).toEqual([])
  for (const event of [locked('ada'), locked('bob'), locked('eve')]) again.hear(event)
  expect(names()).toEqual(['ada', 'bob', 'eve'])
  again.hear(unlocked('ada'))
  expect(names()).toEqual(['bob', 'eve'])
})

test('what comes round behind a later word of elsewhere counts: all hosts heard it last', async () => {
  standing.settle()
  let id: Buffer | undefined
  const lock = { by: 'me', reason: null, since: '2026-01-01T00:00:00.000Z' }
  await new Locks(home).say('ada', lock, true, async (said) => {
    id = said
  })
  standing.hear(unlocked('ada'))
  expect(names()).toEqual([])
  standing.hear({ ...locked('ada'), id: id! })
  expect(names()).toEqual(['ada'])
})

test('heard before recording has returned, or not recorded at all, it leaves nothing behind', async () => {
  standing.settle()
  const locks = new Locks(home)
  const lock = { by: 'me', reason: null, since: '2026-01-01T00:00:00.000Z' }
  await locks.say('ada', lock, true, async (id) => standing.hear({ ...locked('ada'), id }))
  standing.hear(unlocked('ada'))
  expect(names()).toEqual([])
  await expect(
    locks.say('bob', lock, true, async () => {
      throw new Error('the log is full')
    }),
  ).rejects.toThrow('full')
  expect(names()).toEqual([])
  standing.hear(locked('bob'))
  expect(names()).toEqual(['bob'])
})

test('of what was before, tokens that have ended are not held until all is heard', () => {
  const held = () => (standing as unknown as { before: Event[] }).before.map(({ kind }) => kind)
  const token = (kind: string, expires: number | null, time = nowMicros()) =>
    said(kind, {}, { time: time as never, access: { tokenId: 't', expires } as never })
  const day = 86_400e6
  standing.hear(token('access.sign-out', nowMicros() - 1e6))
  standing.hear(token('access.token-revoked', null, nowMicros() - 2 * day))
  // A lock does not end with the token of who locked.
  standing.hear(said('access.locked', { identity: 'ada' }, { access: { expires: 1 } as never }))
  standing.hear(token('access.token-revoked', null))
  standing.hear(token('access.sign-out', nowMicros() + day))
  expect(held()).toEqual(['access.locked', 'access.token-revoked', 'access.sign-out'])
})

test('a revoked token is refused here, one that signed out alone, and what is over is not kept', async () => {
  const keys = await loadTokenKeys(home, 'local')
  const verifier = await createTokenVerifier(home, { gateway: 'local' })
  const one = await issueToken(keys, { subject: 'ada' })
  const made = await issueToken(keys, { subject: 'ada', madeOf: one.id })
  const revoked = (kind: string, tokenId: string, expires: number | null) =>
    said(kind, {}, { access: { tokenId, expires } as never })
  standing.settle()
  standing.hear(revoked('access.sign-out', one.id, nowMicros() + 60e6))
  await expect(verifier.verify(one.token)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-004' })
  await verifier.verify(made.token)
  standing.hear(revoked('access.token-revoked', one.id, null))
  await expect(verifier.verify(made.token)).rejects.toMatchObject({ code: 'CUSTODY-TOKEN-004' })
  const other = await issueToken(keys, { subject: 'bob' })
  standing.hear(revoked('access.token-revoked', other.id, nowMicros() - 1e6))
  await verifier.verify(other.token)
})
