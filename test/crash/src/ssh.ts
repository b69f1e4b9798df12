/**
 * Promises 1 to 3 for SSH under kill -9: a real OpenSSH server whose shell notes every command line before it runs it, the
 * proxy as a process of its own, clients that note what they saw. Judged by transcripts that know nothing of each other:
 * the shell's notes, the clients' notes, and the record.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issueToken, loadSshAuthority, loadTokenKeys } from '@custody/identity'
import { freePort, parseConfiguration, prepareHome } from '@custody/kit'
import {
  seeded,
  sshResource,
  sshThrough,
  startSshServer,
  temporaryDirectory,
} from '@custody/test-support'
import type { CrashOptions, CrashResult } from './crash'
import { TAG } from './load'
import { ProxyProcess, pause } from './proxy-process'
import { type Judgement, judge, readRecord } from './record'
import { startSshLoad } from './ssh-load'

export type SshCrashResult = Judgement &
  Pick<CrashResult, 'kills' | 'died'> & {
    /** Files that clients saw sent or fetched to their end. */
    files: number
  }

export async function runSshCrash(o: CrashOptions): Promise<SshCrashResult> {
  const { kills, seed = 1, clients = 5, liveMsMax = 3000 } = o
  const progress = o.progress ?? (() => {})
  const random = seeded(seed)
  const directory = temporaryDirectory('crash')
  const home = prepareHome(join(directory.path, 'home'))
  const outputFile = join(directory.path, 'processes.log')
  const output = openSync(outputFile, 'a')
  const server = await startSshServer({ directory: join(directory.path, 'target') })
  let proxy: ProxyProcess | null = null
  try {
    const port = await freePort()
    const file = join(directory.path, 'custody.yaml')
    const text = `listen: {ssh: ${port}}
log: {segmentBytes: 2097152, reserveBytes: 65536}
resources:
  target: ${sshResource(server)}
`
    writeFileSync(file, text)
    const { token } = await issueToken(await loadTokenKeys(home, 'local'), {
      subject: 'crash',
      ttlSeconds: 6 * 3600,
    })
    proxy = new ProxyProcess(home, file, output, outputFile)
    await proxy.start()
    const way = sshThrough(join(directory.path, 'clients'), {
      port,
      authority: loadSshAuthority(home, parseConfiguration(text, file).identity.sshAuthority)
        .publicKey,
      token,
      resource: 'target',
    })
    const load = startSshLoad({ port, token, clients, way, directory: directory.path })
    try {
      for (let i = 1; i <= kills; i++) {
        await pause(50 + random() * liveMsMax)
        await proxy.killAndStart()
        if (i % 10 === 0 || i === kills)
          progress(`${i} of ${kills} kills, ${load.seen.size} completions seen`)
      }
      await pause(liveMsMax)
    } finally {
      await load.stop()
    }
    await proxy.stop()

    progress('comparing the shell’s notes, the clients’ notes, and the record')
    const inTarget = new Set(server.ran().join('\n').match(TAG) ?? [])
    const record = await readRecord(home.log)
    return {
      ...{ kills, died: proxy.died },
      files: load.files,
      ...(await judge(home.log, record, inTarget, load.seen)),
    }
  } finally {
    proxy?.kill()
    closeSync(output)
    await server.stop()
    if (!o.keep) await directory.remove()
    else progress(`kept in ${directory.path}`)
  }
}
