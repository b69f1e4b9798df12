/**
 * A gateway with one SSH resource before a real OpenSSH server, and OpenSSH's client to come to it with: in a home of its own
 * that goes away with it, with its record read back. Refuses to read a record whose chain or sequence has a gap.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import {
  type CredentialVerifier,
  createTokenVerifier,
  issueToken,
  loadSshAuthority,
  loadTokenKeys,
  type TokenRequest,
} from '@custody/identity'
import { type Home, parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { decodeMessage, type Event, sha256 } from '@custody/schemas'
import { type SshServer, type SshServerOptions, startSshServer } from '@custody/ssh-server'
import { temporaryDirectory } from '@custody/test-support'
import { createProxy, type ProxyOptions, type Proxy as RunningProxy } from '../../proxy'

const BATCH_BYTES_MAX = 1 << 20
/** What a client of a test may take; the machine may be busy. */
const CLIENT_MS_MAX = 180_000

export interface Ran {
  code: number | null
  stdout: Buffer
  stderr: string
}

export interface SshUnderTest {
  readonly directory: string
  readonly home: Home
  target(options?: Partial<SshServerOptions>): Promise<SshServer>
  /** Starts a gateway; `more`: YAML besides the resources, `resource`: YAML lines of each resource. */
  start(options: {
    target?: SshServer
    resource?: string
    resources?: string
    more?: string
    cluster?: ProxyOptions['cluster']
  }): Promise<{ proxy: RunningProxy; port: number; verifier: CredentialVerifier }>
  token(request: TokenRequest): Promise<string>
  /** Words of OpenSSH's client that lead to this gateway: known_hosts, a way to answer with the token. */
  options(port: number, methods?: string): string[]
  /** Runs a program of OpenSSH's with these words; `token` answers every question. */
  run(
    program: string,
    words: string[],
    more?: { token?: string; input?: Buffer | string; environment?: NodeJS.ProcessEnv },
  ): Promise<Ran>
  spawn(
    program: string,
    words: string[],
    more?: { token?: string; environment?: NodeJS.ProcessEnv },
  ): ChildProcess
  /** A terminal: types each line once what was shown matches. Answers what was shown and how it ended. */
  terminal(
    words: string[],
    steps: readonly [RegExp, string][],
    more?: { token?: string },
  ): Promise<Ran>
  events(): Promise<Event[]>
  stop(): Promise<void>
}

export function sshUnderTest(name: string): SshUnderTest {
  const directory = temporaryDirectory(name)
  const home = prepareHome(join(directory.path, 'home'))
  const proxies: RunningProxy[] = []
  const targets: SshServer[] = []
  const children = new Set<ChildProcess>()
  const askpass = join(directory.path, 'askpass')
  writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$TEST_TOKEN"\n')
  chmodSync(askpass, 0o700)
  const knownHosts = join(directory.path, 'known_hosts')

  function spawnClient(
    program: string,
    words: string[],
    more: { token?: string; environment?: NodeJS.ProcessEnv } = {},
  ): ChildProcess {
    const child = spawn(program, words, {
      stdio: 'pipe',
      env: {
        ...process.env,
        SSH_AUTH_SOCK: undefined,
        HOME: directory.path,
        SSH_ASKPASS: askpass,
        SSH_ASKPASS_REQUIRE: 'force',
        TEST_TOKEN: more.token ?? '',
        ...more.environment,
      },
    })
    children.add(child)
    child.once('exit', () => children.delete(child))
    return child
  }

  return {
    directory: directory.path,
    home,
    async target(options = {}) {
      const server = await startSshServer({
        directory: join(directory.path, `target-${targets.length}`),
        ...options,
      })
      targets.push(server)
      return server
    },
    async start({ target, resource = '', resources, more = '', cluster }) {
      const written =
        resources ??
        `
  web:
    protocol: ssh
    address: 127.0.0.1:${target!.port}
    account: ${target!.account}
    privateKey: { file: ${target!.keyFile} }
    hostKeys: [${target!.hostKeys.map((key) => JSON.stringify(key)).join(', ')}]
${resource}`
      const configuration = parseConfiguration(
        `${/^listen:/m.test(more) ? '' : 'listen: {postgres: 0, ssh: 0, mysql: 0}\n'}log: {reserveBytes: 65536}\n${more}\nresources:${written}\n`,
        join(directory.path, 'custody.yaml'),
      )
      const verifier = await createTokenVerifier(home, configuration)
      const proxy = createProxy({ configuration, home, verifier, logger: silentLogger(), cluster })
      proxies.push(proxy)
      const { ports } = await proxy.start()
      writeFileSync(
        knownHosts,
        `@cert-authority * ${loadSshAuthority(home, configuration.identity.sshAuthority).publicKey}\n`,
      )
      mkdirSync(join(directory.path, '.ssh'), { recursive: true, mode: 0o700 })
      return { proxy, port: ports.ssh!, verifier }
    },
    async token(request) {
      return (await issueToken(await loadTokenKeys(home, 'local'), request)).token
    },
    options: (port, methods = 'publickey,password') => [
      '-F',
      'none',
      '-o',
      `Port=${port}`,
      '-o',
      `UserKnownHostsFile=${knownHosts}`,
      '-o',
      'GlobalKnownHostsFile=none',
      '-o',
      'StrictHostKeyChecking=yes',
      '-o',
      'NumberOfPasswordPrompts=1',
      '-o',
      `PreferredAuthentications=${methods}`,
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      'LogLevel=ERROR',
    ],
    run(program, words, more = {}) {
      const child = spawnClient(program, words, more)
      const out: Buffer[] = []
      const err: Buffer[] = []
      child.stdout!.on('data', (chunk: Buffer) => out.push(chunk))
      child.stderr!.on('data', (chunk: Buffer) => err.push(chunk))
      child.stdin!.on('error', () => {})
      child.stdin!.end(more.input ?? '')
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          child.kill('SIGKILL')
          reject(
            new Error(
              `${program} ${words.at(-1)} took longer than ${CLIENT_MS_MAX} ms: ${Buffer.concat(err)}`,
            ),
          )
        }, CLIENT_MS_MAX)
        child.once('error', reject)
        child.once('close', (code) => {
          clearTimeout(timer)
          resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() })
        })
      })
    },
    spawn: spawnClient,
    terminal(words, steps, more = {}) {
      const child = spawnClient('ssh', ['-tt', ...words], more)
      let shown = Buffer.alloc(0)
      let from = 0
      let stderr = ''
      let step = 0
      const goOn = () => {
        const found =
          step < steps.length && steps[step]![0].exec(shown.toString('latin1').slice(from))
        if (!found) return
        from = shown.length
        child.stdin!.write(steps[step++]![1])
        goOn()
      }
      child.stdin!.on('error', () => {})
      child.stderr!.on('data', (chunk: Buffer) => {
        stderr += chunk.toString()
      })
      child.stdout!.on('data', (chunk: Buffer) => {
        shown = Buffer.concat([shown, chunk])
        goOn()
      })
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          child.kill('SIGKILL')
          reject(
            new Error(`step ${step} of a terminal: ${JSON.stringify(shown.toString())} ${stderr}`),
          )
        }, CLIENT_MS_MAX)
        child.once('close', (code) => {
          clearTimeout(timer)
          resolve({ code, stdout: shown, stderr })
        })
      })
    },
    async events() {
      const reader = openReader({ directory: home.log, recorder: 'proxy-local' })
      const all: Event[] = []
      let previous: Buffer = Buffer.alloc(32)
      try {
        for (;;) {
          const batch = await reader.read(BATCH_BYTES_MAX)
          if (!batch) return all
          for (const message of batch.messages) {
            const event = decodeMessage(message)
            if (Number(event.sequence) !== all.length || !event.previous.equals(previous))
              throw new Error(`a gap at event ${all.length}`)
            previous = sha256(message)
            all.push(event)
          }
        }
      } finally {
        reader.close()
      }
    },
    async stop() {
      for (const child of children) child.kill('SIGKILL')
      for (const proxy of proxies) await proxy.stop()
      for (const target of targets) await target.stop()
      await directory.remove()
    },
  }
}
