/**
 * Sets up what is missing, and nothing else: packages (npm ci), the build, and for tests PostgreSQL's client programs.
 * Node's own modules only, because it runs before any package is there. Progress goes to standard error.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const require = createRequire(import.meta.url)
const { workspaceDirectories } = require('./workspaces.cjs')

const nodeMin = [20, 19]

export class SetupError extends Error {}

export function progress(line) {
  process.stderr.write(`custody: ${line}\n`)
}

/** Packages and build. `clients` also brings the programs that tests run. */
export function setup({ clients = false } = {}) {
  checkNode()
  if (packagesAreStale()) installPackages()
  build()
  if (clients) installClients()
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < nodeMin[0] || (major === nodeMin[0] && minor < nodeMin[1])) {
    throw new SetupError(
      `CUSTODY-PLATFORM-002: this is Node.js ${process.versions.node}; Custody needs ${nodeMin.join('.')} or newer`,
    )
  }
}

/**
 * Whether node_modules differs from package-lock.json. npm writes down what it installed when it is through, so an
 * interrupted installation counts as none.
 */
function packagesAreStale() {
  let wanted
  let installed
  try {
    wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
    installed = JSON.parse(
      readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8'),
    ).packages
  } catch {
    return true
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/')) continue
    if (entry.link) {
      if (!existsSync(join(root, path))) return true
      continue
    }
    const present = installed[path]
    // npm leaves out optional packages that are for other systems or would not build.
    if (present === undefined && entry.optional) continue
    if (present?.version !== entry.version || present.integrity !== entry.integrity) return true
  }
  return false
}

function installPackages() {
  progress('installing packages (npm ci), which takes a minute or two the first time')
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--no-progress'], {
    what: 'npm ci',
  })
}

function build() {
  if (!isBuilt()) progress('building')
  const turbo = join(root, 'node_modules/.bin/turbo')
  run(turbo, ['run', 'build', '--ui=stream', '--log-order=grouped', '--output-logs=errors-only'], {
    what: 'the build',
    quiet: true,
  })
}

function isBuilt() {
  return workspaceDirectories(root).every(
    (directory) => !existsSync(join(directory, 'src')) || existsSync(join(directory, 'dist')),
  )
}

const clientPrograms = ['psql', 'pgbench']

function installClients() {
  const missing = clientPrograms.filter((name) => !hasProgram(name))
  if (missing.length === 0) return
  const mayInstall = hasProgram('apt-get') && process.getuid?.() === 0
  if (!mayInstall) {
    throw new SetupError(
      `the tests need ${missing.join(' and ')}: install PostgreSQL's client programs (Debian: postgresql-client, postgresql-contrib)`,
    )
  }
  progress(`installing ${missing.join(' and ')} (apt-get)`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = [
    'install',
    '-y',
    '--no-install-recommends',
    'postgresql-client',
    'postgresql-contrib',
  ]
  run('apt-get', ['update', '-qq'], { what: 'apt-get update', env, quiet: true })
  run('apt-get', install, { what: 'apt-get install', env, quiet: true })
}

function hasProgram(name) {
  const places = (process.env.PATH ?? '').split(delimiter)
  const versions = '/usr/lib/postgresql'
  if (existsSync(versions)) {
    places.push(...readdirSync(versions).map((version) => join(versions, version, 'bin')))
  }
  return places.some((place) => place !== '' && existsSync(join(place, name)))
}

/** Runs a program to its end; what it prints goes to standard error, or only when it fails (`quiet`). */
function run(program, args, { what, env = process.env, quiet = false }) {
  const result = spawnSync(program, args, {
    cwd: root,
    env: { ...env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', NO_UPDATE_NOTIFIER: '1' },
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 2, 2],
    shell: process.platform === 'win32',
    maxBuffer: 256 * 1024 * 1024,
  })
  if (result.status === 0) return
  if (quiet) process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`)
  const how = result.error?.message ?? result.signal ?? `exit code ${result.status}`
  throw new SetupError(`${what} failed (${how}); what it printed is above`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setup({ clients: process.argv.includes('--clients') })
    progress('everything is set up')
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    progress(error.message)
    process.exitCode = 1
  }
}
