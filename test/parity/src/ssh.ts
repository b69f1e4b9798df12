/**
 * Runs the corpus of SSH direct and through Custody and compares what came back: standard output and standard error byte for
 * byte, the exit status, and the files on both sides afterwards. Then the record: it holds what the client got.
 */
import { createHash } from 'node:crypto'
import {
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import { createTokenVerifier, issueToken, loadSshAuthority, loadTokenKeys } from '@custody/identity'
import { parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy } from '@custody/proxy'
import { decodeMessage, type Event } from '@custody/schemas'
import {
  runSsh,
  type SshRan,
  type SshWay,
  sshDirect,
  sshResource,
  sshThrough,
  startSsh,
  startSshServer,
  temporaryDirectory,
} from '@custody/test-support'
import type { ParityOptions, ParityResult } from './parity'
import { SSH_CASES, type SshCase } from './ssh-cases'

const MASTER_MS_MAX = 60_000

/** What a client saw of a command line. */
interface Got {
  line: string
  name: string
  ran: SshRan
}

export async function runSshParity(o: ParityOptions = {}): Promise<ParityResult> {
  const progress = o.progress ?? (() => {})
  const directory = temporaryDirectory('parity')
  const home = prepareHome(join(directory.path, 'home'))
  const server = await startSshServer({ directory: join(directory.path, 'target') })
  const configuration = parseConfiguration(`
listen: {postgres: 0, mysql: 0, ssh: 0}
log: {reserveBytes: 65536}
resources:
  parity: ${sshResource(server, 'durability: os, recording: full, env: [LANG, "LC_*", "TEST_*"]')}
`)
  const proxy = createProxy({
    configuration,
    home,
    verifier: await createTokenVerifier(home, configuration),
    logger: silentLogger(),
  })
  const masters: (() => void)[] = []
  try {
    const { ports } = await proxy.start()
    const { token } = await issueToken(await loadTokenKeys(home, 'local'), { subject: 'parity' })
    const clients = join(directory.path, 'clients')
    const direct = sshDirect(clients, server)
    const through = sshThrough(clients, {
      port: ports.ssh!,
      authority: loadSshAuthority(home, configuration.identity.sshAuthority).publicKey,
      token,
      resource: 'parity',
    })
    const shared: [SshWay, SshWay] = [
      await master(direct, join(directory.path, 'd'), masters),
      await master(through, join(directory.path, 't'), masters),
    ]
    const result: ParityResult = {
      cases: 0,
      different: 0,
      differences: [],
      untrue: 0,
      untruths: [],
    }
    const got: Got[] = []
    for (const each of SSH_CASES) {
      if (o.only && !each.name.includes(o.only)) continue
      const [one, other] = each.isAlone ? [direct, through] : shared
      const without = await run(each, one, directory.path)
      const within = await run(each, other, directory.path)
      if (each.program === 'ssh' && each.words.length > 0)
        got.push({ line: each.words.join(' '), name: each.name, ran: within.ran })
      result.cases++
      if (result.cases % 25 === 0) progress(`${result.cases} cases, ${result.different} different`)
      if (without.text === within.text) continue
      result.different++
      result.differences.push({ name: each.name, ...around(without.text, within.text) })
      progress(`different: ${each.name}`)
    }
    for (const end of masters.splice(0)) end()
    await proxy.stop()
    result.untruths = await untruths(home.log, got)
    result.untrue = result.untruths.length
    return result
  } finally {
    for (const end of masters) end()
    await proxy.stop()
    await server.stop()
    await directory.remove()
  }
}

/** A connection that the others are channels of, as ControlMaster does it. */
async function master(way: SshWay, path: string, masters: (() => void)[]): Promise<SshWay> {
  const child = startSsh(way, 'ssh', ['-M', '-N', '-S', path, way.host])
  let said = ''
  child.stderr!.on('data', (chunk) => {
    said += chunk
  })
  masters.push(() => child.kill('SIGTERM'))
  const until = Date.now() + MASTER_MS_MAX
  for (;;) {
    const { code } = await runSsh(way, 'ssh', ['-S', path, '-O', 'check', way.host])
    if (code === 0) break
    if (child.exitCode !== null || Date.now() > until)
      throw new Error(`no connection to ${way.host}: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { ...way, words: [...way.words, '-o', `ControlPath=${path}`] }
}

/** What a client saw, and for files what is on both sides then. */
async function run(
  each: SshCase,
  way: SshWay,
  root: string,
): Promise<{ text: string; ran: SshRan }> {
  const places = each.program === 'ssh' ? null : fresh(root)
  const put = (text: string) =>
    places === null ? text : text.replaceAll('THERE', places.there).replaceAll('HERE', places.here)
  const words =
    each.program === 'ssh'
      ? [...(each.options ?? []), way.host, ...each.words]
      : each.program === 'sftp'
        ? ['-q', '-b', '-', way.host]
        : each.words.map((word) => put(word).replace('HOST:', `${way.host}:`))
  const ran = await runSsh(way, each.program, words, {
    ...(each.input !== undefined && {
      input: typeof each.input === 'string' ? put(each.input) : each.input,
    }),
    ...(places !== null && { cwd: places.here }),
    environment: { TERM: 'xterm-256color' },
  })
  // scp names the host in what it says.
  const said = ran.stderr.replaceAll(`${way.host}:`, 'HOST:')
  return {
    text: [
      `exit ${ran.code}`,
      `stdout ${ran.stdout.length} ${digest(ran.stdout)}\n${ran.stdout.subarray(0, 4000).toString('latin1')}`,
      `stderr ${said}`,
      ...(places === null ? [] : ['here', ...tree(places.here), 'there', ...tree(places.there)]),
    ].join('\n'),
    ran,
  }
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The same files at the same places each time. */
function fresh(root: string): { here: string; there: string } {
  const [here, there] = [join(root, 'files/here'), join(root, 'files/there')]
  rmSync(join(root, 'files'), { recursive: true, force: true })
  const files: Record<string, Buffer> = {
    [`${here}/mine`]: Buffer.from('mine\n'.repeat(20_000)),
    [`${here}/empty`]: Buffer.alloc(0),
    [`${here}/tree/one`]: Buffer.from('one'),
    [`${here}/tree/sub/two`]: Buffer.alloc(70_000, 2),
    [`${there}/a`]: Buffer.from('content of a\n'),
    [`${there}/big`]: Buffer.alloc(3_000_000, 'big '),
    [`${there}/d/b`]: Buffer.from('content of b\n'),
    [`${there}/d/e/c`]: Buffer.alloc(100_000, 3),
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, content, { mode: 0o644 })
  }
  symlinkSync('a', join(there, 'link'))
  lutimesSync(join(there, 'link'), 1e9, 1e9)
  for (const path of [...Object.keys(files), `${there}/d/e`, `${there}/d`])
    utimesSync(path, 1e9, 1e9)
  return { here, there }
}

function tree(path: string): string[] {
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .map((entry) => {
      const at = join(entry.parentPath, entry.name)
      const what = entry.isFile()
        ? digest(readFileSync(at))
        : entry.isSymbolicLink()
          ? `-> ${readlinkSync(at)}`
          : 'directory'
      return `${at.slice(path.length)} ${what}`
    })
    .sort()
}

/** Where the record is not what the client got: by the line of the command, in the order of those of one line. */
async function untruths(log: string, got: readonly Got[]): Promise<string[]> {
  const events: Event[] = []
  const reader = openReader({ directory: log, recorder: 'proxy-local' })
  for (let batch = await reader.read(8e6); batch; batch = await reader.read(8e6))
    for (const message of batch.messages) events.push(decodeMessage(message))
  reader.close()
  const found: string[] = []
  const taken = new Set<Event>()
  for (const { line, name, ran } of got) {
    const started = events.find(
      (one) => one.kind === 'command.started' && one.statement?.text === line && !taken.has(one),
    )
    if (started === undefined) {
      found.push(`${name}: it is not in the record`)
      continue
    }
    taken.add(started)
    const own = events.filter(({ command }) => command?.equals(started.command!))
    const completed = own.find(({ kind }) => kind === 'command.completed')?.response
    const said = (streams: string[]) =>
      Buffer.concat(
        own
          .filter(({ output }) => output && streams.includes(output.stream))
          .map(({ output }) => output!.data),
      )
    if (completed === undefined || completed === null) found.push(`${name}: it has no end`)
    else if (!said(['output', 'terminal']).equals(ran.stdout))
      found.push(
        `${name}: the client got ${ran.stdout.length} bytes, the record has ${said(['output', 'terminal']).length}`,
      )
    // Of a command that a signal ended, ssh makes 255.
    else if (ran.code !== 255 && completed.code !== String(ran.code))
      found.push(`${name}: it exited with ${ran.code}, the record has ${completed.code}`)
  }
  for (const started of events.filter(({ kind }) => kind === 'command.started'))
    if (
      !events.some(
        ({ kind, command }) => kind === 'command.completed' && command?.equals(started.command!),
      )
    )
      found.push(`${started.statement?.text}: it has no end`)
  return found
}

/** The two around where they first differ. */
function around(one: string, other: string): { direct: string; proxied: string } {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  const from = Math.max(0, at - 80)
  return {
    direct: JSON.stringify(one.slice(from, at + 300)),
    proxied: JSON.stringify(other.slice(from, at + 300)),
  }
}
