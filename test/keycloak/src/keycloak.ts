/**
 * Keycloak as its own distribution from Maven Central: fetched once into a cache directory, built there, and started on
 * loopback with an empty database in memory. Speaks to its administration as an administrator does, by REST.
 * Refuses to be ready before it answers, and leaves nothing running.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '@custody/kit'
import { clientProgram, runProgram, temporaryDirectory } from '@custody/test-support'

export const VERSION = '26.7.3'
const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${VERSION}:zip`
const FETCH_MS_MAX = 15 * 60_000
const BUILD_MS_MAX = 10 * 60_000
const START_MS_MAX = 5 * 60_000
const STOP_MS_MAX = 20_000
const REQUEST_MS_MAX = 30_000
/** Its database and caches in memory; what a person would not look at is off. */
const BUILD = ['--db=dev-mem', '--health-enabled=false', '--metrics-enabled=false']

export interface Keycloak {
  url: string
  /** As the administrator: answers the body of the answer, or what was made (its identifier). */
  // biome-ignore lint/suspicious/noExplicitAny: its own representations, as they come
  admin(method: string, path: string, body?: unknown, type?: string): Promise<any>
  stop(): Promise<void>
}

type Progress = (line: string) => void

export async function startKeycloak(progress: Progress): Promise<Keycloak> {
  const directory = await built(progress)
  const [port, management] = await Promise.all([freePort(), freePort()])
  const url = `http://127.0.0.1:${port}`
  const password = randomBytes(16).toString('hex')
  progress(`starting Keycloak ${VERSION} at ${url}`)
  const child = spawn(
    'sh',
    [
      join(directory, 'bin/kc.sh'),
      ...['start', '--optimized', '--http-enabled=true', '--http-host=127.0.0.1'],
      ...[`--http-port=${port}`, `--http-management-port=${management}`],
      ...[`--hostname=${url}`, '--cache=local'],
    ],
    {
      env: {
        ...process.env,
        KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
        KC_BOOTSTRAP_ADMIN_PASSWORD: password,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: the script and the Java that it starts end together, and not before we say so.
      detached: true,
    },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      said = (said + data).slice(-SAID_CHARACTERS_MAX)
    })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    process.off('exit', kill)
    child.kill('SIGTERM')
    await Promise.race([gone, sleep(STOP_MS_MAX, undefined, { ref: false }).then(kill)])
    await gone
  }
  const kill = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Gone already.
    }
  }
  process.on('exit', kill)
  const untilMs = Date.now() + START_MS_MAX
  while (!(await answers(`${url}/realms/master`))) {
    if (child.exitCode !== null || Date.now() > untilMs) {
      await stop()
      throw new Error(`Keycloak does not start:\n${said}`)
    }
    await sleep(250)
  }
  let token = { text: '', untilMs: 0 }
  const administrator = async (): Promise<string> => {
    if (token.untilMs > Date.now()) return token.text
    const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
      method: 'POST',
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
      body: new URLSearchParams({
        ...{ grant_type: 'password', client_id: 'admin-cli', username: 'admin', password },
      }),
    })
    const answer = (await response.json()) as { access_token: string; expires_in: number }
    if (!response.ok) throw new Error(JSON.stringify(answer))
    token = { text: answer.access_token, untilMs: Date.now() + (answer.expires_in - 20) * 1000 }
    return token.text
  }
  return {
    url,
    async admin(method, path, body, type = 'application/json') {
      const response = await fetch(`${url}/admin/realms${path}`, {
        method,
        signal: AbortSignal.timeout(REQUEST_MS_MAX),
        headers: { authorization: `Bearer ${await administrator()}`, 'content-type': type },
        body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
      if (text !== '') return JSON.parse(text)
      return response.headers.get('location')?.split('/').at(-1)
    },
    stop,
  }
}

const SAID_CHARACTERS_MAX = 20_000

/** The distribution, unpacked and built. A half of one is never taken for a whole. */
async function built(progress: Progress): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'custody')
  const directory = join(cache, `keycloak-${VERSION}`)
  const stamp = join(directory, 'built-by-custody')
  if (existsSync(stamp)) return directory
  mkdirSync(cache, { recursive: true })
  const place = temporaryDirectory('keycloak', { in: cache })
  try {
    progress(`fetching ${ARTIFACT} (Maven Central; about 180 MB)`)
    // It leaves marks of its own where it runs.
    const fetched = { cwd: place.path, timeoutMs: FETCH_MS_MAX }
    const unpack = ['-B', '-q', 'dependency:unpack', `-Dartifact=${ARTIFACT}`]
    await toItsEnd('mvn', [...unpack, `-DoutputDirectory=${place.path}`], fetched)
    rmSync(directory, { recursive: true, force: true })
    renameSync(join(place.path, `keycloak-${VERSION}`), directory)
  } finally {
    await place.remove()
  }
  progress('building it, which takes a minute or two once')
  const build = [join(directory, 'bin/kc.sh'), 'build', ...BUILD]
  await toItsEnd('sh', build, { cwd: directory, timeoutMs: BUILD_MS_MAX })
  writeFileSync(stamp, `${BUILD.join(' ')}\n`)
  return directory
}

async function toItsEnd(
  program: string,
  args: string[],
  o: { cwd: string; timeoutMs: number },
): Promise<void> {
  const { code, stdout, stderr } = await runProgram(clientProgram(program), args, o)
  if (code !== 0)
    throw new Error(`${program} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`)
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok
  } catch {
    return false
  }
}
