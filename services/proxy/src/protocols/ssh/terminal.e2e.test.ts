// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a shell's own
/**
 * What is typed into a terminal through the gateway, with OpenSSH at both ends: lines as commands, held and refused at Enter,
 * no secrets, output masked, and a recording that draws what was drawn.
 */

import type { Event } from '@custody/schemas'
import { Screen } from '@custody/terminal'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const CARD = '4111111111111111'
const PROMPT = /[#$] $/

let test_: SshUnderTest
let port: number
let token: string

const POLICY = `
policy:
  templates: [{ use: allow-everything }, { use: dangerous-shell }]
masking:
  rules: []
  detectors: { action: redact }
`

beforeAll(async () => {
  test_ = sshUnderTest('ssh-terminal')
  const target = await test_.target()
  ;({ port } = await test_.start({ target, more: POLICY }))
  token = await test_.token({ subject: 'ada', groups: ['ops'], kind: 'human' })
})
afterAll(() => test_.stop())

const terminal = (steps: readonly [RegExp, string][]) =>
  test_.terminal([...test_.options(port), 'web@localhost'], steps, { token })

/** Events of the last session. */
async function session(): Promise<Event[]> {
  const all = await test_.events()
  const last = all.findLast(({ kind }) => kind === 'session.opened')!
  return all.filter(({ session: one }) => one?.equals(last.session!))
}
const typed = (events: Event[], kind = 'command.started') =>
  events.filter((one) => one.kind === kind && one.statement?.interface === 'typed')
const plain = (value: unknown) =>
  JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? String(one) : one))

test('lines are commands, recorded before they run, with the shell that they were typed into', async () => {
  await terminal([
    [PROMPT, 'echo a$((40+2))\r'],
    [/a42[\s\S]*[#$] $/, 'echo wrng\x7f\x7fong\r'],
    [/wrong\r\n[\s\S]*[#$] $/, 'exit 3\r'],
  ])
  const events = await session()
  const shell = events.find(({ statement }) => statement?.interface === 'shell')!
  const lines = typed(events)
  expect(lines.map(({ statement }) => statement!.text)).toEqual([
    'echo a$((40+2))',
    'echo wrong',
    'exit 3',
  ])
  for (const { parent, statement, decision } of lines) {
    expect(parent!.equals(shell.id)).toBe(true)
    expect(statement!.attributes).toMatchObject({ inferred: 'true' })
    expect(statement!.verbs).toContain('shell:run')
    expect(decision!.outcome).toBe('allow')
  }
  const at = (test: (event: Event) => boolean) => events.findIndex(test)
  expect(at((one) => one === lines[0])).toBeLessThan(
    at(({ output }) => output?.data.includes('a42') ?? false),
  )
  // Keys are kept where they were shown.
  const keys = events.flatMap(({ output }) =>
    output?.stream === 'input' ? [output.data.toString()] : [],
  )
  expect(keys.join('')).toContain('echo a$((40+2))\r')
  for (const { id } of lines)
    expect(
      events.filter(({ kind, command }) => kind === 'command.completed' && command!.equals(id)),
    ).toHaveLength(1)
})

test('a line that a policy forbids is not run, and the shell goes on', async () => {
  const ran = await terminal([
    [PROMPT, 'rm -rf --no-preserve-root /nonexistent-custody\r'],
    [/refused[\s\S]*[#$] $/, 'echo st$((1))ll here\r'],
    [/st1ll here[\s\S]*[#$] $/, 'exit\r'],
  ])
  expect(ran.stdout.toString()).toContain('custody: refused: shell:destroy')
  const events = await session()
  expect(typed(events, 'command.blocked').map(({ statement }) => statement!.text)).toEqual([
    'rm -rf --no-preserve-root /nonexistent-custody',
  ])
  expect(typed(events).map(({ statement }) => statement!.text)).toEqual([
    'echo st$((1))ll here',
    'exit',
  ])
})

test('a line that needs approval waits at Enter; Ctrl-C takes it back', async () => {
  const ran = await terminal([
    [PROMPT, 'sudo touch /tmp/custody-never\r'],
    [/waiting for approval[\s\S]*custody approve/, '\x03'],
    [/[#$] $/, 'echo af$((1))er\r'],
    [/af1er[\s\S]*[#$] $/, 'exit\r'],
  ])
  expect(ran.stdout.toString()).toContain('shell:elevate')
  const events = await session()
  expect(events.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['approval.requested', 'approval.withdrawn']),
  )
  expect(typed(events).map(({ statement }) => statement!.text)).toEqual(['echo af$((1))er', 'exit'])
})

test('what is typed where nothing is shown is not in the record, nor its length', async () => {
  await terminal([
    [PROMPT, 'read -s -p "Pass""word: " x; echo got ${#x}\r'],
    [/Password: $/, 'S3cret-typed\r'],
    [/got 12[\s\S]*[#$] $/, 'exit\r'],
  ])
  const events = await session()
  expect(plain(events)).not.toContain('S3cret')
  for (const { output } of events) expect(output?.data.includes('S3cret') ?? false).toBe(false)
  expect(events.filter(({ kind }) => kind === 'terminal.hidden')).toMatchObject([
    { lifecycle: { attributes: { prompt: 'Password: ' } } },
  ])
})

test('what detectors find is masked on the screen and in the record, and moves nothing', async () => {
  const ran = await terminal([
    [PROMPT, "printf '%s%s|\\n' 41111111 11111111\r"],
    [/\|\r\n[\s\S]*[#$] $/, 'exit\r'],
  ])
  expect(ran.stdout.toString()).not.toContain(CARD)
  expect(ran.stdout.toString()).toContain('[masked]********|\r\n')
  const events = await session()
  for (const { output } of events) expect(output?.data.includes(CARD) ?? false).toBe(false)
  expect(plain(events)).not.toContain(CARD)
  const shell = events.find(({ statement }) => statement?.interface === 'shell')!
  const completed = events.find(
    ({ kind, command }) => kind === 'command.completed' && command!.equals(shell.id),
  )!
  expect(completed.masks).toMatchObject([{ detector: 'card' }])
})

test('what was recorded draws what was shown', async () => {
  const ran = await terminal([
    [PROMPT, 'for i in $(seq 1 60); do printf "\\033[3$((i%8))mrow %s\\033[0m 日本\\n" $i; done\r'],
    [/row 60[\s\S]*[#$] $/, 'vim -u NONE /etc/os-release\r'],
    [/PRETTY_NAME/, ':q!\r'],
    [/[#$] $/, 'exit\r'],
  ])
  const events = await session()
  const shell = events.find(({ statement }) => statement?.interface === 'shell')!
  const pieces = events.flatMap(({ output, command }) =>
    output?.stream === 'terminal' && command!.equals(shell.id) ? [output.data] : [],
  )
  expect(Buffer.concat(pieces).equals(ran.stdout)).toBe(true)
  const { columns, rows } = shell.statement!.attributes as Record<string, string>
  const [real, replayed] = [0, 1].map(
    () => new Screen(Number(columns), Number(rows), 200_000, 1000),
  )
  // Frame by frame: after each recorded piece, the client's terminal had drawn the same.
  let at = 0
  for (const piece of pieces) {
    replayed!.write(piece)
    real!.write(ran.stdout.subarray(at, at + piece.length))
    at += piece.length
    expect(replayed!.frame()).toBe(real!.frame())
  }
})
