/** The whole service from sources: a destination beside the detector, on a real log. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { openReader, type Recorder } from '@custody/event-log'
import { type Home, parseConfiguration, silentLogger } from '@custody/kit'
import { decodeMessage, type Event } from '@custody/schemas'
import { createSiem } from './service'
import { path, recorderIn, temporaryHome, until, who } from './testing'

let home: Home & { remove(): void }
let recorder: Recorder

beforeEach(async () => {
  home = temporaryHome()
  recorder = await recorderIn(home)
})
afterEach(async () => {
  await recorder.close()
  home.remove()
})

async function recordedBy(name: string): Promise<Event[]> {
  const reader = openReader({ directory: home.log, recorder: name })
  const events: Event[] = []
  for (let read = await reader.read(1 << 20); read; read = await reader.read(1 << 20))
    events.push(...read.messages.map(decodeMessage))
  reader.close()
  return events
}

test('what is delivered, detected and acknowledged is in the log, and at the destination', async () => {
  const received: { kind: string }[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part) => (body += part))
    request.on('end', () => {
      received.push(...JSON.parse(body))
      response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const rules = join(home.directory, 'rules')
  mkdirSync(rules)
  writeFileSync(
    join(rules, 'forced.yml'),
    `title: Approval forced here
id: 7a1d53f7-6d5c-4b3e-8f6a-2d5f1e7c9b10
status: test
logsource: { product: custody }
detection:
  forced: { kind: alert.approval-forced }
  condition: forced
level: high
tags: [attack.t1078]
`,
  )
  const siem = createSiem({
    configuration: parseConfiguration(
      JSON.stringify({
        gateway: 'g',
        siem: {
          receiptSeconds: 0.1,
          rules: [rules],
          destinations: {
            hook: {
              ...{ type: 'http', body: 'array', gzip: false, batch: { lingerMs: 10 } },
              url: `http://127.0.0.1:${(server.address() as { port: number }).port}/`,
            },
          },
        },
      }),
    ),
    home,
    logger: silentLogger(),
    version: '1',
    inline: true,
  })
  await siem.start()
  await until(() => siem.status().detections !== undefined)
  recorder.record({ kind: 'audit.read', who, path })
  recorder.record({ kind: 'alert.approval-forced', who, path })
  await recorder.recorded('os')
  await until(() => received.some(({ kind }) => kind === 'alert.detection'))
  await until(async () =>
    (await recordedBy('siem-g')).some(({ kind }) => kind === 'siem.acknowledged'),
  )
  const own = await recordedBy('siem-g')
  const detections = own.filter(({ kind }) => kind === 'alert.detection')
  expect(detections).toHaveLength(1)
  expect(detections[0]!.lifecycle!.attributes).toMatchObject({
    rule: 'Approval forced here',
    severity: 'high',
  })
  expect(detections[0]!.who!.subject).toBe('ada')
  const forced = (await recordedBy('proxy-g')).find(({ kind }) => kind === 'alert.approval-forced')!
  expect(detections[0]!.parent!.equals(forced.id)).toBe(true)
  expect(own.find(({ kind }) => kind === 'siem.acknowledged')!.audit).toMatchObject({
    action: 'deliver',
    subject: 'hook',
  })
  expect(
    siem.metrics().find(({ name }) => name === 'custody_siem_acknowledged_total')!.values,
  ).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ labels: { destination: 'hook', type: 'http' } }),
    ]),
  )
  await siem.stop()
  server.close()
  server.closeAllConnections()
})

test('a correlation goes on in the middle of its time after a restart', async () => {
  const rules = join(home.directory, 'rules')
  mkdirSync(rules)
  const id = (n: number) => `7a1d53f7-6d5c-4b3e-8f6a-2d5f1e7c9b2${n}`
  const together = (n: number, text: string) =>
    `---\ntitle: Together ${n}\nid: ${id(n)}\ncorrelation:\n  rules: ${text}\nlevel: high\n`
  const one = (name: string, kind: string, n: number) =>
    `---\ntitle: ${name}\nname: ${name}\nid: ${id(n)}\nlogsource: { product: custody }\ndetection:\n  a: { kind: ${kind} }\n  condition: a\n`
  writeFileSync(
    join(rules, 'together.yml'),
    [
      one('looked', 'audit.read', 0),
      one('taken', 'audit.export', 1),
      together(
        2,
        'looked\n  type: event_count\n  group-by: [who.subject]\n  timespan: 1h\n  condition: { gte: 4 }',
      ),
      together(
        3,
        'looked\n  type: value_count\n  timespan: 1h\n  condition: { gte: 2, field: path.resource }',
      ),
      together(4, '[looked, taken]\n  type: temporal\n  timespan: 1h'),
      together(5, '[looked, taken]\n  type: temporal_ordered\n  timespan: 1h'),
    ].join(''),
  )
  const started = async () => {
    const siem = createSiem({
      configuration: parseConfiguration(
        JSON.stringify({ gateway: 'g', siem: { rules: [rules], destinations: {} } }),
      ),
      ...{ home, logger: silentLogger(), version: '1', inline: true },
    })
    await siem.start()
    return siem
  }
  const told = async () =>
    (await recordedBy('siem-g'))
      .filter(({ kind }) => kind === 'alert.detection')
      .map(({ lifecycle }) => lifecycle!.attributes.rule)
      .sort()
  const state = () =>
    JSON.parse(readFileSync(join(home.directory, 'siem/detections/state.json'), 'utf8'))
  const dealtWith = async (count: number) => {
    await recorder.recorded('os')
    await until(() => (state().progress['recorder:proxy-g']?.next ?? 0) >= count)
  }

  const first = await started()
  for (let i = 0; i < 3; i++) recorder.record({ kind: 'audit.read', who, path })
  await dealtWith(4)
  await first.stop()
  expect(await told()).toEqual([])

  const second = await started()
  recorder.record({ kind: 'audit.read', who, path: { ...path, resource: 'billing' } })
  recorder.record({ kind: 'audit.export', who, path })
  await dealtWith(6)
  await until(async () => (await told()).length >= 4)
  await second.stop()
  expect(await told()).toEqual(['Together 2', 'Together 3', 'Together 4', 'Together 5'])

  // What was told counts no more, after a restart neither.
  const third = await started()
  recorder.record({ kind: 'audit.read', who, path })
  await dealtWith(7)
  await third.stop()
  expect(await told()).toHaveLength(4)
})
