/** Channels of one connection by their messages: windows, packets, numbers and what is not taken. */
import {
  type Channel,
  type ChannelHandler,
  type ChannelOpen,
  Connection,
  WINDOW_BYTES,
} from './connection'
import { Message, OpenFailure, WireReader, wire } from './numbers'
import type { Transport } from './transport'

type Said = { type: number; channel: number; rest: Buffer }

function under(channelsMax = 10) {
  const said: Said[] = []
  const transport = {
    isCongested: false,
    send(payload: Buffer) {
      const reader = new WireReader(payload, 1)
      const hasChannel = payload.length >= 5
      said.push({
        type: payload[0]!,
        channel: hasChannel ? reader.uint32() : -1,
        rest: Buffer.from(reader.rest()),
      })
    },
    sendData(channel: number, bytes: Buffer, extended: number) {
      said.push({
        type: extended === 0 ? Message.channelData : Message.channelExtendedData,
        channel,
        rest: Buffer.from(bytes),
      })
    },
  }
  const got: string[] = []
  const sent: number[] = []
  let opened: ChannelOpen | null = null
  const handler = (closesItself = false): ChannelHandler => ({
    opened: () => got.push('opened'),
    openFailed: (reason, words) => got.push(`failed ${reason} ${words}`),
    data: (bytes, isError) => got.push(`${isError ? 'error' : 'data'} ${bytes.length}`),
    eof: () => got.push('eof'),
    closed: () => got.push('closed'),
    closesItself,
    request: (name, wantsReply) => got.push(`request ${name} ${wantsReply}`),
    sent: (bytes) => sent.push(bytes),
  })
  const connection = new Connection(
    transport as unknown as Transport,
    {
      open: (asked) => {
        opened = asked
      },
      globalRequest: (name, _data, reply) => {
        got.push(`global ${name}`)
        reply?.(false)
      },
    },
    channelsMax,
  )
  connection.start()
  const message = (type: number, ...parts: Parameters<typeof wire>) =>
    connection.message(type, wire({ byte: type }, ...parts))
  let number = 700
  /** The other side opens one, and gives this window. */
  function open(window = 1_000_000, packetBytes = 32_768, closesItself = false) {
    opened = null
    const remote = number++
    message(Message.channelOpen, 'session', remote, window, packetBytes)
    const channel = (opened as ChannelOpen | null)?.accept(handler(closesItself)) ?? null
    return { channel: channel as Channel, remote }
  }
  const of = (type: number) => said.filter((one) => one.type === type)
  return { connection, transport, said, of, got, sent, handler, message, open }
}

test('data goes in packets and within the window that the other side gives, in order with requests', () => {
  const one = under()
  const { channel, remote } = one.open(100, 30)
  channel.data(Buffer.alloc(250, 'x'))
  channel.request('exit-status', wire(3), null)
  channel.eof()
  channel.close()
  expect(one.of(Message.channelData).map(({ rest }) => rest.length)).toEqual([30, 30, 30, 10])
  expect([channel.queuedBytes, one.sent]).toEqual([150, [100]])
  one.message(Message.channelWindowAdjust, channel.local, 50)
  expect(one.sent).toEqual([100, 50])
  expect(one.of(Message.channelEof)).toEqual([])
  one.message(Message.channelWindowAdjust, channel.local, 1000)
  expect(channel.queuedBytes).toBe(0)
  expect(one.said.slice(-3).map(({ type, channel: to }) => [type, to])).toEqual([
    [Message.channelRequest, remote],
    [Message.channelEof, remote],
    [Message.channelClose, remote],
  ])
  expect(one.of(Message.channelData).reduce((sum, { rest }) => sum + rest.length, 0)).toBe(250)
})

test('a window of nothing holds all back, and one beyond 2^32-1 is no window', () => {
  const one = under()
  const { channel } = one.open(0)
  channel.data(Buffer.alloc(10))
  expect(one.of(Message.channelData)).toEqual([])
  one.message(Message.channelWindowAdjust, channel.local, 2 ** 32 - 1)
  expect(one.of(Message.channelData)).toHaveLength(1)
  expect(() => one.message(Message.channelWindowAdjust, channel.local, 100)).toThrow(/2\^32-1/)
})

test('a socket that takes nothing holds all back, and goes on where it was', () => {
  const one = under()
  const { channel } = one.open()
  one.transport.isCongested = true
  channel.data(Buffer.alloc(10))
  expect([one.of(Message.channelData).length, one.connection.waitingBytes]).toEqual([0, 10])
  // Replies do not wait: who asks may be asking whether anybody is there.
  channel.reply(true)
  expect(one.of(Message.channelSuccess)).toHaveLength(1)
  one.transport.isCongested = false
  one.connection.drained()
  expect([one.of(Message.channelData).length, one.connection.waitingBytes]).toEqual([1, 0])
})

test('what comes in is bounded by the window given, which grows by what has been passed on', () => {
  const one = under()
  const { channel } = one.open()
  const block = Buffer.alloc(32 * 1024)
  for (let bytes = 0; bytes < WINDOW_BYTES; bytes += block.length)
    one.message(Message.channelData, channel.local, block)
  expect(one.of(Message.channelWindowAdjust)).toEqual([])
  expect(() => one.message(Message.channelData, channel.local, Buffer.from('x'))).toThrow(
    'beyond the window',
  )
  channel.consume(WINDOW_BYTES / 8)
  expect(one.of(Message.channelWindowAdjust)).toEqual([])
  channel.consume(WINDOW_BYTES / 2)
  expect(one.of(Message.channelWindowAdjust).map(({ rest }) => rest.readUInt32BE(0))).toEqual([
    WINDOW_BYTES * (5 / 8),
  ])
  one.message(Message.channelData, channel.local, block)
})

test('stderr counts as well, and extended data that nobody knows is taken and not passed on', () => {
  const one = under()
  const { channel } = one.open()
  one.message(Message.channelExtendedData, channel.local, 1, Buffer.from('abc'))
  one.message(Message.channelExtendedData, channel.local, 9, Buffer.from('abcd'))
  expect(one.got).toEqual(['error 3'])
})

test.each<[string, (one: ReturnType<typeof under>, channel: Channel) => void, RegExp]>([
  [
    'a channel that is not there',
    (one) => one.message(Message.channelData, 99, Buffer.from('x')),
    /channel 99, which is not there/,
  ],
  [
    'data behind its end',
    (one, { local }) => {
      one.message(Message.channelEof, local)
      one.message(Message.channelData, local, Buffer.from('x'))
    },
    /behind the end/,
  ],
  [
    'a channel confirmed twice',
    (one, { local }) => one.message(Message.channelOpenConfirmation, local, 1, 1, 1),
    /opened twice/,
  ],
  [
    'data of a channel that is not open yet',
    (one) => {
      const channel = one.connection.openChannel('session', Buffer.alloc(0), one.handler())
      one.message(Message.channelData, channel.local, Buffer.from('x'))
    },
    /not open/,
  ],
  [
    'a message that ends early',
    (one, { local }) => one.message(Message.channelData, local, 100, { raw: Buffer.from('x') }),
    /ends 99 bytes early/,
  ],
  [
    'a channel that is closed on both sides',
    (one, { local }) => {
      one.message(Message.channelClose, local)
      one.message(Message.channelEof, local)
    },
    /not there/,
  ],
])('%s is an error', (_, what, error) => {
  const one = under()
  const { channel } = one.open()
  expect(() => what(one, channel)).toThrow(error)
})

test('no more channels than are allowed, and their numbers are free again', () => {
  const one = under(2)
  const [first] = [one.open(), one.open()]
  expect(one.open().channel).toBe(null)
  const [refused] = one.of(Message.channelOpenFailure)
  expect(refused!.rest.readUInt32BE(0)).toBe(OpenFailure.shortage)
  one.message(Message.channelClose, first.channel.local)
  expect([one.connection.open, one.open().channel === null]).toEqual([1, false])
})

test('those that were asked for and are not answered yet count as well', () => {
  const asked: ChannelOpen[] = []
  const said: number[] = []
  const connection = new Connection(
    { send: (payload: Buffer) => said.push(payload[0]!) } as unknown as Transport,
    { open: (one) => asked.push(one), globalRequest: () => {} },
    2,
  )
  connection.start()
  const open = (remote: number) =>
    connection.message(
      Message.channelOpen,
      wire({ byte: Message.channelOpen }, 'direct-tcpip', remote, 1, 1),
    )
  for (let i = 0; i < 5; i++) open(i)
  expect([asked.length, said]).toEqual([
    2,
    [Message.channelOpenFailure, Message.channelOpenFailure, Message.channelOpenFailure],
  ])
  asked[0]!.refuse(OpenFailure.connectFailed, '')
  asked[0]!.refuse(OpenFailure.connectFailed, '')
  asked[1]!.accept(under().handler())
  for (let i = 5; i < 8; i++) open(i)
  expect([asked.length, connection.open]).toEqual([3, 1])
})

test('what only asks whether anybody is there, and what comes by itself, is no use of it', () => {
  const one = under()
  const { channel } = one.open()
  const before = one.connection.used
  one.message(Message.globalRequest, 'keepalive@openssh.com', true)
  one.message(Message.channelRequest, channel.local, 'keepalive@openssh.com', true)
  one.message(Message.channelWindowAdjust, channel.local, 1)
  one.message(Message.requestFailure)
  one.message(Message.channelFailure, channel.local)
  expect(one.connection.used).toBe(before)
  one.message(Message.channelData, channel.local, Buffer.from('x'))
  one.message(Message.channelExtendedData, channel.local, 1, Buffer.from('x'))
  one.message(Message.channelRequest, channel.local, 'window-change', false)
  one.open()
  one.message(Message.channelEof, channel.local)
  expect(one.connection.used).toBe(before + 5)
})

test('what waits for a side that closed is let go, and said to have gone', () => {
  const one = under()
  const { channel } = one.open(0, 100, true)
  channel.data(Buffer.alloc(1000))
  channel.request('exit-status', wire(0), null)
  one.message(Message.channelClose, channel.local)
  expect([one.got, one.sent, channel.queuedBytes]).toEqual([['closed'], [1000], 0])
  // How its command ended it takes even then.
  expect(one.of(Message.channelRequest)).toHaveLength(1)
  channel.data(Buffer.alloc(5))
  expect(one.sent).toEqual([1000, 5])
  channel.close()
  expect(one.of(Message.channelClose)).toHaveLength(1)
  expect(one.connection.open).toBe(0)
})

test('a connection that goes fails what waits for it, once', () => {
  const one = under()
  const { channel } = one.open()
  const answers: boolean[] = []
  channel.request('x', Buffer.alloc(0), (ok) => answers.push(ok))
  one.connection.openChannel('session', Buffer.alloc(0), one.handler())
  one.connection.globalRequest('y', Buffer.alloc(0), (ok) => answers.push(ok))
  one.connection.lost()
  one.connection.lost()
  expect(answers).toEqual([false, false])
  expect(one.got).toEqual(['closed', 'failed 2 the connection is gone'])
})

test('global requests are answered in their order, however late', () => {
  const said: number[] = []
  const replies: ((ok: boolean) => void)[] = []
  const connection = new Connection(
    { send: (payload: Buffer) => said.push(payload[0]!) } as unknown as Transport,
    { open: () => {}, globalRequest: (_name, _data, reply) => replies.push(reply!) },
    1,
  )
  connection.start()
  for (let i = 0; i < 3; i++)
    connection.message(
      Message.globalRequest,
      wire({ byte: Message.globalRequest }, 'tcpip-forward', true),
    )
  replies[2]!(true)
  replies[1]!(false)
  expect(said).toEqual([])
  replies[0]!(true)
  replies[0]!(false)
  expect(said).toEqual([Message.requestSuccess, Message.requestFailure, Message.requestSuccess])
})

test('nothing of channels before somebody is signed in', () => {
  const connection = new Connection(
    { send: () => {} } as unknown as Transport,
    { open: () => {}, globalRequest: () => {} },
    1,
  )
  expect(() =>
    connection.message(
      Message.channelOpen,
      wire({ byte: Message.channelOpen }, 'session', 0, 1, 1),
    ),
  ).toThrow('before sign-in')
})
