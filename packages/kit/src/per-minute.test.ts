/** So many a minute. */
import { PerMinute } from './per-minute'

afterEach(() => jest.useRealTimers())

test('each has its own, and as many again in the next minute', () => {
  jest.useFakeTimers({ now: 60_000 * 1000 })
  const two = new PerMinute(2)
  const three = () => ['a', 'a', 'a', 'b'].map((of) => two.take(of))
  expect(three()).toEqual([true, true, false, true])
  jest.advanceTimersByTime(59_999)
  expect(two.take('a')).toBe(false)
  jest.advanceTimersByTime(1)
  expect(three()).toEqual([true, true, false, true])
  expect([two.take(), two.take(), two.take()]).toEqual([true, true, false])
})
