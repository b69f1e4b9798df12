/** What of all that is said elsewhere is acted on here. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openReader, openRecorder } from '@custody/event-log'
import { silentLogger } from '@custody/kit'
import { People } from './people'
import { clusterSource } from './people-sources'

/** As the recorder of this name would have said it. */
async function said(recorder: string, kind: string): Promise<Buffer> {
  const directory = mkdtempSync(join(tmpdir(), 'custody-people-'))
  const writer = await openRecorder({ directory, recorder, reserveBytes: 0 })
  try {
    writer.record({ kind })
    await writer.recorded('os')
    const reader = openReader({ directory, recorder })
    const messages: Buffer[] = []
    for (let batch = await reader.read(1 << 20); batch; batch = await reader.read(1 << 20))
      messages.push(...batch.messages)
    reader.close()
    return messages.at(-1)!
  } finally {
    await writer.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

test('what was said before counts only where it holds still, and what no query service said never', async () => {
  const source = clusterSource()
  const people = new People(source, silentLogger())
  const heard: string[] = []
  people.on('session.kill', () => heard.push('kill'))
  people.on('access.locked', () => heard.push('lock'), true)
  people.on('access.locked', () => {
    throw new Error('this one fails')
  })
  people.start()
  const kill = await said('query-a', 'session.kill')
  const lock = await said('query-a', 'access.locked')
  source.say(kill, true)
  source.say(lock, true)
  expect(heard).toEqual(['lock'])
  source.say(kill, false)
  source.say(lock, false)
  expect(heard).toEqual(['lock', 'kill', 'lock'])
  source.say(await said('proxy-a', 'session.kill'), false)
  source.say(Buffer.from('session.kill, and no event'), false)
  expect(heard).toHaveLength(3)
  people.stop()
  source.say(kill, false)
  expect(heard).toHaveLength(3)
})
