/** Who may see what detectors find in the output of commands and on terminals: by policy, or once somebody has said so. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRecorder, type Recorder } from '@custody/event-log'
import type { Event } from '@custody/schemas'
import type { SshServer } from '@custody/ssh-server'
import { until } from '@custody/test-support'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const CARD = '4111111111111111'
const MAIL = 'ada.lovelace@example.com'
const POLICY = `
@id("all") permit (principal, action, resource);
@id("fraud") permit (principal in Group::"fraud", action == Action::"data:reveal", resource)
when { context has object && context.object.kind == "detector" && context.object.name == "email" };
@id("incident") @reason("clear values in an incident") @approvers("privacy") @expires("60s")
permit (principal in Group::"oncall", action == Action::"data:reveal", resource) when { context.approved };
@id("never") forbid (principal, action == Action::"data:reveal", resource) when { context has object && context.object.name == "card" };
`

let gateway: SshUnderTest
let target: SshServer
let people: Recorder
let port: number
const tokens: Record<string, string> = {}
const at = (...names: string[]) => join(gateway.directory, ...names)

beforeAll(async () => {
  gateway = sshUnderTest('ssh-reveal')
  target = await gateway.target()
  writeFileSync(at('policy.cedar'), POLICY)
  ;({ port } = await gateway.start({
    target,
    resource: '    recording: full\n',
    more: `masking: {rules: [], detectors: {action: redact}}\npolicy: {files: [${at('policy.cedar')}]}\n`,
  }))
  for (const group of ['fraud', 'oncall', 'others'])
    tokens[group] = await gateway.token({ subject: group, groups: [group], kind: 'human' })
  people = await openRecorder({
    directory: gateway.home.log,
    recorder: 'query-local',
    reserveBytes: 0,
  })
  writeFileSync(at('customers'), `${MAIL} ${CARD}\n`.repeat(3))
})
afterAll(async () => {
  await people?.close()
  await gateway.stop()
})

const ssh = (as: string, line: string, words: string[] = [], input = '') =>
  gateway.run('ssh', [...gateway.options(port), ...words, 'web@localhost', line], {
    token: tokens[as]!,
    input,
  })

/** Events of the session that ran last. */
async function last(): Promise<Event[]> {
  const all = await gateway.events()
  const { session } = all.findLast(({ kind }) => kind === 'session.opened')!
  return all.filter((one) => one.session?.equals(session!))
}
const find = (events: Event[], kind: string) => events.find((event) => event.kind === kind)
const recorded = (events: Event[], stream: string) =>
  Buffer.concat(
    events.flatMap(({ output }) => (output?.stream === stream ? [output.data] : [])),
  ).toString()
const masksOf = (events: Event[]) =>
  find(events, 'command.completed')!
    .masks.map(({ detector, action, count }) => `${detector} ${action} ${count}`)
    .sort()

const answers = new Set<string>()

/** Of the request that nobody has answered. */
async function answered(state: string): Promise<Event> {
  let request: Event | undefined
  await until(async () => {
    request = (await gateway.events()).find(
      ({ kind, approval }) =>
        kind === 'approval.requested' && !answers.has(approval!.request.toString('hex')),
    )
    return request !== undefined
  })
  answers.add(request!.approval!.request.toString('hex'))
  people.record({
    kind: 'approval.answered',
    approval: {
      request: request!.approval!.request,
      state,
      approver: {
        subject: 'bo',
        issuer: 'custody:local',
        groups: ['privacy'],
        kind: 'human',
        method: 'custody-token',
      },
      channel: 'cli',
      comment: null,
    },
  })
  return request!
}

const ASKED = ['-o', 'SetEnv=CUSTODY_REVEAL=on']

describe('a policy that lets some see', () => {
  test('shows them what it names, and no more; the record has what they got, and who let them', async () => {
    const line = `cat ${at('customers')}; echo ${MAIL} >&2; cat > ${at('sent')}`
    const ran = await ssh('fraud', line, [], `from ${MAIL}\n`)
    const shown = `${MAIL} [masked]\n`.repeat(3)
    expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([0, shown, `${MAIL}\n`])
    const events = await last()
    expect(recorded(events, 'output')).toBe(shown)
    // What was sent, and the line itself, nobody was to be shown.
    expect(recorded(events, 'input')).toBe('from [masked]\n')
    expect(readFileSync(at('sent'), 'utf8')).toBe(`from ${MAIL}\n`)
    expect(find(events, 'command.started')!.statement!.text).toBe(line.replace(MAIL, '[masked]'))
    expect(masksOf(events)).toEqual(['card redact 3', 'email redact 1', 'email reveal 4'])
    const revealed = find(events, 'mask.revealed')!
    expect(revealed.command).toEqual(find(events, 'command.started')!.id)
    expect(revealed.lifecycle!.reason).toBe('shows email')
    expect(revealed.decision!.policies).toEqual(['fraud'])
    expect(events.indexOf(revealed)).toBeLessThan(events.findIndex(({ output }) => output != null))
  })

  test('on a terminal as well', async () => {
    const ran = await gateway.terminal(
      [...gateway.options(port), 'web@localhost'],
      [
        [/[$#] $/, `cat ${at('customers')}\r`],
        [/(?:\*|\[masked\]).*\r\n.*[$#] $/s, 'exit 4\r'],
      ],
      { token: tokens.fraud! },
    )
    const shown = ran.stdout.toString()
    expect([ran.code, shown.split(MAIL).length - 1, shown.includes(CARD)]).toEqual([4, 3, false])
    const events = await last()
    expect(recorded(events, 'terminal')).toContain(MAIL)
    expect(find(events, 'mask.revealed')!.lifecycle!.reason).toBe('shows email')
    const shell = find(events, 'command.started')!
    const completed = events.find(
      ({ kind, command }) => kind === 'command.completed' && command!.equals(shell.id),
    )!
    expect(
      completed.masks.map(({ detector, action, count }) => `${detector} ${action} ${count}`).sort(),
    ).toEqual(['card redact 3', 'email reveal 3'])
  })

  test('is needed: what permits everything else does not mean this, nor does asking', async () => {
    const ran = await ssh('others', `cat ${at('customers')}`, ASKED)
    expect(ran.stdout.toString()).toBe('[masked] [masked]\n'.repeat(3))
    expect(find(await last(), 'mask.revealed')).toBeUndefined()
  })
})

describe('a policy that has somebody asked', () => {
  test('asks nobody where the session does not want it', async () => {
    const ran = await ssh('oncall', `cat ${at('customers')}`)
    expect(ran.stdout.toString()).toBe('[masked] [masked]\n'.repeat(3))
    expect(find(await last(), 'approval.requested')).toBeUndefined()
  })

  test('holds the command, and shows once it is approved', async () => {
    const running = ssh('oncall', `cat ${at('customers')}`, ASKED)
    const request = await answered('approved')
    expect(request.statement!.attributes.reveal).toBe('on')
    const ran = await running
    // What a policy forbids to be shown no approval shows.
    expect([ran.code, ran.stdout.toString()]).toEqual([0, `${MAIL} [masked]\n`.repeat(3)])
    expect(ran.stderr).toMatch(/waiting for approval: .*clear values in an incident/)
    const revealed = find(await last(), 'mask.revealed')!
    expect(revealed.decision!.approval).toEqual(request.approval!.request)
    expect(revealed.lifecycle!.reason).toContain('email')
    expect(revealed.lifecycle!.reason).not.toContain('card')
  })

  test('denied, it does not run', async () => {
    const running = ssh('oncall', `touch ${at('never')}; cat ${at('customers')}`, ASKED)
    await answered('denied')
    const ran = await running
    expect([ran.code, ran.stdout.toString()]).toEqual([1, ''])
    expect(ran.stderr).toContain('denied by bo')
    expect(target.ran().filter((line) => line.includes('never'))).toEqual([])
  })

  test('files that are moved need nobody: they are not masked', async () => {
    const ran = await gateway.run(
      'scp',
      [...gateway.options(port), ...ASKED, `web@localhost:${at('customers')}`, at('copied')],
      { token: tokens.oncall! },
    )
    expect([ran.code, ran.stderr]).toEqual([0, ''])
    expect(readFileSync(at('copied'), 'utf8')).toBe(readFileSync(at('customers'), 'utf8'))
  })
})
