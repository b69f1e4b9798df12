/** The first key that is met is the one, for whoever comes at the same time too. */
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import type { SshResource } from '@custody/kit'
import { prepareHome } from '@custody/kit'
import { temporaryDirectory } from '@custody/test-support'
import { hostKeysOf, MetHosts } from './known-hosts'
import { wire } from './numbers'
import type { Transport } from './transport'

const directory = temporaryDirectory('known-hosts')
afterAll(() => directory.remove())

const key = () => {
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  return wire('ssh-ed25519', Buffer.from(x!, 'base64url'))
}
const transport = {} as Transport

test('two that meet a target at once meet the same, or one of them is refused', () => {
  const met = new MetHosts(prepareHome(join(directory.path, 'home')))
  const noted: string[] = []
  const of = () =>
    hostKeysOf({
      name: 'web',
      resource: { address: 'web.internal:22' } as SshResource,
      met,
      noted: (kind) => noted.push(kind),
    })
  const [first, same, other] = [of(), of(), of()]
  const [mine, theirs] = [key(), key()]
  expect(first.verify(mine, transport)).toBeNull()
  expect(same.verify(mine, transport)).toBeNull()
  expect(other.verify(theirs, transport)).toMatchObject({ code: 'CUSTODY-SSH-003' })
  expect(noted).toEqual(['met', 'changed'])
  expect(met.of('web')!.key).toBe(mine.toString('base64'))
  // And so it stays, for those that come later and when keys are exchanged anew.
  expect([of().verify(mine, transport), first.verify(mine, transport)]).toEqual([null, null])
  expect(first.verify(theirs, transport)).toMatchObject({ code: 'CUSTODY-SSH-003' })
})
