/** OpenSSH's own client, through a gateway, to OpenSSH's own server. */
import { createHash, randomBytes } from 'node:crypto'
import type { Event } from '@custody/schemas'
import type { SshServer } from '@custody/ssh-server'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('one command each', () => {
  let test_: SshUnderTest
  let target: SshServer
  let port: number
  let token: string
  beforeAll(async () => {
    test_ = sshUnderTest('ssh-exec')
    target = await test_.target()
    ;({ port } = await test_.start({ target }))
    token = await test_.token({ subject: 'ada', email: 'ada@example.com', groups: ['dev'] })
  })
  afterAll(() => test_.stop())

  const ssh = (words: string[], input?: Buffer | string, host = 'web@localhost') =>
    test_.run('ssh', [...test_.options(port), host, ...words], { token, input })

  async function commandOf(
    text: string,
  ): Promise<{ started: Event; completed: Event; output: Event[] }> {
    const events = await test_.events()
    const started = events.find(
      ({ kind, statement }) => kind === 'command.started' && statement?.text === text,
    )!
    const of = events.filter(
      ({ command }) => command && started?.command && command.equals(started.command),
    )
    return {
      started,
      completed: of.find(({ kind }) => kind === 'command.completed')!,
      output: of.filter(({ kind }) => kind === 'output'),
    }
  }

  test('output, errors and exit status arrive as they are, and are recorded', async () => {
    const ran = await ssh(['echo out; echo err >&2; exit 7'])
    expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([7, 'out\n', 'err\n'])
    const { started, completed, output } = await commandOf('echo out; echo err >&2; exit 7')
    expect(started.who?.subject).toBe('ada')
    expect(started.path).toMatchObject({
      resource: 'web',
      protocol: 'ssh',
      account: target.account,
    })
    expect(started.statement).toMatchObject({ language: 'shell', interface: 'exec' })
    expect(completed.response).toMatchObject({ status: 'error', code: '7' })
    expect(Number(completed.response!.bytes)).toBe(8)
    expect(output.map(({ output: one }) => [one!.stream, one!.data.toString()])).toEqual(
      expect.arrayContaining([
        ['output', 'out\n'],
        ['error', 'err\n'],
      ]),
    )
    expect(target.ran()).toContain('echo out; echo err >&2; exit 7')
  })

  test('input and its end arrive', async () => {
    const input = randomBytes(3_000_000)
    const ran = await ssh(['sha256sum'], input)
    expect(ran.stdout.toString()).toBe(`${sha256(input)}  -\n`)
    const { completed } = await commandOf('sha256sum')
    expect(Number(completed.response!.inputBytes)).toBe(input.length)
    expect(completed.response!.inputDigest!.toString('hex')).toBe(sha256(input))
  })

  test('much output arrives whole, and its digest is that of what the client got', async () => {
    const ran = await ssh(['head -c 20000000 /dev/urandom'])
    expect(ran.stdout.length).toBe(20_000_000)
    const { completed, output } = await commandOf('head -c 20000000 /dev/urandom')
    expect(completed.response!.digest!.toString('hex')).toBe(sha256(ran.stdout))
    expect(Buffer.concat(output.map((one) => one.output!.data)).equals(ran.stdout)).toBe(true)
  })

  test('a shell for a person: what it shows is recorded, what is typed is not', async () => {
    const ran = await test_.terminal(
      [...test_.options(port), 'web@localhost'],
      [
        [/[#$] $/, 'echo $((40+2))\n'],
        [/42[\s\S]*[#$] $/, 'read -s -p "Secret: " hidden\n'],
        [/Secret: $/, 'S3cret-typed\n'],
        [/[#$] $/, 'exit 3\n'],
      ],
      { token },
    )
    expect(ran.code).toBe(3)
    expect(ran.stdout.toString()).toContain('42')
    const events = await test_.events()
    const shell = events.find(({ statement }) => statement?.interface === 'shell')!
    expect(shell.statement!.attributes).toMatchObject({ columns: expect.any(String) })
    const shown = Buffer.concat(
      events
        .filter(
          ({ output, command }) => output?.stream === 'terminal' && command!.equals(shell.command!),
        )
        .map(({ output }) => output!.data),
    )
    expect(shown.equals(ran.stdout)).toBe(true)
    for (const event of events)
      expect(
        JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
      ).not.toContain('S3cret')
    for (const { output } of events) expect(output?.data.includes('S3cret') ?? false).toBe(false)
  })
})
