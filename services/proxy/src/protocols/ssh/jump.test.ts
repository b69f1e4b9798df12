/** Both ends of a connection within the gateway hold each other back. */
import type { ChannelHandler } from './connection'
import { WINDOW_BYTES } from './connection'
import { JumpSocket } from './jump'

function under() {
  const told = { sent: 0, data: 0, eof: 0, closed: 0 }
  const handler = {
    data: (bytes: Buffer) => {
      told.data += bytes.length
    },
    sent: (bytes: number) => {
      told.sent += bytes
    },
    eof: () => {
      told.eof++
    },
    closed: () => {
      told.closed++
    },
  } as unknown as ChannelHandler
  const socket = new JumpSocket(handler, { address: '192.0.2.1', port: 9, gateway: '127.0.0.1:22' })
  return { told, socket }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))
const BLOCK = Buffer.alloc(32 * 1024, 'x')

test('what the inner end does not read is not said to have gone on', async () => {
  const { told, socket } = under()
  for (let i = 0; i < 64; i++) socket.data(BLOCK)
  await turn()
  expect(told.sent).toBeLessThanOrEqual(socket.readableHighWaterMark)
  let read = 0
  socket.on('data', (bytes: Buffer) => {
    read += bytes.length
  })
  while (read < 64 * BLOCK.length) await turn()
  await turn()
  expect(told.sent).toBe(64 * BLOCK.length)
  // It stops again, and goes on again.
  socket.pause()
  for (let i = 0; i < 64; i++) socket.data(BLOCK)
  await turn()
  expect(told.sent).toBeLessThanOrEqual(64 * BLOCK.length + socket.readableHighWaterMark)
  socket.resume()
  while (read < 128 * BLOCK.length) await turn()
  await turn()
  expect(told.sent).toBe(128 * BLOCK.length)
})

test('what the outer end does not take is not written', async () => {
  const { told, socket } = under()
  for (let i = 0; i < 2 * (WINDOW_BYTES / BLOCK.length); i++) socket.write(BLOCK)
  await turn()
  expect(told.data).toBe(WINDOW_BYTES)
  socket.consume(WINDOW_BYTES)
  await turn()
  expect(told.data).toBe(2 * WINDOW_BYTES)
})

test('its end is told once, behind all that was written', async () => {
  const { told, socket } = under()
  socket.write(BLOCK)
  socket.resume()
  socket.close()
  while (told.closed === 0) await turn()
  expect(told).toEqual({ sent: 0, data: BLOCK.length, eof: 1, closed: 1 })
})
