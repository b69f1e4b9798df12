/** Requests of all gateways as the control topic has them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openReader, openRecorder, type Recorder } from '@custody/event-log'
import { decodeMessage, newUuid, nowMicros, uuidText } from '@custody/schemas'
import { ControlRequests } from './control-requests'

let directory: string
let recorder: Recorder

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'custody-requests-'))
  recorder = await openRecorder({ directory, recorder: 'proxy-a', reserveBytes: 0 })
})
afterEach(async () => {
  await recorder.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Everything recorded so far, as Kafka would have it. */
async function messages(): Promise<Buffer[]> {
  await recorder.recorded('os')
  const reader = openReader({ directory, recorder: 'proxy-a' })
  const batch = await reader.read(1 << 20)
  reader.close()
  return batch!.messages
}

const record = (kind: string, request: Buffer, expires = nowMicros() + 60e6) =>
  recorder.record({ kind, approval: { request, state: kind.split('.')[1]!, expires } })

test('at its start what waits still, then what comes; each start anew', async () => {
  const [ended, over, waits, later] = [newUuid(), newUuid(), newUuid(), newUuid()]
  record('approval.requested', ended)
  record('approval.requested', over, nowMicros() - 1e6)
  record('approval.requested', waits)
  record('approval.answered', ended)
  record('approval.denied', ended)
  const before = await messages()
  record('approval.requested', later)
  record('approval.approved', waits)
  const after = (await messages()).slice(before.length)
  let isStopped = 0
  const requests = new ControlRequests((hear) => ({
    async start() {
      for (const message of before) hear(message, true)
      for (const message of after) hear(message, false)
    },
    async stop() {
      isStopped++
    },
    problem: () => null,
  }))
  for (let i = 0; i < 2; i++) {
    await requests.start()
    const found = (await requests.next())!.messages.map(decodeMessage)
    expect(found.map(({ kind, approval }) => [kind, uuidText(approval!.request)])).toEqual([
      ['approval.requested', uuidText(waits)],
      ['approval.requested', uuidText(later)],
      ['approval.approved', uuidText(waits)],
    ])
    expect(await requests.next()).toBeNull()
  }
  requests.close()
  expect(isStopped).toBe(2)
})

test('where Kafka is away it says so, and lets go', async () => {
  let isStopped = false
  const requests = new ControlRequests(() => ({
    start: () => Promise.reject(new Error('no broker answers')),
    async stop() {
      isStopped = true
    },
    problem: () => null,
  }))
  await expect(requests.start()).rejects.toThrow('no broker answers')
  expect(isStopped).toBe(true)
})
