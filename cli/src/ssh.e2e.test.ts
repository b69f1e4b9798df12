/** SSH from the command line: certificates, connect, and OpenSSH's own programs by what `custody ssh-config` says. */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type SshServer, startSshServer } from '@custody/ssh-server'
import { readCastHeader, readCastLine, Screen } from '@custody/terminal'
import { standaloneUnderTest, until } from '@custody/test-support'

const standalone = standaloneUnderTest('cli-ssh', (directory) => ({
  CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  CUSTODY_TOKEN: undefined,
  XDG_CONFIG_HOME: join(directory, 'config'),
  SSH_AUTH_SOCK: undefined,
}))
const { directory, environment } = standalone
let target: SshServer

beforeAll(async () => {
  target = await startSshServer({ directory: join(directory, 'target') })
  writeFileSync(
    environment.CUSTODY_CONFIG!,
    JSON.stringify({
      listen: { ssh: 0, postgres: 0 },
      resources: {
        web: {
          protocol: 'ssh',
          address: `127.0.0.1:${target.port}`,
          account: target.account,
          privateKey: { file: target.keyFile },
          hostKeys: target.hostKeys,
        },
      },
    }),
  )
  await standalone.start()
}, 120_000)

afterAll(async () => {
  await standalone.stop()
  await target?.stop()
})

function run(program: string, words: string[], more: NodeJS.ProcessEnv = {}) {
  const child = spawn(program, words, {
    cwd: directory,
    env: { ...environment, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let error = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    error += data
  })
  return new Promise<{ code: number | null; out: string; error: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, out, error })),
  )
}

const cli = join(__dirname, '../bin/custody.js')
const custody = (...words: string[]) => run(process.execPath, [cli, ...words])

test('connect runs ssh with a certificate of its own', async () => {
  const ran = await custody(
    'connect',
    'web',
    '--subject',
    'ada',
    '--reason',
    'INC 42',
    '--reveal',
    '--',
    'echo',
    'connected',
  )
  expect([ran.code, ran.out, ran.error]).toEqual([0, 'connected\n', ''])
  const listed = await custody('events', '--kind', 'command.started', '--json')
  const event = listed.out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .find((one) => JSON.stringify(one).includes('echo connected'))
  expect(JSON.stringify(event)).toContain('INC 42')
  expect(JSON.stringify(event)).toMatch(/"reveal(?:"|\W+on)/)
  expect(JSON.stringify(event)).toContain('"ada"')
})

test('--print gives a line for a shell', async () => {
  const { out } = await custody('connect', 'web', '--print')
  const ran = await run('sh', ['-c', `${out.trim()} 'echo "by hand"'`])
  expect([ran.code, ran.out]).toEqual([0, 'by hand\n'])
})

test('a certificate is kept while it is good, readable by its owner only, and a key of one’s own is certified', async () => {
  const first = JSON.parse((await custody('ssh-certificate', '--json')).out)
  expect(statSync(first.key).mode & 0o777).toBe(0o600)
  const again = JSON.parse((await custody('ssh-certificate', '--if-needed', '--json')).out)
  expect(again.id).toBe(first.id)
  expect(JSON.parse((await custody('ssh-certificate', '--json')).out).id).not.toBe(first.id)
  const { out } = await custody(
    'ssh-certificate',
    '--public-key',
    `${target.keyFile}.pub`,
    '--ttl',
    '5m',
  )
  expect(out).toMatch(/^ssh-ed25519-cert-v01@openssh\.com AAAA/)
  expect(readFileSync(first.knownHosts, 'utf8')).toMatch(/^@cert-authority \* ssh-ed25519 /)
})

test('ssh-config leads OpenSSH’s programs through, and makes the certificate anew', async () => {
  const { out } = await custody(
    'ssh-config',
    '--prefix',
    'by-',
    '--command',
    `${process.execPath} ${cli}`,
  )
  mkdirSync(join(directory, 'user'), { recursive: true })
  const config = join(directory, 'user', 'config')
  writeFileSync(config, out)
  const ran = await run('ssh', ['-F', config, 'by-web', 'echo configured'], {
    XDG_CONFIG_HOME: environment.XDG_CONFIG_HOME,
  })
  expect([ran.code, ran.out]).toEqual([0, 'configured\n'])
  writeFileSync(join(directory, 'file'), 'content')
  const copied = await run('scp', [
    '-F',
    config,
    join(directory, 'file'),
    `by-web:${join(directory, 'copied')}`,
  ])
  expect([copied.code, copied.error]).toEqual([0, ''])
  expect(readFileSync(join(directory, 'copied'), 'utf8')).toBe('content')
})

test('a terminal is replayed: here, and as an asciicast that draws what was drawn', async () => {
  const { out } = await custody('connect', 'web', '--print')
  const ran = await run('sh', [
    '-c',
    `${out.trim()} -tt "printf '\\033[31mred\\033[0m 日本\\r\\n'; sleep 0.3; seq 1 50; echo end"`,
  ])
  expect([ran.code, ran.out]).toEqual([0, expect.stringContaining('end\r\n')])
  const { out: text, code } = await custody('replay', 'last', '--cast', '-')
  expect(code).toBe(0)
  const [header, ...lines] = text.trimEnd().split('\n')
  const { width, height } = readCastHeader(header!)
  const events = lines.map((line) => readCastLine(line)!)
  const shown = events.flatMap(({ kind, data }) => (kind === 'o' ? [data] : []))
  expect(shown.join('')).toBe(ran.out)
  expect(events.at(-1)!.seconds).toBeGreaterThan(0.3)
  const [real, replayed] = [0, 1].map(() => new Screen(width, height, 200_000, 1000))
  real!.write(Buffer.from(ran.out))
  for (const piece of shown) replayed!.write(Buffer.from(piece))
  expect(replayed!.frame()).toBe(real!.frame())

  const file = join(directory, 'session.cast')
  expect((await custody('replay', 'last', '--cast', file)).code).toBe(0)
  expect(readFileSync(file, 'utf8')).toBe(text)
  expect(statSync(file).mode & 0o077).toBe(0)
  const played = await custody('replay', 'last', '--speed', '100')
  expect(played.out).toContain(ran.out)
  // Who looked is in the record.
  const looks = await custody('events', '--kind', 'audit.replay', '--json')
  expect(looks.out.trim().split('\n').length).toBeGreaterThanOrEqual(3)
})

describe('watching', () => {
  /** Somebody at a terminal: types what they are told to. */
  async function somebody(line: string) {
    const { out } = await custody('connect', 'web', '--subject', 'grace', '--print')
    const child = spawn('sh', ['-c', `exec ${out.trim()} -tt ${line}`], {
      cwd: directory,
      env: environment,
    })
    let shown = ''
    child.stdout.on('data', (data) => {
      shown += data
    })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    return { child, ended, shown: () => shown }
  }

  function watch(words: string[], more: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, [cli, 'watch', ...words], {
      cwd: directory,
      env: { ...environment, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const seen = { out: '', error: '' }
    child.stdout.on('data', (data) => {
      seen.out += data
    })
    child.stderr.on('data', (data) => {
      seen.error += data
    })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    return { child, ended, seen }
  }

  const kinds = async (kind: string) =>
    (await custody('events', '--kind', kind, '--json', '--limit', '100')).out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))

  async function openSession(): Promise<string> {
    let id = ''
    await until(async () => {
      const { out } = await custody('sessions', '--identity', 'grace', '--limit', '1', '--json')
      const [one] = out
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
      id = one?.state === 'open' ? one.id : ''
      return id !== ''
    })
    return id
  }

  test('a live terminal is followed as it is drawn, until it ends; that somebody watched is recorded', async () => {
    const one = await somebody(
      `'printf "be\\033[32mfore\\n"; while read x; do echo "now $x"; done; echo over'`,
    )
    await until(() => one.shown().includes('fore'))
    const id = await openSession()
    const { child, ended, seen } = watch([id])
    // What was drawn before, as it was.
    await until(() => seen.out.includes('be\x1b[32mfore'))
    for (const word of ['first', 'second']) {
      one.child.stdin.write(`${word}\r`)
      await until(() => seen.out.includes(`now ${word}`))
    }
    expect(child.exitCode).toBe(null)
    const begun = await kinds('audit.watch')
    expect(begun.map(({ audit }) => audit.subject)).toContain(`session ${id}`)
    one.child.stdin.write('\x04')
    expect([await one.ended, await ended]).toEqual([0, 0])
    expect(seen.out).toContain(one.shown())
    expect(seen.error).toContain('watching ended: the session is over')
    await until(async () =>
      (await kinds('audit.watched')).some(({ audit }) => audit.subject === `session ${id}`),
    )
    const again = watch([id])
    expect([await again.ended, again.seen.out]).toEqual([1, ''])
    expect(again.seen.error).toContain('can be replayed')
  })

  test('only who may see the session may watch it, and only as long as they may', async () => {
    const one = await somebody(`'echo ready; read x'`)
    await until(() => one.shown().includes('ready'))
    const id = await openSession()
    const tokenOf = async (...words: string[]) =>
      JSON.parse((await custody('token', ...words, '--json')).out) as {
        id: string
        token: string
      }
    const stranger = watch([id], { CUSTODY_TOKEN: (await tokenOf('--subject', 'mallory')).token })
    expect([await stranger.ended, stranger.seen.out]).toEqual([1, ''])
    expect(stranger.seen.error).toContain('CUSTODY-API-003')
    const { token, id: tokenId } = await tokenOf('--subject', 'grace')
    const own = watch([id], { CUSTODY_TOKEN: token })
    await until(() => own.seen.out.includes('ready'))
    expect((await custody('token', 'revoke', tokenId)).code).toBe(0)
    expect(await own.ended).toBe(0)
    expect(own.seen.error).toMatch(/watching ended: .*(revoked|no longer)/i)
    one.child.stdin.write('\r')
    expect(await one.ended).toBe(0)
  })

  test('who has seen enough goes, and the session goes on', async () => {
    const one = await somebody(`'echo ready; read x; echo "still $x"'`)
    await until(() => one.shown().includes('ready'))
    const id = await openSession()
    const { child, ended, seen } = watch([id])
    await until(() => seen.out.includes('ready'))
    child.kill('SIGINT')
    expect(await ended).toBe(0)
    // Left as it was found.
    expect(seen.out).toContain('\x1b[?1049l')
    one.child.stdin.write('here\r')
    expect(await one.ended).toBe(0)
    expect(one.shown()).toContain('still here')
  })
})

test('what is no resource is said before anything runs', async () => {
  const ran = await custody('connect', 'root@nothing')
  expect(ran.code).toBe(1)
  expect(ran.error).toContain('CUSTODY-CLI-004')
})
