/** What a channel may be asked for before something runs: counted, and judged by what is sent on. */
import type { SshResource } from '@custody/kit'
import { type AsksParts, ChannelAsks } from './channel-asks'
import type { Channel } from './connection'
import { WireReader, wire } from './numbers'

function under() {
  const sent: string[] = []
  const answers: boolean[] = []
  const resource = { allow: ['exec', 'agent', 'x11'], env: ['LC_*'] } as unknown as SshResource
  const asks = new ChannelAsks(
    {
      resource,
      terms: null,
      gate: () => null,
      mayComeBack: () => true,
    } as unknown as AsksParts,
    { request: (name: string) => sent.push(name) } as unknown as Channel,
  )
  const ask = (name: string, ...parts: Parameters<typeof wire>) => {
    const data = wire(...parts)
    return asks.take(name, new WireReader(data), data, (ok) => answers.push(ok))
  }
  return { asks, ask, sent, answers }
}

test('a variable that is set again and again counts each time', () => {
  const { ask, sent, answers } = under()
  for (let i = 0; i < 150; i++) ask('env', 'LC_ALL', `C.${i}`)
  expect([sent.length, answers.filter((ok) => !ok).length]).toEqual([100, 50])
})

test('variables with a NUL in them are none', () => {
  const { ask, sent, answers } = under()
  ask('env', 'LC_ALL', 'C\0LD_PRELOAD=x')
  ask('env', 'LC_\0ALL', 'C')
  expect([sent, answers]).toEqual([[], [false, false]])
})

test('an agent and a display are asked for once', () => {
  const { ask, sent, answers } = under()
  for (let i = 0; i < 3; i++) ask('auth-agent-req@openssh.com')
  for (let i = 0; i < 3; i++) ask('x11-req', true, 'MIT-MAGIC-COOKIE-1', 'c', 0)
  expect(sent).toEqual(['auth-agent-req@openssh.com', 'x11-req'])
  expect(answers).toEqual([false, false, false, false])
})
