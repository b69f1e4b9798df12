/** A log that somebody changed: whatever they did, `custody verify` names it. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listSegments, openRecorder } from '@custody/event-log'
import type { Path, Who } from '@custody/schemas'
import { verifyLog } from './verify'

const root = mkdtempSync(join(tmpdir(), 'custody-verify-'))
const original = join(root, 'log')
const HEADER_BYTES = 32

const who = {
  subject: 'ada',
  issuer: 't',
  email: null,
  name: null,
  groups: [],
  kind: 'human',
  method: 'token',
  tokenId: null,
  authenticatedAt: null,
  onBehalfOf: [],
} as Who
const path = { gateway: 'g', resource: 'r', protocol: 'postgres' } as unknown as Path

beforeAll(async () => {
  const recorder = await openRecorder({
    directory: original,
    recorder: 'one',
    reserveBytes: 0,
    consumers: [],
    segmentBytes: 64 * 1024,
  })
  for (let turn = 0; turn < 40; turn++) {
    const session = recorder.openSession(who, path)
    const id = recorder.record({ kind: 'command.started' }, session)
    await recorder.recorded()
    recorder.record(
      { kind: 'command.completed', command: id, recording: { state: 'x'.repeat(3000) } },
      session,
    )
    recorder.closeSession(session, 'closed', 'done', {})
    await recorder.recorded()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await recorder.close()
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Frame {
  at: number
  end: number
}

let copies = 0
/** A copy whose segment `n` was changed. */
function changed(n: number, change: (bytes: Buffer, frames: Frame[]) => Buffer): string {
  const copy = join(root, `copy-${copies++}`)
  cpSync(original, copy, { recursive: true })
  const file = join(copy, 'one', `${String(n).padStart(20, '0')}.log`)
  const bytes = readFileSync(file)
  const frames: Frame[] = []
  for (let at = 0; at + HEADER_BYTES <= bytes.length && bytes.readUInt32LE(at) !== 0; ) {
    const end = at + HEADER_BYTES + bytes.readUInt32LE(at + 8)
    frames.push({ at, end })
    at = end
  }
  writeFileSync(file, change(bytes, frames))
  return copy
}

const without = (bytes: Buffer, { at, end }: Frame) =>
  Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
const problems = async (copy: string) => {
  const { ok, findings } = await verifyLog(copy)
  expect(ok).toBe(findings.length === 0)
  return findings.map(({ problem }) => problem)
}

test('an untouched log holds, and its head is told', async () => {
  const result = await verifyLog(original)
  expect(result).toMatchObject({ ok: true, findings: [], open: [] })
  expect(result.recorders[0]).toMatchObject({
    sessions: 40,
    closedSessions: 40,
    beginsLate: false,
    ended: true,
    tornBytes: 0,
  })
  expect(result.recorders[0]!.head).toMatch(/^[0-9a-f]{64}$/)
  expect(listSegments(join(original, 'one')).length).toBeGreaterThan(1)
})

test('any changed byte', async () => {
  for (let place = 0; place < 30; place++) {
    const copy = changed(1, (bytes, frames) => {
      const frame = frames[place % frames.length]!
      const at = frame.at + ((place * 37) % (frame.end - frame.at - 4))
      // The last four bytes of a header are not in use.
      bytes[at >= frame.at + 28 && at < frame.at + 32 ? at + 4 : at]! ^= 1
      return bytes
    })
    expect(await problems(copy)).not.toEqual([])
  }
})

test('a removed frame: at the start, in the middle, before the end', async () => {
  for (const which of [1, 2, 5]) {
    const found = await problems(changed(1, (bytes, frames) => without(bytes, frames[which]!)))
    expect(found).toContain('gap')
    expect(found).toContain('chain')
  }
})

test('the end of an earlier segment cut off', async () => {
  expect(
    await problems(changed(1, (bytes, frames) => bytes.subarray(0, frames.at(-1)!.at))),
  ).toContain('gap')
})

test('the very end cut off: not proof, but said', async () => {
  const last = listSegments(join(original, 'one')).at(-1)!
  const { recorders } = await verifyLog(
    changed(last, (bytes, frames) => bytes.subarray(0, frames.at(-1)!.at)),
  )
  expect(recorders[0]!.ended).toBe(false)
})

test('the last frame changed', async () => {
  const last = listSegments(join(original, 'one')).at(-1)!
  const copy = changed(last, (bytes, frames) => {
    bytes[frames.at(-1)!.at + 50]! ^= 1
    return bytes
  })
  expect(await problems(copy)).toContain('torn')
})

test('an added frame, a copy of another', async () => {
  const copy = changed(1, (bytes, frames) => {
    const one = frames[3]!
    return Buffer.concat([
      bytes.subarray(0, one.end),
      bytes.subarray(one.at, one.end),
      bytes.subarray(one.end),
    ])
  })
  expect(await problems(copy)).toEqual(expect.arrayContaining(['order', 'chain']))
})

test('two frames in another order', async () => {
  const copy = changed(1, (bytes, frames) => {
    const [a, b] = [frames[3]!, frames[4]!]
    return Buffer.concat([
      bytes.subarray(0, a.at),
      bytes.subarray(b.at, b.end),
      bytes.subarray(a.at, a.end),
      bytes.subarray(b.end),
    ])
  })
  expect(await problems(copy)).toEqual(expect.arrayContaining(['gap', 'order', 'chain']))
})

test('a whole segment removed', async () => {
  const copy = changed(1, (bytes) => bytes)
  rmSync(join(copy, 'one', `${String(2).padStart(20, '0')}.log`))
  const found = await problems(copy)
  expect(found.length).toBeGreaterThan(0)
})

test('the first segment removed, as retention does it, begins late and holds', async () => {
  const copy = changed(1, (bytes) => bytes)
  rmSync(join(copy, 'one', `${String(1).padStart(20, '0')}.log`))
  const { ok, recorders, findings } = await verifyLog(copy)
  expect(findings).toEqual([])
  expect(ok).toBe(true)
  expect(recorders[0]!.beginsLate).toBe(true)
})
