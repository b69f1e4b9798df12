/**
 * Sets up what is missing, and nothing else: packages (npm ci), the build, and for tests PostgreSQL's client programs,
 * MariaDB's client and server, drivers of other languages and Kafka.
 * Node's own modules only, because it runs before any package is there. Progress goes to standard error.
 */
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installInfra } from '../test/infra/tools/install.mjs'
import { installSiem } from '../test/siem/tools/install.mjs'

export const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const require = createRequire(import.meta.url)
const { workspaceDirectories } = require('./workspaces.cjs')

const nodeMin = [20, 19]

export class SetupError extends Error {}

export function progress(line) {
  process.stderr.write(`custody: ${line}\n`)
}

/**
 * Packages and build. `clients` also brings the programs that tests run, `languages` what runs Java and Python, `drivers`
 * the drivers of both, `kafka` a broker, `infra` what tests compare the image, compose and the chart with, `siem` the
 * receivers that events are exported to.
 */
export function setup({
  clients = false,
  languages = false,
  drivers = false,
  kafka = false,
  infra = false,
  siem = false,
} = {}) {
  checkNode()
  if (packagesAreStale()) installPackages()
  build()
  const wanted = [
    ...(clients ? clientPrograms : []),
    ...(languages || drivers || kafka || siem ? languagePrograms : []),
    ...(drivers ? driverPrograms : []),
  ]
  installPrograms(wanted)
  if (clients) {
    installServerPlugin()
    installMysql()
  }
  if (drivers) installDrivers()
  if (kafka) installKafka()
  if (infra) installInfra({ run, output, progress })
  if (siem) installSiem({ run, output, progress })
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

/** A program that tests run, Debian's package of it, and how to tell that it is there where its name is not enough. */
const clientPrograms = [
  { name: 'psql', from: 'postgresql-client' },
  { name: 'pgbench', from: 'postgresql-contrib' },
  // What lines are typed into.
  { name: 'zsh', from: 'zsh' },
  { name: 'fish', from: 'fish' },
  { name: 'vim', from: 'vim' },
  { name: 'less', from: 'less' },
  { name: 'ssh', from: 'openssh-client' },
  {
    name: 'sshd',
    from: 'openssh-server',
    // Where nobody's PATH looks but root's.
    isThere: () => existsSync('/usr/sbin/sshd') || hasProgram('sshd'),
  },
  {
    name: 'sftp-server',
    from: 'openssh-sftp-server',
    isThere: () => existsSync('/usr/lib/openssh/sftp-server'),
  },
  { name: 'rsync', from: 'rsync' },
  { name: 'git', from: 'git' },
  { name: 'mariadb', from: 'mariadb-client-core' },
  { name: 'mariadb-dump', from: 'mariadb-client' },
  { name: 'mariadbd', from: 'mariadb-server-core' },
]
const languagePrograms = [
  { name: 'javac', from: 'default-jdk-headless' },
  { name: 'mvn', from: 'maven' },
  { name: 'python3', from: 'python3' },
  { name: 'go', from: 'golang-go' },
]
const driverPrograms = [
  {
    name: 'pip',
    from: 'python3-pip',
    isThere: () => succeeds('python3', ['-m', 'pip', '--version']),
  },
]

function installPrograms(wanted) {
  const missing = wanted.filter(({ name, isThere = () => hasProgram(name) }) => !isThere())
  if (missing.length === 0) return
  const names = missing.map(({ name }) => name).join(', ')
  const packages = missing.map(({ from }) => from)
  const mayInstall = hasProgram('apt-get') && process.getuid?.() === 0
  if (!mayInstall)
    throw new SetupError(`this needs ${names}: please install them (Debian: ${packages.join(' ')})`)
  progress(`installing ${names} (apt-get)`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '-y', '--no-install-recommends', ...packages]
  run('apt-get', ['update', '-qq'], { what: 'apt-get update', env, quiet: true })
  run('apt-get', install, { what: 'apt-get install', env, quiet: true })
}

/** MariaDB's own account plug-in is in the package that would start a server of its own; only its file is taken. */
function installServerPlugin() {
  const name = 'auth_ed25519.so'
  const place = join(root, 'node_modules/.cache/custody-mariadb')
  const places = ['/usr/lib/mysql/plugin', '/usr/lib64/mysql/plugin', '/usr/lib64/mariadb/plugin']
  if ([...places, place].some((one) => existsSync(join(one, name)))) return
  if (!hasProgram('apt-get'))
    throw new SetupError(`this needs MariaDB's plug-in ${name}: please install MariaDB's server`)
  progress('fetching a plug-in of MariaDB (apt-get download)')
  const making = join(place, 'making')
  rmSync(making, { recursive: true, force: true })
  mkdirSync(making, { recursive: true })
  run('apt-get', ['download', 'mariadb-server'], {
    what: 'apt-get download',
    cwd: making,
    quiet: true,
  })
  const archive = readdirSync(making).find((file) => file.endsWith('.deb'))
  run('dpkg-deb', ['-x', archive, 'files'], { what: 'dpkg-deb', cwd: making, quiet: true })
  copyFileSync(join(making, 'files/usr/lib/mysql/plugin', name), join(place, name))
  rmSync(making, { recursive: true, force: true })
}

/**
 * MySQL's own server and client. Of Debian's releases only the unstable one has them, so they come with the libraries that they were
 * built with, beside the system's. Apt resolves and verifies as ever, in directories of its own. Tests that need them fail without.
 */
function installMysql() {
  const place = join(root, 'node_modules/.cache/custody-mysql')
  const server = join(place, 'bin/mysqld')
  if (succeeds(server, ['--version']) || hasOwnMysql()) return
  if (!hasProgram('apt-get') || !hasProgram('dpkg-deb')) {
    progress('MySQL’s own server is not here (mysqld); the tests that compare with it will fail')
    return
  }
  progress('fetching MySQL (apt-get, some 80 MB)')
  try {
    fetchMysql(place)
    if (!succeeds(server, ['--version'])) throw new SetupError('MySQL does not start')
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    progress(`${error.message}; the tests that compare with MySQL’s own server will fail`)
  }
}

/** MariaDB's may have the name too. */
function hasOwnMysql() {
  const said = output('mysqld', ['--no-defaults', '--version'])
  return said !== undefined && !said.includes('MariaDB')
}

function fetchMysql(place) {
  rmSync(place, { recursive: true, force: true })
  const at = (...names) => join(place, 'apt', ...names)
  for (const name of ['lists/partial', 'cache/archives/partial', 'parts']) {
    mkdirSync(at(name), { recursive: true })
  }
  writeFileSync(at('status'), '')
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg'
  const by = existsSync(key) ? `[signed-by=${key}] ` : ''
  writeFileSync(at('sources.list'), `deb ${by}http://deb.debian.org/debian sid main\n`)
  const own = [
    `Dir::State=${at()}`,
    `Dir::State::lists=${at('lists')}`,
    `Dir::State::status=${at('status')}`,
    `Dir::Cache=${at('cache')}`,
    `Dir::Etc::sourcelist=${at('sources.list')}`,
    `Dir::Etc::sourceparts=${at('parts')}`,
    `Dir::Etc::preferencesparts=${at('parts')}`,
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    'APT::Sandbox::User=root',
  ].flatMap((setting) => ['-o', setting])
  run('apt-get', [...own, 'update', '-qq'], { what: 'apt-get update (sid)', quiet: true })
  run(
    'apt-get',
    [
      ...[...own, 'install', '-y', '-qq', '--no-install-recommends', '--download-only'],
      ...['mysql-server-core', 'mysql-client-core'],
    ],
    { what: 'apt-get install --download-only (sid)', quiet: true },
  )
  const files = join(place, 'files')
  for (const archive of readdirSync(at('cache/archives'))) {
    if (!archive.endsWith('.deb')) continue
    run('dpkg-deb', ['-x', at('cache/archives', archive), files], { what: 'dpkg-deb', quiet: true })
  }
  rmSync(at(), { recursive: true, force: true })
  for (const name of ['doc', 'man', 'locale', 'perl']) {
    rmSync(join(files, 'usr/share', name), { recursive: true, force: true })
  }
  const libraries = readdirSync(join(files, 'usr/lib')).find((name) => name.endsWith('-linux-gnu'))
  if (libraries === undefined) throw new SetupError('MySQL came without its libraries')
  const linker = readdirSync(join(files, 'usr/lib', libraries)).find((name) =>
    name.startsWith('ld-linux'),
  )
  mkdirSync(join(place, 'bin'))
  for (const [program, more] of [
    ['usr/sbin/mysqld', ' --basedir="$files/usr"'],
    ['usr/bin/mysql', ''],
    ['usr/bin/mysqldump', ''],
  ]) {
    const lines = [
      '#!/bin/sh',
      'files=$(cd "$(dirname "$(readlink -f "$0")")/../files" && pwd)',
      `libraries=$files/usr/lib/${libraries}`,
      `exec "$libraries/${linker}" --library-path "$libraries" "$files/${program}" "$@"${more}`,
      '',
    ]
    const name = join(place, 'bin', program.slice(program.lastIndexOf('/') + 1))
    writeFileSync(name, lines.join('\n'), { mode: 0o755 })
  }
}

/** Drivers that are not of this language, from their own registries; test-support knows them by the same list. */
function installDrivers() {
  const { directory, pypi, pypiAlone, maven, go } = JSON.parse(
    readFileSync(join(root, 'test/support/drivers.json'), 'utf8'),
  )
  const place = join(root, directory)
  const stamp = join(place, 'installed.json')
  const { stdout: python } = spawnSync('python3', ['--version'], { encoding: 'utf8' })
  const goFiles = ['go.mod', 'go.sum', 'main.go'].map((file) =>
    readFileSync(join(root, go, file), 'utf8'),
  )
  const wanted = JSON.stringify({ pypi, pypiAlone, maven, python, goFiles })
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  progress('fetching drivers for Python, Java and Go (pip, mvn, go)')
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  const pip = ['-m', 'pip', 'install', '--quiet', '--target', join(place, 'python'), ...pypi]
  run('python3', pip, { what: 'pip install', quiet: true })
  // What these ask for contradicts what the others do, and what of them is used runs without it.
  const alone = ['--no-deps', '--ignore-requires-python', '--target', join(place, 'python-alone')]
  run('python3', ['-m', 'pip', 'install', '--quiet', ...alone, ...pypiAlone], {
    what: 'pip install',
    quiet: true,
  })
  for (const artifact of maven)
    run(
      'mvn',
      [
        '-B',
        '-q',
        'dependency:copy',
        `-Dartifact=${artifact}`,
        `-DoutputDirectory=${join(place, 'java')}`,
      ],
      { what: 'mvn dependency:copy', quiet: true },
    )
  run('go', ['build', '-o', join(place, 'go', 'connect'), '.'], {
    what: 'go build',
    cwd: join(root, go),
    env: {
      ...process.env,
      GOFLAGS: '-mod=readonly',
      GOPROXY: process.env.GOPROXY || 'https://proxy.golang.org',
    },
    quiet: true,
  })
  writeFileSync(stamp, wanted)
}

/** Kafka's own jars, for tests that run a broker. */
function installKafka() {
  const pom = join(root, 'test/support/kafka/pom.xml')
  const place = join(root, 'node_modules/.cache/custody-kafka')
  const stamp = join(place, 'installed.xml')
  const wanted = readFileSync(pom, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  progress('fetching Kafka (mvn)')
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime']
  run('mvn', ['-B', '-q', '-f', pom, ...copy, `-DoutputDirectory=${place}`], {
    what: 'mvn dependency:copy-dependencies',
    quiet: true,
  })
  writeFileSync(stamp, wanted)
}

function succeeds(program, args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

/** What a program prints, or undefined where it is not there or fails. */
function output(program, args) {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' })
  return status === 0 ? stdout : undefined
}

function hasProgram(name) {
  const places = (process.env.PATH ?? '').split(delimiter)
  // Where a normal user's PATH does not look.
  places.push('/usr/sbin', '/usr/local/go/bin')
  const versions = '/usr/lib/postgresql'
  if (existsSync(versions)) {
    places.push(...readdirSync(versions).map((version) => join(versions, version, 'bin')))
  }
  return places.some((place) => place !== '' && existsSync(join(place, name)))
}

/** Runs a program to its end; what it prints goes to standard error, or only when it fails (`quiet`). */
function run(program, args, { what, env = process.env, quiet = false, cwd = root }) {
  const result = spawnSync(program, args, {
    cwd,
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
    const tests = process.argv.includes('--clients')
    setup({
      clients: tests,
      drivers: tests,
      kafka: tests || process.argv.includes('--kafka'),
      infra: tests || process.argv.includes('--infra'),
      siem: tests || process.argv.includes('--siem'),
    })
    progress('everything is set up')
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    progress(error.message)
    process.exitCode = 1
  }
}
