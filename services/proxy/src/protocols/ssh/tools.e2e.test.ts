/**
 * Tools that bring their own idea of SSH, through a gateway to OpenSSH's own server: Ansible, and what editors that work at
 * the target do: a server put there, started, and reached by forwarding. Unmodified, with nothing but a host and a port.
 */
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const PYTHON = join(__dirname, '../../../../../node_modules/.cache/custody-drivers/python')

let under: SshUnderTest
let port: number
let token: string

beforeAll(async () => {
  under = sshUnderTest('ssh-tools')
  const target = await under.target()
  ;({ port } = await under.start({ target }))
  token = await under.token({ subject: 'ada', email: 'ada@example.com', groups: ['dev'] })
})

afterAll(() => under.stop())

const texts = async () =>
  (await under.events())
    .filter(({ kind }) => kind === 'command.started')
    .map(({ statement }) => String(statement!.text))

test.each(['ping', 'copy'])('ansible -m %s', async (module) => {
  expect(existsSync(join(PYTHON, 'ansible'))).toBe(true)
  const copied = join(under.directory, 'copied')
  writeFileSync(join(under.directory, 'source'), 'some content\n')
  const inventory = join(under.directory, 'inventory')
  writeFileSync(
    inventory,
    `one ansible_host=localhost ansible_port=${port} ansible_user=web ansible_password=${token} ansible_python_interpreter=${process.env.PYTHON ?? '/usr/bin/python3'}\n`,
  )
  const words = module === 'copy' ? ['-a', `src=${under.directory}/source dest=${copied}`] : []
  const environment = {
    PYTHONPATH: PYTHON,
    ANSIBLE_HOME: join(under.directory, 'ansible'),
    ANSIBLE_SSH_COMMON_ARGS: under.options(port).join(' '),
    ANSIBLE_REMOTE_TEMP: join(under.directory, 'remote'),
    ANSIBLE_HOST_KEY_CHECKING: 'true',
    LC_ALL: 'C.UTF-8',
  }
  const ran = await under.run(
    join(PYTHON, 'bin/ansible'),
    ['-i', inventory, 'one', '-m', module, ...words],
    { token, environment },
  )
  expect([ran.stdout.toString(), ran.stderr, ran.code]).toEqual([
    expect.stringMatching(module === 'ping' ? /"ping": "pong"/ : /"checksum"/),
    expect.anything(),
    0,
  ])
  if (module === 'copy') expect(readFileSync(copied, 'utf8')).toBe('some content\n')
  expect((await texts()).some((text) => text.includes('python3'))).toBe(true)
})

test('an editor’s server: put there, started over a shell, reached by forwarding, all over one connection', async () => {
  const there = join(under.directory, 'editor-server')
  mkdirSync(there)
  const remote = await freePort()
  const local = await freePort()
  writeFileSync(
    join(under.directory, 'server.js'),
    `require('node:net').createServer((s) => s.pipe(s)).listen(${remote}, '127.0.0.1', () => console.log('listening=${remote}'))\n`,
  )
  const control = join(under.directory, 'c')
  const master = under.spawn(
    'ssh',
    [...under.options(port), '-M', '-S', control, '-N', '-D', String(local), 'web@localhost'],
    { token },
  )
  try {
    while (!existsSync(control)) await new Promise((resolve) => setTimeout(resolve, 50))
    const shared = [...under.options(port), '-o', `ControlPath=${control}`]
    const put = await under.run('scp', [
      ...shared,
      '-q',
      join(under.directory, 'server.js'),
      `web@localhost:${there}/`,
    ])
    expect([put.code, put.stderr]).toEqual([0, ''])
    // Told to a shell that reads its commands from its input, as editors do it.
    const shell = under.spawn('ssh', [...shared, '-T', 'web@localhost', 'bash'], {})
    shell.stdin!.write(`cd ${there} && ${process.execPath} server.js\n`)
    let said = ''
    while (!said.includes('listening=')) {
      const [chunk] = await once(shell.stdout!, 'data')
      said += chunk
    }
    const content = Buffer.alloc(300_000, 'through a tunnel ')
    expect((await throughSocks(local, remote, content)).equals(content)).toBe(true)
    shell.kill('SIGKILL')
    const all = await texts()
    expect(all).toEqual(expect.arrayContaining(['bash', `direct-tcpip 127.0.0.1:${remote}`]))
    expect(all.some((text) => text.startsWith(`open ${there}/server.js to write`))).toBe(true)
  } finally {
    master.kill('SIGTERM')
  }
})

/** SOCKS5, as ssh -D speaks it; sends, and takes as much back. */
async function throughSocks(proxy: number, port: number, content: Buffer): Promise<Buffer> {
  const socket = connect(proxy, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(Buffer.from([5, 1, 0]))
  await once(socket, 'data')
  socket.write(Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]))
  const [answer] = await once(socket, 'data')
  expect(answer[1]).toBe(0)
  socket.write(content)
  const got: Buffer[] = []
  let bytes = 0
  while (bytes < content.length) {
    const [chunk] = await once(socket, 'data')
    got.push(chunk)
    bytes += chunk.length
  }
  socket.destroy()
  return Buffer.concat(got)
}
