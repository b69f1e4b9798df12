/**
 * Puts in place the receivers that test/siem delivers to: rsyslog and syslog-ng (Debian's packages, unpacked and not installed,
 * since they exclude each other), OpenSearch (Maven), an S3-compatible store (a Go module). All into a cache below
 * node_modules; what is there already is left alone.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { goProgram } from '../../infra/tools/install.mjs'

const own = fileURLToPath(new URL('.', import.meta.url))
const root = resolve(own, '../../..')

/** `run` ends in an error of its own. */
export function installSiem({ run, output, progress }) {
  const place = join(root, 'node_modules/.cache/custody-siem')
  mkdirSync(place, { recursive: true })
  const { debian } = JSON.parse(readFileSync(join(own, 'versions.json'), 'utf8'))
  once(join(place, 'syslog'), JSON.stringify(debian), (to) => {
    progress('fetching rsyslog and syslog-ng (apt-get download)')
    run('apt-get', ['download', ...debian], { what: 'apt-get download', quiet: true, cwd: to })
    for (const name of readdirSync(to).filter((one) => one.endsWith('.deb'))) {
      run('dpkg-deb', ['-x', join(to, name), to], { what: 'dpkg-deb', quiet: true })
      rmSync(join(to, name))
    }
  })
  const sources = ['pom.xml', 'OpenSearchForTests.java'].map((name) =>
    join(own, 'opensearch', name),
  )
  const [pom, main] = sources
  once(join(place, 'opensearch'), sources.map((one) => readFileSync(one, 'utf8')).join(), (to) => {
    progress('fetching OpenSearch (mvn)')
    const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime']
    run('mvn', ['-B', '-q', '-f', pom, ...copy, `-DoutputDirectory=${to}`], {
      what: 'mvn dependency:copy-dependencies',
      quiet: true,
    })
    run('javac', ['-cp', join(to, '*'), '-d', to, main], { what: 'javac', quiet: true })
  })
  const versitygw = join(own, 'versitygw')
  once(join(place, 'versitygw'), readFileSync(join(versitygw, 'go.mod'), 'utf8'), (to) => {
    progress('building versitygw (go), which takes minutes once')
    run(
      goProgram({ run, output, progress, place }),
      ['build', '-o', join(to, 'versitygw'), 'github.com/versity/versitygw/cmd/versitygw'],
      {
        what: 'go build',
        quiet: true,
        cwd: versitygw,
        env: { ...process.env, GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' },
      },
    )
  })
}

/** Done as a whole or not at all: what was interrupted is done anew. */
function once(place, wanted, make) {
  const stamp = join(place, 'made')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  make(place)
  writeFileSync(stamp, wanted)
}
