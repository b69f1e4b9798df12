/**
 * Lays out what the image runs: the built services and the command, and of node_modules exactly what these depend on at
 * run time, as package-lock.json has it. Refuses to take what is only for development, and what only one machine needs:
 * the embedded ClickHouse and PostgreSQL.
 *
 *   node infra/image/assemble.mjs <directory that is not there yet>
 */
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { closure } from './closure.cjs'

const root = resolve(fileURLToPath(new URL('../..', import.meta.url)))
const programs = [
  'services/proxy',
  'services/ingest',
  'services/query',
  'services/siem-export',
  'cli',
]
const leftOut = new Set(['chdb', '@custody/postgres-server'])

/** Of our own packages what is built, and the files that it reads. */
function isNeededAtRunTime(own, source) {
  const [first = '', ...rest] = relative(own, source).split('/')
  if (['src', 'node_modules', '.turbo', 'test'].includes(first)) return false
  if (/^tsconfig.*\.json$|\.tsbuildinfo$/.test(first)) return false
  return !/\.test\.(js|d\.ts)(\.map)?$|\.d\.ts(\.map)?$|\.tsbuildinfo$/.test(rest.join('/'))
}

export function assemble(destination) {
  if (existsSync(destination)) throw new Error(`${destination} is there already`)
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const all = closure(lock, programs, leftOut, (at) => existsSync(join(root, at)))
  const taken = new Set(all)
  mkdirSync(destination, { recursive: true })
  for (const at of all) {
    const source = join(root, at)
    const isOurs = !at.includes('node_modules/')
    if (isOurs && at !== 'schemas' && !existsSync(join(source, 'dist')))
      throw new Error(`${at} is not built`)
    cpSync(source, join(destination, at), {
      recursive: true,
      filter: (path) =>
        isOurs
          ? isNeededAtRunTime(source, path)
          : // What lies inside another package is a package of its own, and is taken only if it is needed.
            path === source || !relative(source, path).split('/').includes('node_modules'),
    })
  }
  // Our own packages find each other where npm would have linked them.
  for (const [place, { link, resolved }] of Object.entries(lock)) {
    if (!link || !taken.has(resolved)) continue
    mkdirSync(dirname(join(destination, place)), { recursive: true })
    cpSync(join(root, place), join(destination, place), { verbatimSymlinks: true })
  }
  for (const file of ['package.json', 'LICENSE']) cpSync(join(root, file), join(destination, file))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const destination = process.argv[2]
  if (!destination) {
    process.stderr.write('usage: node infra/image/assemble.mjs <directory>\n')
    process.exit(2)
  }
  assemble(resolve(destination))
}
