/**
 * What SSH costs through Custody: one command on a connection that is there, one key until its echo, much out of a command,
 * 500 MB by scp. Every round measures every subject in turn; and of what went by scp the record must have the digest.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, createReadStream, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import { loadSshAuthority } from '@custody/identity'
import { freePort, parseConfiguration } from '@custody/kit'
import { decodeMessage } from '@custody/schemas'
import {
  type SshServer,
  type SshWay,
  sshDirect,
  sshResource,
  sshThrough,
  startSshServer,
  temporaryDirectory,
} from '@custody/test-support'
import { Client } from 'ssh2'
import { cpuSeconds, median, percentile, type Table } from './measure'
import { startGateway } from './processes'

export interface SshOptions {
  rounds: number
  /** Commands, and keys, of one round. */
  commands: number
  megabytes: number
  ciphers: readonly string[]
  subjects?: readonly string[]
  progress(line: string): void
}

interface Subject {
  name: string
  way: SshWay
  port: number
  login: { username: string; password?: string; privateKey?: Buffer }
  pid: number | null
}

/** Without the exchange of newer OpenSSH, which costs its client more than all else and no proxy has. */
const KEX = ['-o', 'KexAlgorithms=curve25519-sha256']

export async function benchSsh(o: SshOptions, table: Table): Promise<string[]> {
  const directory = temporaryDirectory('custody-bench-')
  const at = (name: string) => join(directory.path, name)
  const children: ChildProcess[] = []
  // As shipped: without the shell that notes each command, which costs more than all else.
  const server = await startSshServer({ directory: at('target'), settings: ['PrintMotd no'] })
  const log = openSync(at('processes.log'), 'a')
  try {
    o.progress('starting the subjects')
    const relay = await startRelay(server, at('relay'), children)
    const custody = await startCustody(server, at('custody'), log, children)
    const direct: Subject = {
      name: 'direct',
      way: sshDirect(at('direct'), server),
      port: server.port,
      login: { username: server.account, privateKey: readFileSync(server.keyFile) },
      pid: null,
    }
    // The floor comes first: ratios are to it.
    const subjects = [relay, direct, custody].filter(
      ({ name }) => o.subjects?.includes(name) ?? true,
    )
    const clients = await Promise.all(subjects.map(signIn))
    for (let round = 1; round <= o.rounds; round++) {
      for (const [i, subject] of subjects.entries()) {
        o.progress(`round ${round}: commands and keys: ${subject.name}`)
        const took = await execs(clients[i]!, o.commands)
        table.add('exec of true', subject.name, 'ms', median(took))
        const keys = await echoes(clients[i]!, o.commands)
        table.add('a key until its echo', subject.name, 'ms', median(keys))
        table.add('a key until its echo, 99 of 100', subject.name, 'ms', percentile(keys, 0.99))
      }
    }
    for (const client of clients) client.end()

    const big = at('big')
    const digest = await makeFile(big, o.megabytes)
    for (let round = 1; round <= o.rounds; round++)
      for (const cipher of o.ciphers) {
        for (const subject of subjects) {
          const words = [...KEX, '-c', cipher]
          for (const [name, program, more] of [
            [`${o.megabytes} MB out of cat`, 'ssh', [subject.way.host, `cat ${big}`]],
            [
              `${o.megabytes} MB by scp, there`,
              'scp',
              ['-q', big, `${subject.way.host}:${at('put')}`],
            ],
            [
              `${o.megabytes} MB by scp, back`,
              'scp',
              ['-q', `${subject.way.host}:${big}`, at('got')],
            ],
          ] as const) {
            o.progress(`round ${round}: ${name}, ${cipher}: ${subject.name}`)
            const cpu = subject.pid ? cpuSeconds([subject.pid]) : 0
            const started = performance.now()
            const code = await quiet(subject.way, program, [...words, ...more])
            const seconds = (performance.now() - started) / 1000
            if (code !== 0) throw new Error(`${program} through ${subject.name}: exit code ${code}`)
            table.add(`${name}, ${cipher}`, subject.name, 'MB/s', o.megabytes / seconds)
            if (subject.pid)
              table.add(
                `${name}, ${cipher}: CPU`,
                subject.name,
                's',
                cpuSeconds([subject.pid]) - cpu,
              )
          }
          for (const copy of ['put', 'got'])
            if ((await digestOf(at(copy))) !== digest)
              throw new Error(`what came by scp through ${subject.name} is another file`)
        }
      }
    const recorded = await digestsOf(at('custody'))
    const wanted = subjects.includes(custody) ? o.rounds * o.ciphers.length * 2 : 0
    const found = recorded.filter((one) => one === digest).length
    if (found !== wanted)
      throw new Error(`${wanted} files went by scp, and the record has the digest of ${found}`)
    return [
      `The record has the digest of all ${found} files that scp moved through it, and it is that of the file`,
      'In brackets the ratio to the relay that is made of ssh2 alone and keeps nothing',
    ]
  } finally {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    }
    closeSync(log)
    await server.stop()
    await directory.remove()
  }
}

function signIn(subject: Subject): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new Client()
    client.once('ready', () => resolve(client.setNoDelay()))
    client.once('error', reject)
    client.connect({
      host: '127.0.0.1',
      port: subject.port,
      readyTimeout: 60_000,
      ...subject.login,
    })
  })
}

/** How long each took, in milliseconds: from asking for the channel to its close. */
async function execs(client: Client, count: number): Promise<number[]> {
  const took: number[] = []
  for (let i = 0; i < count; i++) {
    const started = performance.now()
    await new Promise<void>((resolve, reject) =>
      client.exec('true', (error, channel) => {
        if (error) {
          reject(error)
          return
        }
        channel.resume()
        channel.on('close', () => resolve())
      }),
    )
    took.push(performance.now() - started)
  }
  return took
}

/** Of single keys, one after the other, into a terminal that gives them back. */
function echoes(client: Client, count: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const took: number[] = []
    let started = 0
    client.exec('stty raw -echo; echo ready; exec cat', { pty: true }, (error, channel) => {
      if (error) {
        reject(error)
        return
      }
      const press = () => {
        started = performance.now()
        channel.write('x')
      }
      let said = ''
      channel.on('data', (bytes: Buffer) => {
        if (started === 0) {
          said += bytes.toString()
          if (said.includes('ready\n')) press()
          return
        }
        took.push(performance.now() - started)
        if (took.length < count) press()
        else {
          channel.close()
          resolve(took)
        }
      })
      channel.on('close', () => reject(new Error('the terminal closed')))
    })
  })
}

/** What it prints is thrown away as it comes. */
async function quiet(
  way: SshWay,
  program: string,
  words: readonly string[],
): Promise<number | null> {
  const child = spawn(program, [...way.words, ...words], {
    env: way.environment,
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  })
  const [code] = await once(child, 'close')
  return code
}

async function makeFile(path: string, megabytes: number): Promise<string> {
  const fd = openSync(path, 'w')
  const hash = createHash('sha256')
  const block = Buffer.alloc(1_000_000)
  for (let i = 0; i < megabytes; i++) {
    // Nothing that could be made smaller on the way.
    for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.random() * 2 ** 32, at)
    hash.update(block)
    writeSync(fd, block)
  }
  closeSync(fd)
  return hash.digest('hex')
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece)
  return hash.digest('hex')
}

async function startRelay(
  server: SshServer,
  directory: string,
  children: ChildProcess[],
): Promise<Subject> {
  const child = fork(
    join(__dirname, 'subjects/ssh-relay.js'),
    [String(server.port), server.account, server.keyFile],
    { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
  )
  children.push(child)
  const [line] = await once(child.stdout!, 'data')
  const port = Number(String(line))
  const way = sshThrough(directory, { port, authority: 'none', token: 'any', resource: 'any' })
  return {
    name: 'ssh2 relay',
    // It has a host key that nobody knows; what is said first counts.
    way: { ...way, words: ['-o', 'StrictHostKeyChecking=no', ...way.words] },
    port,
    login: { username: 'any', password: 'any' },
    pid: child.pid!,
  }
}

async function startCustody(
  server: SshServer,
  directory: string,
  log: number,
  children: ChildProcess[],
): Promise<Subject> {
  const port = await freePort()
  const text = `listen: {ssh: ${port}}
log: {reserveBytes: 65536}
resources:
  target: ${sshResource(server, 'durability: os, recording: full')}
`
  const { child, pid, home, token } = await startGateway(directory, text, log)
  children.push(child)
  const { identity } = parseConfiguration(text)
  return {
    name: 'custody os',
    way: sshThrough(`${directory}-client`, {
      port,
      authority: loadSshAuthority(home, identity.sshAuthority).publicKey,
      token,
      resource: 'target',
    }),
    port,
    login: { username: 'target', password: token },
    pid,
  }
}

/** Of the files that the record has. */
async function digestsOf(home: string): Promise<string[]> {
  const found: string[] = []
  const reader = openReader({ directory: join(home, 'log'), recorder: 'proxy-local' })
  for (let batch = await reader.read(8e6); batch; batch = await reader.read(8e6))
    for (const message of batch.messages) {
      const { response } = decodeMessage(message)
      for (const digest of [response?.digest, response?.inputDigest])
        if (digest && response?.tag) found.push(digest.toString('hex'))
    }
  reader.close()
  return found
}
