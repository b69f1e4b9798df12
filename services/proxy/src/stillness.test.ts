import { Stillness } from './stillness'

const limits = { idleMsMax: 1000, stalledMsMax: 300 }
const direction = (slow: boolean) => ({ bytes: 0, taken: 0, slow })
const look = (
  still: Stillness,
  nowMs: number,
  bytesIn: number,
  slow: 'client' | 'target' | null,
  isUsed: boolean,
) => still.look(nowMs, bytesIn, direction(slow === 'target'), direction(slow === 'client'), isUsed)

test('idle only after the whole time without a byte, and only where nothing runs', () => {
  const still = new Stillness(limits)
  expect(look(still, 5000, 0, null, false)).toBeNull()
  expect(look(still, 5999, 0, null, false)).toBeNull()
  expect(look(still, 6000, 0, null, true)).toBeNull()
  expect(look(still, 6000, 0, null, false)).toEqual({
    code: 'CUSTODY-SESSION-001',
    reason: 'the session was idle for 1000 ms',
    isStalled: false,
  })
  expect(look(still, 6000, 1, null, false)).toBeNull()
  expect(look(still, 6999, 1, null, false)).toBeNull()
})

test('stalled where somebody takes nothing, whatever runs; one byte begins it anew', () => {
  const still = new Stillness(limits)
  look(still, 0, 10, 'target', true)
  expect(look(still, 299, 10, 'target', true)).toBeNull()
  expect(look(still, 299, 11, 'target', true)).toBeNull()
  expect(look(still, 599, 11, 'target', true)).toEqual({
    code: 'CUSTODY-SESSION-002',
    reason: 'the target took no byte for 300 ms',
    isStalled: true,
  })
  expect(look(still, 599, 11, 'client', false)).toMatchObject({
    reason: 'the client took no byte for 300 ms',
  })
})

test('0 is never', () => {
  const still = new Stillness({ idleMsMax: 0, stalledMsMax: 0 })
  look(still, 0, 0, 'client', false)
  expect(look(still, 1e12, 0, 'client', false)).toBeNull()
})

test('what moves in either direction counts', () => {
  const still = new Stillness(limits)
  const none = direction(false)
  still.look(0, 0, none, none, false)
  expect(still.look(1000, 0, { ...none, taken: 1 }, none, false)).toBeNull()
  expect(still.look(2000, 0, { ...none, taken: 1 }, { ...none, bytes: 1 }, false)).toBeNull()
  expect(
    still.look(3000, 0, { ...none, taken: 1 }, { ...none, bytes: 1, taken: 1 }, false),
  ).toBeNull()
})
