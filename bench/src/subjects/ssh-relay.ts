/**
 * The floor for SSH: a relay made of ssh2 alone, which lets everybody in, opens for each channel one at the target, and pipes
 * both into each other. It decides, records and looks at nothing. `ssh-relay.js <target port> <account> <key file>`; tells
 * its own port on the first line.
 */
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type AuthContext, Client, type ClientChannel, Server, type ServerChannel } from 'ssh2'

const [port, account, keyFile] = process.argv.slice(2)
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const hostKey = privateKey.export({ type: 'pkcs1', format: 'pem' })

const server = new Server({ hostKeys: [hostKey] }, (connection) => {
  const target = new Client()
  // A byte that is typed doesn't wait for the next one: OpenSSH's programs see to that as well.
  ;(connection as unknown as { setNoDelay(): void }).setNoDelay()
  target.on('connect', () => target.setNoDelay())
  let ready: Promise<void>
  connection.on('error', () => target.end())
  connection.on('close', () => target.end())
  connection.on('authentication', (asked: AuthContext) => {
    if (asked.method !== 'password') {
      asked.reject(['password'])
      return
    }
    ready = new Promise((resolve, reject) => {
      target.once('ready', resolve)
      target.on('error', reject)
    })
    ready.then(
      () => asked.accept(),
      () => asked.reject(),
    )
    target.connect({
      host: '127.0.0.1',
      port: Number(port),
      username: account!,
      privateKey: readFileSync(keyFile!),
    })
  })
  connection.on('session', (accept) => {
    const session = accept()
    let terminal: { term: string; cols: number; rows: number } | null = null
    session.on('pty', (take, _, info) => {
      terminal = { term: 'xterm', cols: info.cols, rows: info.rows }
      take?.()
    })
    const joined = (channel: ServerChannel) => (error: Error | undefined, far: ClientChannel) => {
      if (error) {
        channel.close()
        return
      }
      channel.pipe(far)
      far.pipe(channel, { end: false })
      far.stderr.pipe(channel.stderr)
      far.on('exit', (code: number | null, signal?: string) => {
        if (code !== null) channel.exit(code)
        else channel.exit(signal ?? 'TERM', false, '')
      })
      far.on('close', () => channel.end())
    }
    session.on('exec', (take, _, { command }) => {
      target.exec(command, terminal === null ? {} : { pty: terminal }, joined(take()))
    })
    session.on('subsystem', (take, _, { name }) => {
      target.subsys(name, joined(take()))
    })
  })
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as { port: number }).port}\n`)
})
