/** `custody siem` against what an exporter leaves in its home: here its files without it, and one that answers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { type Home, prepareHome } from '@custody/kit'
import { StateFiles, siemDirectory } from '@custody/siem-state'
import { custody } from './cli'

let home: Home
beforeEach(() => {
  home = prepareHome(mkdtempSync(join(tmpdir(), 'custody-siem-cli-')))
  writeFileSync(
    join(home.directory, 'custody.yaml'),
    `siem: {destinations: {here: {type: syslog, address: 'h:1'}, added: {type: syslog, address: 'h:2'}}}\n`,
  )
  mkdirSync(join(siemDirectory(home), 'removed'), { recursive: true })
})
afterEach(() => rmSync(home.directory, { recursive: true }))

function exporter(pid: number, atMs = Date.now()): void {
  const one = {
    ...{ type: 'syslog', counts: { acknowledged: 7 }, problem: null, lastAcknowledgedMs: null },
    ...{ lastTimeMicros: null, lag: [], deadLetters: 0, ranges: [] },
  }
  writeFileSync(
    join(siemDirectory(home), 'status.json'),
    JSON.stringify({ pid, atMs, destinations: { here: one } }),
  )
}

async function siem(...words: string[]): Promise<{ code: number; out: string }> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  let out = ''
  for (const stream of Object.values(streams))
    stream.on('data', (data) => {
      out += data
    })
  const environment = {
    CUSTODY_HOME: home.directory,
    CUSTODY_CONFIG: join(home.directory, 'custody.yaml'),
  }
  const code = await custody(['siem', ...words], { ...streams, environment }, home.directory)
  await new Promise((resolve) => setImmediate(resolve))
  return { code, out }
}

const requests = (name: string) => new StateFiles(siemDirectory(home), name).asked()

test('what no exporter would take is refused at once, and not left for one to come', async () => {
  const send = ['send', 'here', '--from', '2h']
  expect((await siem(...send)).out).toMatch(/no exporter has run/)
  exporter(2 ** 30)
  expect((await siem(...send)).out).toMatch(/does not run; nothing was asked/)
  exporter(process.pid, Date.now() - 60_000)
  expect((await siem(...send)).out).toMatch(/does not run; nothing was asked/)
  exporter(process.pid)
  for (const name of ['removed', 'added']) {
    const { code, out } = await siem('reconcile', name, '--from', '2h')
    expect([code, out]).toEqual([1, expect.stringMatching(/sends to no destination/)])
  }
  expect((await siem('send', 'other', '--from', '2h')).out).toMatch(
    /there is no destination other; there are here, added/,
  )
  expect(requests('here')).toBeNull()
  expect(requests('removed')).toBeNull()
})

test('an exporter that runs is asked, and its answer told; dead letters need none', async () => {
  expect((await siem('dead-letters', 'removed')).out).toBe('Nothing lies aside.\n')
  exporter(process.pid)
  const files = new StateFiles(siemDirectory(home), 'here')
  const asking = siem('send', 'here', '--from', '2h')
  let asked = files.asked()
  while (asked === null) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    asked = files.asked()
  }
  expect(asked).toMatchObject({ what: 'send', fromMicros: expect.any(Number) })
  files.answer(asked.id, { done: true, sent: 3 })
  expect(await asking).toEqual({ code: 0, out: '3 sent.\n' })
})

test('status: of one that has ended it says so', async () => {
  exporter(process.pid)
  expect((await siem('status')).out).toMatch(/here\s+syslog\s+7/)
  exporter(2 ** 30)
  const { code, out } = await siem('status')
  expect([code, out]).toEqual([1, expect.stringMatching(/does not run; this is of/)])
})
