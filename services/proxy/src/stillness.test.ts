import { Stillness } from './stillness'

const limits = { idleMsMax: 1000, stalledMsMax: 300 }

test('idle only after the whole time without a byte, and only where nothing runs', () => {
  const still = new Stillness(limits)
  expect(still.look(5000, 0, null, false)).toBeNull()
  expect(still.look(5999, 0, null, false)).toBeNull()
  expect(still.look(6000, 0, null, true)).toBeNull()
  expect(still.look(6000, 0, null, false)).toEqual({
    code: 'CUSTODY-SESSION-001',
    reason: 'the session was idle for 1000 ms',
    isStalled: false,
  })
  expect(still.look(6000, 1, null, false)).toBeNull()
  expect(still.look(6999, 1, null, false)).toBeNull()
})

test('stalled where somebody takes nothing, whatever runs; one byte begins it anew', () => {
  const still = new Stillness(limits)
  still.look(0, 10, 'target', true)
  expect(still.look(299, 10, 'target', true)).toBeNull()
  expect(still.look(299, 11, 'target', true)).toBeNull()
  expect(still.look(599, 11, 'target', true)).toEqual({
    code: 'CUSTODY-SESSION-002',
    reason: 'the target took no byte for 300 ms',
    isStalled: true,
  })
  expect(still.look(599, 11, 'client', false)).toMatchObject({
    reason: 'the client took no byte for 300 ms',
  })
})

test('0 is never', () => {
  const still = new Stillness({ idleMsMax: 0, stalledMsMax: 0 })
  still.look(0, 0, 'client', false)
  expect(still.look(1e12, 0, 'client', false)).toBeNull()
})
