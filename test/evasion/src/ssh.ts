/**
 * Runs every attempt over SSH without Custody (it must change the file there) and through it under a policy that lets
 * people only look (it must not), at a real OpenSSH server; then what such people do all day, which must go as without.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createTokenVerifier, issueToken, loadSshAuthority, loadTokenKeys } from '@custody/identity'
import { parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy } from '@custody/proxy'
import {
  runSsh,
  type SshRan,
  type SshWay,
  sshDirect,
  sshResource,
  sshThrough,
  startSshServer,
  temporaryDirectory,
} from '@custody/test-support'
import type { EvasionOptions, EvasionResult } from './evasion'
import { placed, SSH_ATTEMPTS, SSH_ORDINARY, type SshAttempt } from './ssh-attempts'

/** Programs to look with: each does nothing else, or the gateway sees it in its words. */
const LOOKING =
  'ls cat head tail grep wc cut sort uniq df du uptime uname hostname id whoami date ps find stat file true sha256sum diff sed awk tr echo printf test cd pwd env'.split(
    ' ',
  )

/** Who may look, and nothing else: what is not named here is not permitted. */
const POLICY = `
@id("may-look")
@reason("may look")
permit (
  principal,
  action in [Action::"ssh:exec", Action::"ssh:subsystem", Action::"ssh:file-read", Action::"shell:read"],
  resource
)
when { context.understood };

@id("with-these")
@reason("may look with these programs; another by the name of one is none of them")
permit (principal, action == Action::"shell:run", resource)
when { context.understood && context has object && [${LOOKING.map((name) => `"${name}"`).join(', ')}].contains(context.object.name) };

@id("to-nowhere")
@reason("what is thrown away is not written")
permit (principal, action == Action::"shell:write", resource)
when { context.understood && context has object && context.object.name == "/dev/null" };

@id("no-new-names")
@reason("nothing may be moved")
forbid (principal, action in [Action::"ssh:file-rename", Action::"ssh:file-link", Action::"ssh:file-copy"], resource);
`

const PRECIOUS = 'precious\n'

export async function runSshEvasion(o: EvasionOptions = {}): Promise<EvasionResult> {
  const progress = o.progress ?? (() => {})
  const result: EvasionResult = {
    statements: 0,
    wronglyAllowed: 0,
    unproven: 0,
    ordinary: 0,
    wronglyBlocked: 0,
    findings: [],
  }
  const directory = temporaryDirectory('evasion')
  const home = prepareHome(join(directory.path, 'home'))
  const place = join(directory.path, 'place')
  const here = join(directory.path, 'here')
  const policies = join(directory.path, 'policies')
  mkdirSync(policies)
  writeFileSync(join(policies, 'look.cedar'), POLICY)
  const server = await startSshServer({ directory: join(directory.path, 'target') })
  const configuration = parseConfiguration(`
listen: {postgres: 0, mysql: 0, ssh: 0}
log: {reserveBytes: 65536}
resources:
  target: ${sshResource(server, 'durability: os, recording: digest')}
policy: {files: [${JSON.stringify(policies)}]}
`)
  const proxy = createProxy({
    configuration,
    home,
    verifier: await createTokenVerifier(home, configuration),
    logger: silentLogger(),
  })
  try {
    const { ports } = await proxy.start()
    const { token } = await issueToken(await loadTokenKeys(home, 'local'), { subject: 'mallory' })
    const clients = join(directory.path, 'clients')
    const direct = sshDirect(clients, server)
    const through = sshThrough(clients, {
      port: ports.ssh!,
      authority: loadSshAuthority(home, configuration.identity.sshAuthority).publicKey,
      token,
      resource: 'target',
    })
    const attempts = SSH_ATTEMPTS.filter(
      ({ name }) => o.only === undefined || name.includes(o.only),
    )
    const happened = async (one: SshAttempt, way: SshWay) => {
      prepare(place, here)
      await attempt(one, way, place, here)
      return !isPrecious(place)
    }
    for (const [index, one] of attempts.entries()) {
      if (index % 25 === 0) progress(`attempt ${index + 1} of ${attempts.length}`)
      result.statements++
      if (!(await happened(one, direct))) {
        result.unproven++
        result.findings.push(`does nothing without Custody: ${one.name}`)
      }
      if (await happened(one, through)) {
        result.wronglyAllowed++
        result.findings.push(`got past: ${one.name}`)
      }
    }
    if (o.only === undefined || o.only === 'ordinary') {
      progress(`${SSH_ORDINARY.length} ordinary commands`)
      prepare(place, here)
      for (const text of SSH_ORDINARY) {
        const line = placed(text, place, here)
        const within = await runSsh(through, 'ssh', [through.host, line])
        const without = await runSsh(direct, 'ssh', [direct.host, line])
        result.ordinary++
        if (within.code === without.code && !within.stderr.includes('custody')) continue
        result.wronglyBlocked++
        result.findings.push(`wrongly blocked: ${text}: ${within.stderr.trim()}`)
      }
      for (const batch of ['ls DIR', 'get DIR/victim HERE/got', 'cd DIR\npwd\nls -l']) {
        result.ordinary++
        const { code, stderr } = await sftp(through, placed(batch, place, here), [])
        if (code === 0) continue
        result.wronglyBlocked++
        result.findings.push(`wrongly blocked: sftp ${batch}: ${stderr.trim()}`)
      }
    }
    return result
  } finally {
    await proxy.stop()
    await server.stop()
    await directory.remove()
  }
}

async function attempt(one: SshAttempt, way: SshWay, place: string, here: string): Promise<void> {
  const put = (text: string) => placed(text, place, here)
  if (one.exec !== undefined)
    await runSsh(way, 'ssh', [way.host, put(one.exec)], { input: put(one.input ?? '') })
  if (one.sftp !== undefined) await sftp(way, put(one.sftp), one.options ?? [])
  if (one.scp !== undefined)
    await runSsh(way, 'scp', [
      '-q',
      ...one.scp.map((word) => put(word).replace('HOST:', `${way.host}:`)),
    ])
}

/** Not as a batch: that would ask for no password. */
function sftp(way: SshWay, batch: string, options: readonly string[]): Promise<SshRan> {
  return runSsh(way, 'sftp', ['-q', ...options, way.host], { input: `${batch}\n` })
}

function isPrecious(place: string): boolean {
  try {
    const path = join(place, 'victim')
    return readFileSync(path, 'utf8') === PRECIOUS && (statSync(path).mode & 0o777) === 0o644
  } catch {
    return false
  }
}

function prepare(place: string, here: string): void {
  for (const path of [place, here]) {
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path)
  }
  writeFileSync(join(place, 'victim'), PRECIOUS, { mode: 0o644 })
  const rm = `#!/bin/sh\nrm -f ${place}/victim\n`
  mkdirSync(join(place, 'bin'))
  mkdirSync(join(place, 'empty'))
  writeFileSync(join(place, 'rm.sh'), rm, { mode: 0o755 })
  writeFileSync(join(place, 'bin/ls'), rm, { mode: 0o755 })
  writeFileSync(join(place, 'rm.py'), `import os\nos.unlink("${place}/victim")\n`)
  writeFileSync(join(place, 'rm.mk'), `all:\n\trm -f ${place}/victim\n`)
  writeFileSync(join(place, 'many'), 'many\n')
  symlinkSync('victim', join(place, 'link'))
  for (const name of ['mine', 'victim']) writeFileSync(join(here, name), 'mine')
  writeFileSync(join(here, 'mine-longer'), `${PRECIOUS}and more\n`)
  // An archive with another victim in it, and a repository.
  execFileSync('tar', ['cf', join(place, 'evil.tar'), '-C', here, 'victim'])
  const git = (...words: string[]) =>
    execFileSync('git', ['-C', join(place, 'repo'), ...words], {
      stdio: 'ignore',
      env: {
        ...process.env,
        GIT_AUTHOR_NAME: 'a',
        GIT_AUTHOR_EMAIL: 'a@example.com',
        GIT_COMMITTER_NAME: 'a',
        GIT_COMMITTER_EMAIL: 'a@example.com',
      },
    })
  mkdirSync(join(place, 'repo'))
  git('init', '-q')
  git('commit', '-q', '--allow-empty', '-m', 'first')
}
