// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a shell's own
/**
 * Output of commands without a terminal, masked on its way, with OpenSSH at both ends: text wherever it is cut, what is no text
 * and what programs say to each other unchanged, and a record that has what the client got.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Event } from '@custody/schemas'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const CARD = '4111111111111111'
const MAIL = 'ada.lovelace@example.com'
const POLICY = `
masking:
  rules: []
  detectors: { action: redact }
`
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let gateway: SshUnderTest
let port: number
let token: string
let command: string
const at = (...names: string[]) => join(gateway.directory, ...names)

beforeAll(async () => {
  gateway = sshUnderTest('ssh-masking')
  const target = await gateway.target()
  ;({ port } = await gateway.start({ target, resource: '    recording: full\n', more: POLICY }))
  token = await gateway.token({ subject: 'ada', groups: ['ops'], kind: 'human' })
  command = ['ssh', ...gateway.options(port)].join(' ')
  writeFileSync(
    at('customers.csv'),
    `id,mail,card\n${Array.from({ length: 200 }, (_, i) => `${i},${MAIL},${CARD},ünï ${i}\r\n`).join('')}`,
  )
})
afterAll(() => gateway.stop())

const ssh = (line: string, more: { input?: Buffer | string; words?: string[] } = {}) =>
  gateway.run('ssh', [...gateway.options(port), ...(more.words ?? []), 'web@localhost', line], {
    token,
    input: more.input,
  })

/** Events of the session that ran last. */
async function last(): Promise<Event[]> {
  const all = await gateway.events()
  const { session } = all.findLast(({ kind }) => kind === 'session.opened')!
  return all.filter((one) => one.session?.equals(session!))
}
const recorded = (events: Event[], stream: string) =>
  Buffer.concat(events.flatMap(({ output }) => (output?.stream === stream ? [output.data] : [])))
const completion = (events: Event[]) => events.find(({ kind }) => kind === 'command.completed')!

describe('text', () => {
  test('is masked towards the client and in the record, with the digest of what was released', async () => {
    const ran = await ssh(`cat ${at('customers.csv')}; exit 7`)
    const wanted = readFileSync(at('customers.csv'), 'utf8')
      .replaceAll(MAIL, '[masked]')
      .replaceAll(CARD, '[masked]')
    expect([ran.code, ran.stderr]).toEqual([7, ''])
    expect(ran.stdout.toString()).toBe(wanted)
    const events = await last()
    expect(recorded(events, 'output').equals(ran.stdout)).toBe(true)
    const { response, masks } = completion(events)
    expect(response).toMatchObject({ status: 'error', code: '7' })
    expect(Number(response!.bytes)).toBe(ran.stdout.length)
    expect(response!.digest!.toString('hex')).toBe(sha256(ran.stdout))
    expect(masks).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          rule: 'detectors',
          detector: 'card',
          action: 'redact',
          count: 200,
        }),
        expect.objectContaining({ rule: 'detectors', detector: 'email', count: 200 }),
      ]),
    )
  })

  test('is masked wherever a value is cut, and written in parts', async () => {
    const ran = await ssh(
      `c=${CARD.slice(0, 8)}; c=\${c}${CARD.slice(8)}; for i in $(seq 1 15); do printf 'x %s' "\${c:0:$i}"; sleep 0.05; printf '%s|\\n' "\${c:$i}"; done`,
    )
    expect(ran.stdout.toString()).toBe('x [masked]|\n'.repeat(15))
    for (const { output } of await last())
      expect(output?.data.includes('1111') ?? false).toBe(false)
  })

  test('on stderr too, and each goes its own way', async () => {
    const ran = await ssh(`echo out ${MAIL}; echo err ${MAIL} >&2; printf 'no end' >&2; exit 3`)
    expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([
      3,
      'out [masked]\n',
      'err [masked]\nno end',
    ])
    const events = await last()
    expect(recorded(events, 'error').toString()).toBe('err [masked]\nno end')
    // Nor is it in the command line that is kept.
    expect(events.find(({ kind }) => kind === 'command.started')!.statement!.text).toBe(
      `echo out [masked]; echo err [masked] >&2; printf 'no end' >&2; exit 3`,
    )
  })

  test('what is sent reaches the target as it is, is masked when it comes back, and in the record', async () => {
    const input = `first\n${CARD}\nand ${MAIL}`
    const ran = await ssh(`tee ${at('echoed')}`, { input })
    expect(ran.stdout.toString()).toBe('first\n[masked]\nand [masked]')
    expect(readFileSync(at('echoed'), 'utf8')).toBe(input)
    const events = await last()
    expect(recorded(events, 'input').toString()).toBe('first\n[masked]\nand [masked]')
    expect(completion(events).response!.inputDigest!.toString('hex')).toBe(
      sha256(Buffer.from('first\n[masked]\nand [masked]')),
    )
  })

  test('of a shell without a terminal as well', async () => {
    const ran = await gateway.run('ssh', [...gateway.options(port), '-T', 'web@localhost'], {
      token,
      input: `cat ${at('customers.csv')} | head -2 | tail -1\nexit 5\n`,
    })
    expect([ran.code, ran.stdout.toString()]).toEqual([5, '0,[masked],[masked],ünï 0\r\n'])
  })

  test('a program that asks without an end of line is answered', async () => {
    const child = gateway.spawn(
      'ssh',
      [
        ...gateway.options(port),
        'web@localhost',
        'printf "Name? "; read x; printf "Password: "; read y; echo "$x ${#y}"',
      ],
      { token },
    )
    let shown = ''
    child.stdout!.on('data', (chunk) => {
      shown += chunk
      if (shown.endsWith('Name? ')) child.stdin!.write('ada\n')
      if (shown.endsWith('Password: ')) child.stdin!.write('S3cret-12\n')
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect([code, shown]).toEqual([0, 'Name? Password: ada 9\n'])
    expect(recorded(await last(), 'input').toString()).toBe('ada\n\n')
  })
})

describe('what is no text comes through as it is', () => {
  const inside = `${MAIL} ${CARD}\n`

  test('archives and random bytes, both ways', async () => {
    mkdirSync(at('tree'), { recursive: true })
    writeFileSync(at('tree', 'a.txt'), inside.repeat(100))
    writeFileSync(at('tree', 'b.gz'), gzipSync(Buffer.from(inside)))
    const tar = await ssh(`tar -C ${at('tree')} -c .`)
    expect(tar.code).toBe(0)
    expect(tar.stdout.includes(inside)).toBe(true)
    const listed = await ssh('tar -t; cat >/dev/null', { input: tar.stdout })
    expect(listed.stdout.toString().split('\n').sort()).toEqual(['', './', './a.txt', './b.gz'])
    const input = randomBytes(3_000_000)
    const back = await ssh('cat', { input })
    expect(back.stdout.equals(input)).toBe(true)
  })

  test('scp, sftp, rsync and git, with what detectors would find in files and their names', async () => {
    const name = `${MAIL}.txt`
    mkdirSync(at('there'), { recursive: true })
    writeFileSync(at(name), inside.repeat(5000))
    const same = (file: string) => readFileSync(file).equals(readFileSync(at(name)))
    const options = gateway.options(port)
    for (const flags of [[], ['-O']]) {
      const up = await gateway.run(
        'scp',
        [...flags, ...options, at(name), `web@localhost:${at('there')}/`],
        { token },
      )
      expect([up.code, up.stderr]).toEqual([0, ''])
      expect(same(at('there', name))).toBe(true)
      const down = await gateway.run(
        'scp',
        [...flags, ...options, `web@localhost:${at('there', name)}`, at('down')],
        { token },
      )
      expect([down.code, down.stderr]).toEqual([0, ''])
      expect(same(at('down'))).toBe(true)
      // Of its name what detectors find is not kept, as of a command line.
      const kept = (await last()).filter(({ statement }) => statement != null)
      const texts = kept.map(({ statement }) => statement!.text)
      expect(texts.some((text) => text.includes(at('there', '[masked]')))).toBe(true)
      for (const { statement } of kept)
        expect(
          JSON.stringify([statement!.text, statement!.objects, statement!.attributes]),
        ).not.toContain(MAIL)
    }
    const rsync = await gateway.run(
      'rsync',
      [
        '-a',
        '--rsync-path=env rsync',
        '-e',
        command,
        `web@localhost:${at('there')}/`,
        `${at('synced')}/`,
      ],
      { token },
    )
    expect([rsync.code, rsync.stderr]).toEqual([0, ''])
    expect(same(at('synced', name))).toBe(true)
    const git = (words: string[]) =>
      gateway.run('git', words, {
        token,
        environment: { GIT_SSH_COMMAND: command, GIT_CONFIG_NOSYSTEM: '1' },
      })
    const who = ['-c', `user.name=${MAIL}`, '-c', `user.email=${MAIL}`]
    await git(['init', '-q', '-b', MAIL, at('origin')])
    writeFileSync(at('origin', 'file'), inside)
    await git(['-C', at('origin'), 'add', '.'])
    expect((await git(['-C', at('origin'), ...who, 'commit', '-qm', MAIL])).code).toBe(0)
    for (const version of ['0', '2']) {
      const cloned = await git([
        '-c',
        `protocol.version=${version}`,
        'clone',
        '-q',
        `ssh://web@localhost${at('origin')}`,
        at(`clone${version}`),
      ])
      expect([cloned.code, cloned.stderr]).toEqual([0, ''])
      expect(readFileSync(at(`clone${version}`, 'file'), 'utf8')).toBe(inside)
    }
  })
})

describe('much', () => {
  test('fifty megabytes of it: all there, all masked, memory bounded', async () => {
    const ran: { bytes: number; hash: ReturnType<typeof createHash>; cards: boolean } = {
      bytes: 0,
      hash: createHash('sha256'),
      cards: false,
    }
    const row = (i: number, card: string) => `${i},some ordinary words in a row,${card},end\n`
    const wanted = createHash('sha256')
    for (let i = 1; i <= 1_150_000; i++) wanted.update(row(i, i % 100 === 0 ? '[masked]' : 'none'))
    const before = process.memoryUsage().rss
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss)
    }, 20)
    const child = gateway.spawn(
      'ssh',
      [
        ...gateway.options(port),
        'web@localhost',
        `seq 1 1150000 | awk '{ c = ($1 % 100 == 0) ? "${CARD.slice(0, 8)}" "${CARD.slice(8)}" : "none"; print $1 ",some ordinary words in a row," c ",end" }'; exit 9`,
      ],
      { token },
    )
    child.stdout!.on('data', (chunk: Buffer) => {
      ran.bytes += chunk.length
      ran.hash.update(chunk)
      ran.cards ||= chunk.includes(CARD)
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    clearInterval(watch)
    expect([code, ran.cards]).toEqual([9, false])
    expect(ran.bytes).toBeGreaterThan(50_000_000)
    const digest = ran.hash.digest('hex')
    expect(digest).toBe(wanted.digest('hex'))
    const events = await last()
    expect(completion(events).response!.digest!.toString('hex')).toBe(digest)
    expect(Number(completion(events).masks[0]!.count)).toBe(11_500)
    process.stderr.write(
      `${ran.bytes} bytes masked: ${((most - before) / 2 ** 20).toFixed(0)} MB more\n`,
    )
    expect((most - before) / 2 ** 20).toBeLessThan(250)
  }, 300_000)
})
