// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a shell's own
/** Lines reconstructed from what real shells show in real terminals. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openTerminal, replayed, type TerminalUnderTest } from './pty-under-test'
import type { TerminalEvent } from './types'

let home: string
let terminal: TerminalUnderTest
let isBash: boolean

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'custody-terminal-'))
  writeFileSync(join(home, '.bashrc'), "PS1='web$ '\n")
  writeFileSync(join(home, 'numbers'), Array.from({ length: 200 }, (_, i) => `row ${i}`).join('\n'))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))
afterEach(async () => {
  await terminal.end()
  // However the target's bytes are cut, the same comes of them.
  expect(told(replayed(terminal.log, 1))).toEqual(told(terminal.events))
})

/** What does not depend on the moment at which something was looked at. */
const told = (events: readonly TerminalEvent[]) =>
  events.flatMap((event) =>
    event.kind === 'line'
      ? [[event.text, event.inferred, event.prompt]]
      : event.kind === 'hidden'
        ? [['hidden', event.prompt]]
        : [],
  )

const UP = '\x1b[A'
const LEFT = '\x1b[D'
const lines = () => terminal.events.flatMap((event) => (event.kind === 'line' ? [event.text] : []))
const input = () =>
  terminal.events.map((event) => (event.kind === 'input' ? event.data.toString() : '')).join('')

async function open(program: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  isBash = program[0] === 'bash'
  terminal = await openTerminal(program, { HOME: home, ...environment })
}

/** Waits until bash, and not the terminal alone, takes what is typed. */
const ready = () => terminal.until(() => /(?:web\$|>) $/.test(terminal.shown()))

/** Types a line, and what it shows is there. */
async function run(line: string, shows: string | RegExp) {
  if (isBash) await ready()
  await terminal.type(line)
  await terminal.type('\r')
  await terminal.see(shows)
}

describe('bash', () => {
  beforeEach(async () => {
    await open(['bash', '--noprofile', '-i'])
    await terminal.see('web$ ')
  })

  it('gives what was typed, with its prompt and when it was over', async () => {
    await run('echo one', '\none\n')
    await terminal.see('web$ ')
    await run('echo two  three', '\ntwo three')
    await terminal.see('web$ ')
    await terminal.type('x')
    expect(lines()).toEqual(['echo one', 'echo two  three'])
    const [line] = terminal.events.filter((event) => event.kind === 'line')
    expect(line).toMatchObject({ prompt: 'web$ ', inferred: true, continued: false, cut: false })
    const [end] = terminal.events.filter((event) => event.kind === 'end')
    const shown = Buffer.concat(terminal.pieces.map(({ data }) => data))
    const answer = shown.subarray(
      (line as { outputStart: number }).outputStart,
      (end as { outputEnd: number }).outputEnd,
    )
    expect(answer.toString().replaceAll('\x1b[?2004l\r', '').replaceAll('\x1b[?2004h', '')).toBe(
      'one\r\n',
    )
    expect(input()).toContain('echo one\r')
  })

  it('knows the line that was edited', async () => {
    await run(`echo wrold\x7f\x7f\x7f\x7forld${LEFT}${LEFT}\x1b[C\x1b[C again`, '\nworld again')
    await run('echo lost\x15echo kept', '\nkept')
    await run(`cho moved\x01e\x05 end`, '\nmoved end')
    await run('echo a b c\x17d', '\na b d')
    expect(lines()).toEqual(['echo world again', 'echo kept', 'echo moved end', 'echo a b d'])
  })

  it('knows lines from the history, found and recalled', async () => {
    await run('echo first', '\nfirst')
    await run('echo second', '\nsecond')
    await ready()
    await terminal.type(UP)
    await terminal.see('echo second')
    await terminal.type(UP)
    await terminal.see('first')
    await terminal.type('\r')
    await terminal.see('\nfirst')
    await ready()
    await terminal.type('\x12')
    await terminal.see('i-search')
    await terminal.type('sec')
    await terminal.see(/sec/)
    await terminal.see('second')
    await terminal.until(() => terminal.recorder.pendingLine()?.text === 'echo second')
    await terminal.type('\r')
    await terminal.see('\nsecond')
    expect(lines()).toEqual(['echo first', 'echo second', 'echo first', 'echo second'])
  })

  it('knows what completion made of it', async () => {
    await terminal.type(`cat ${home}/num\t`)
    await terminal.see('numbers')
    await terminal.type('| tail -1')
    await terminal.see('tail -1')
    await terminal.type('\r')
    await terminal.see('row 199')
    expect(lines()).toEqual([`cat ${home}/numbers | tail -1`])
  })

  it('joins what is typed over several rows of the screen, and over several lines', async () => {
    const long = `echo ${'abcdefghij'.repeat(20)}`
    await run(long, /\nabcdefghij/)
    await run('for i in 1 2; do', '> ')
    await run('echo n$i', '> ')
    expect(terminal.recorder.pendingLine()).toBe(null)
    await ready()
    await terminal.type('done')
    expect(terminal.recorder.pendingLine()?.text).toBe('for i in 1 2; do\necho n$i\ndone')
    await terminal.type('\r')
    await terminal.see('\nn2')
    expect(lines()).toEqual([
      long,
      'for i in 1 2; do',
      'for i in 1 2; do\necho n$i',
      'for i in 1 2; do\necho n$i\ndone',
    ])
  })

  it('knows a paste of several lines as one', async () => {
    await ready()
    terminal.send('\x1b[200~echo p1\necho p2\x1b[201~')
    await terminal.see('p2')
    expect(lines()).toEqual([])
    await terminal.type('\r')
    await terminal.see('\np2')
    expect(lines()).toEqual(['echo p1\necho p2'])
  })

  it('never keeps a password, nor its length', async () => {
    await run("read -s -p 'Pass''word: ' x; echo; echo got ${#x}", 'Password: ')
    terminal.send('s3cret-Hunter2')
    expect(terminal.recorder.pendingLine()).toBe(null)
    terminal.send('\r')
    await terminal.see('got 14')
    await terminal.see('web$ ')
    await run('echo after', '\nafter')
    await terminal.type('y')
    const hidden = terminal.events.filter((event) => event.kind === 'hidden')
    expect(hidden).toMatchObject([{ prompt: 'Password: ' }])
    expect(JSON.stringify(terminal.events)).not.toContain('Hunter2')
    expect(input()).not.toMatch(/s3cret|Hunter/)
    expect(Object.keys(hidden[0]!).sort()).toEqual([
      'enteredAt',
      'kind',
      'outputStart',
      'prompt',
      'startedAt',
    ])
    expect(lines()).toEqual([expect.stringContaining('read -s'), 'echo after'])
  })

  it('nor one that is asked for as sudo does it, or shown as stars', async () => {
    const ask = `import getpass; print(len(getpass.getpass('[sudo] password for ada: ')))`
    await run(`python3 -c "${ask}"`, '\n[sudo] password for ada: ')
    terminal.send('Tr0ub4dor\r')
    await terminal.see('\n9')
    await terminal.see('web$ ')
    // What comes before a program has turned echo off, or between two reads of which each does, is shown by the terminal
    // itself, and so no secret to anybody: a program that means it turns it off before it asks.
    const stars = `stty -echo; printf 'PIN''? '; while IFS= read -rsn1 c && [ -n "$c" ]; do printf '*'; done; stty echo; echo`
    await run(stars, '\nPIN? ')
    terminal.send('abc')
    await terminal.see('***')
    terminal.send('\r')
    await terminal.see('web$ ')
    await run('echo z', '\nz')
    expect(input()).not.toMatch(/Tr0ub|abc/)
    expect(terminal.events.filter(({ kind }) => kind === 'hidden')).toHaveLength(2)
    expect(lines()).toEqual([expect.stringContaining('getpass'), stars, 'echo z'])
  })

  it('makes no lines of what is typed into full-screen programs', async () => {
    await terminal.type(`vim -u NONE ${home}/numbers`)
    await terminal.type('\r')
    await terminal.until(() => terminal.recorder.isFullScreen)
    await terminal.see('row 5')
    terminal.send('ihello\x1b')
    await terminal.see('hello')
    terminal.send(':q!\r')
    await terminal.until(() => !terminal.recorder.isFullScreen)
    await terminal.see('web$ ')
    await terminal.type(`less ${home}/numbers`)
    await terminal.type('\r')
    await terminal.see('row 5')
    terminal.send('q')
    await terminal.see('web$ ')
    await run('echo back', '\nback')
    expect(lines()).toEqual([`vim -u NONE ${home}/numbers`, `less ${home}/numbers`, 'echo back'])
    expect(input()).not.toContain('hello')
  })

  it('knows lines after the screen was cleared, the window changed, and Ctrl-C', async () => {
    await terminal.type('echo cle')
    terminal.send('\x0c')
    await terminal.see('echo cle')
    await terminal.type('ar')
    await terminal.see('ar')
    await terminal.type('\r')
    await terminal.see('\nclear')
    await terminal.see('web$ ')
    await terminal.type('echo never')
    await terminal.type('\x03')
    await terminal.see('web$ ')
    terminal.resize(40, 10)
    await run('echo small', '\nsmall')
    terminal.resize(120, 40)
    await run('echo large', '\nlarge')
    expect(lines()).toEqual(['echo clear', 'echo small', 'echo large'])
  })

  it('knows what was typed ahead', async () => {
    await terminal.type('sleep 1')
    await terminal.type('\r')
    await terminal.see('\n')
    await terminal.type('echo ahead')
    await terminal.see('web$ ')
    await terminal.see('ahead')
    await terminal.type('\r')
    await terminal.see('\nahead')
    expect(lines()).toEqual(['sleep 1', 'echo ahead'])
  })

  it('is not held up by much output, and knows the line after it', async () => {
    await run('seq 1 200000; echo end', '\nend\n')
    await terminal.see('web$ ')
    await run('echo now', '\nnow')
    expect(lines()).toEqual(['seq 1 200000; echo end', 'echo now'])
  })

  it('gives wide characters and colours as they are', async () => {
    await run('echo "日本 ünï 😀"', /\n.*\u00e6/)
    expect(lines()).toEqual(['echo "日本 ünï 😀"'])
  })
})

describe('marks of a shell', () => {
  beforeEach(async () => {
    writeFileSync(
      join(home, 'marks'),
      `PS1='\\[\\e]133;A\\a\\]web$ \\[\\e]133;B\\a\\]'
PS0='\\[\\e]133;C\\a\\]'
PROMPT_COMMAND='printf "\\e]133;D;%s\\a\\e]7;file://web%s\\a" "$?" "$PWD"'
`,
    )
    await open(['bash', '--noprofile', '--rcfile', join(home, 'marks'), '-i'])
    await terminal.see('web$ ')
  })

  it('make lines exact, with their exit status and directory', async () => {
    await run('cd /tmp', 'web$ ')
    await run('false', 'web$ ')
    await run('echo 1', '\n')
    await terminal.see('web$ ')
    expect(terminal.events.filter(({ kind }) => kind === 'line')).toMatchObject([
      { text: 'cd /tmp', inferred: false },
      { text: 'false', inferred: false, directory: '/tmp' },
      { text: 'echo 1', inferred: false },
    ])
    expect(terminal.events.filter(({ kind }) => kind === 'end')).toMatchObject([
      { exitStatus: 0, inferred: false },
      { exitStatus: 1, inferred: false },
      { exitStatus: 0, inferred: false },
    ])
  })

  it('and what a shell says of a line is told beside what was shown', async () => {
    await run(`printf '\\e]633;E;ls \\\\x2dl\\a'`, 'web$ ')
    await terminal.type('x')
    const [line] = terminal.events.filter(({ kind }) => kind === 'line')
    // Said too late for its own line: the line is what was shown.
    expect(line).toMatchObject({ text: `printf '\\e]633;E;ls \\\\x2dl\\a'`, screenText: null })
  })
})

describe.each([
  ['zsh', ['zsh', '-f', '-i'], { PS1: 'web%# ', ZDOTDIR: '/nonexistent' }, /\w[#%] /],
  ['dash', ['dash', '-i'], { PS1: 'web$ ' }, /[#$] /],
  [
    'fish',
    [
      'fish',
      '--no-config',
      '-i',
      '-C',
      'function fish_prompt; echo -n "web> "; end; function fish_right_prompt; echo -n right; end',
    ],
    {},
    /web> /,
  ],
] as const)('%s', (shell, program, environment, prompt) => {
  it('gives what was typed and edited, and keeps no password', async () => {
    await open([...program], environment)
    await terminal.see(prompt)
    await run('echo one', /\none/)
    await terminal.see(prompt)
    await run('echo twx\x7fo', /\ntwo/)
    await terminal.see(prompt)
    if (shell !== 'dash') {
      await terminal.type(UP)
      await terminal.see('echo')
      await terminal.type(UP)
      await terminal.see('one')
      await terminal.type('\r')
      await terminal.see(/\none/)
      await terminal.see(prompt)
    }
    const ask = `python3 -c "import getpass; print(len(getpass.getpass('Password: ')))"`
    await run(ask, /\nPassword: /)
    terminal.send('Tr0ub4dor\r')
    await terminal.see(/\n9/)
    await terminal.see(prompt)
    await run('echo end', /\nend/)
    expect(lines()).toEqual([
      'echo one',
      'echo two',
      ...(shell === 'dash' ? [] : ['echo one']),
      ask,
      'echo end',
    ])
    expect(terminal.events.filter(({ kind }) => kind === 'hidden')).toHaveLength(1)
    expect(input()).not.toContain('Tr0ub')
  })
})
