/** Rules of this repository that a machine can hold. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

const { workspaceDirectories } = require('./workspaces.cjs') as {
  workspaceDirectories(root: string): string[]
}
const root = resolve(__dirname, '..')
const workspaces = workspaceDirectories(root).map((directory) => ({
  directory,
  name: relative(root, directory),
  manifest: JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest,
}))

interface Manifest {
  name: string
  private?: boolean
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

interface Locked {
  optionalDependencies?: Record<string, string>
}

function files(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (!entry.isDirectory()) return [path]
    return ['node_modules', 'dist', '.turbo'].includes(entry.name) ? [] : files(path)
  })
}

/** npm leaves out of the lock what its registry lacks, and `npm ci` then refuses the lock on every machine. */
test('package-lock.json names the optional packages of every platform', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>
  }
  const missing = Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => !resolvable(path, name))
      .map((name) => `${path}: ${name}`),
  )
  expect(missing).toEqual([])

  function resolvable(from: string, name: string): boolean {
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      if (`${at ? `${at}/` : ''}node_modules/${name}` in lock.packages) return true
      if (at === '') return false
    }
  }
})

describe.each(workspaces)('$name', ({ directory, manifest }) => {
  const dependencies = {
    ...manifest.dependencies,
    ...manifest.devDependencies,
    ...manifest.optionalDependencies,
  }

  test('is private and pins its dependencies', () => {
    expect(manifest.private).toBe(true)
    const loose = Object.entries(dependencies).filter(
      ([, range]) => !/^(npm:@?[^@]+@)?\d+\.\d+\.\d+/.test(range),
    )
    expect(loose).toEqual([])
  })

  test('every source says at its top what it is for', () => {
    const silent = files(directory)
      .filter((path) => /\.(ts|tsx|mjs|cjs)$/.test(path) && !path.includes('.test.'))
      .filter((path) => !/^(#!.*\n)?(\/\*\*|\/\/)/.test(readFileSync(path, 'utf8')))
    expect(silent.map((path) => relative(root, path))).toEqual([])
  })
})

test('services import packages, never each other; only stand-alone imports services', () => {
  const services = workspaces.filter(({ name }) => name.startsWith('services/'))
  const wrong = workspaces
    .filter(
      ({ name }) => name !== 'services/standalone' && !name.startsWith('test/') && name !== 'bench',
    )
    .flatMap(({ name, manifest }) =>
      Object.keys(manifest.dependencies ?? {})
        .filter((dependency) => services.some((service) => service.manifest.name === dependency))
        .map((dependency) => `${name} imports ${dependency}`),
    )
  expect(wrong).toEqual([])
})
