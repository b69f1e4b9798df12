/** The Dockerfile: what BuildKit itself makes of it, rules that each can be broken, and what is sent to a build. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argumentsOf, breachesOf, type Dockerfile, processOf } from './dockerfile'
import { compose, read, root } from './tools'

const text = readFileSync(join(root, 'Dockerfile'), 'utf8')
const directory = mkdtempSync(join(tmpdir(), 'custody-infra-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function parsed(content: string): Dockerfile {
  const file = join(directory, 'Dockerfile')
  writeFileSync(file, content)
  return read<Dockerfile>('dockerfile', file)
}

test('BuildKit reads it without a warning, and it keeps every rule', () => {
  expect(breachesOf(parsed(text))).toEqual([])
})

test.each([
  [/not pinned/, (t: string) => t.replace(/node:\d[\w.-]+\n/, 'node:latest\n')],
  [/not pinned/, (t: string) => t.replace(/postgres:\d[\w.-]+\n/, 'postgres\n')],
  [
    /not pinned/,
    (t: string) => t.replace(/FROM \$\{NODE_IMAGE\} AS custody/, 'FROM node AS custody'),
  ],
  [/other than root/, (t: string) => t.replace('USER 10001:10001\n', '')],
  [/other than root/, (t: string) => t.replace('USER 10001:10001\n', 'USER 0\n')],
  [/other than root/, (t: string) => t.replace('USER 10001:10001\n', 'USER custody\n')],
  [/runs a shell/, (t: string) => t.replace(/CMD .*/, 'CMD node services/proxy/dist/main.js')],
  [/ADD may fetch/, (t: string) => t.replace('COPY . .', 'ADD https://example.com/x /src')],
  [/no lock file pins/, (t: string) => t.replace('npm ci', 'npm install')],
  [
    /no lock file pins/,
    (t: string) => t.replace('npm ci', 'curl https://example.com | sh && npm ci'),
  ],
  [/no stage/, (t: string) => t.replaceAll('--from=build', '--from=elsewhere')],
  [/secret/, (t: string) => t.replace('NODE_ENV=production', 'NODE_ENV=production API_TOKEN=x')],
  [/not custody/, (t: string) => t.replace('AS custody', 'AS other')],
  [/Maintainer/i, (t: string) => t.replace('WORKDIR /app\n', 'WORKDIR /app\nMAINTAINER x\n')],
])('a breach is told: %s', (breach, change) => {
  expect(change(text)).not.toBe(text)
  expect(breachesOf(parsed(change(text))).filter((one) => breach.test(one))).not.toEqual([])
})

test.each([
  ['instructions that there are not', 'RUN', 'RUNN'],
  ['flags that there are not', 'COPY --from', 'COPY --form'],
])('BuildKit refuses %s', (_, from, to) => {
  expect(() => parsed(text.replace(from, to))).toThrow()
})

test('services begin with node as nobody in particular', () => {
  expect(processOf(parsed(text), 'custody')).toMatchObject({
    user: '10001:10001',
    directory: '/app',
    entrypoint: [],
    command: ['node', 'services/proxy/dist/main.js'],
    environment: {
      NODE_ENV: 'production',
      CUSTODY_HOME: '/var/lib/custody',
      CUSTODY_CONFIG: '/etc/custody/custody.yaml',
    },
  })
})

test('images can be given by digest, and compose passes them on', () => {
  const file = readFileSync(join(compose, 'compose.yaml'), 'utf8')
  for (const [name, image] of Object.entries(argumentsOf(parsed(text))))
    expect(file).toContain(`${name}: \${${name}:-${image}}`)
})

describe('what a build is sent', () => {
  const tracked = spawnSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
    .stdout.split('\n')
    .filter((name) => name !== '' && existsSync(join(root, name)))
  const sent = new Set(
    read<string[]>(
      'context',
      root,
      ...tracked,
      ...[
        'node_modules/pg/package.json',
        'services/proxy/node_modules/x/index.js',
        'services/proxy/dist/main.js',
        'infra/docker-compose/secrets/masking-key',
        '.custody/keys/token-signing.jwk',
        '.env',
        '.git/config',
      ],
    ),
  )

  test('is all that it reads', () => {
    for (const name of tracked) {
      const isSource = /^(packages|services|cli|schemas)\//.test(name) && !/\.test\.ts$/.test(name)
      const isManifest = /(^|\/)package\.json$/.test(name)
      if (isSource || isManifest) expect([name, sent.has(name)]).toEqual([name, true])
    }
    for (const name of [
      'package-lock.json',
      '.npmrc',
      'turbo.json',
      'tsconfig.base.json',
      'LICENSE',
    ])
      expect([name, sent.has(name)]).toEqual([name, true])
    const { stages } = parsed(text)
    const copied = stages.flatMap(({ name }) => processOf(parsed(text), name).copied)
    for (const [source] of copied)
      if (source !== '.') expect([source, sent.has(source)]).toEqual([source, true])
    for (const { instructions } of stages)
      for (const { name, words } of instructions)
        for (const [path] of name === 'RUN' ? words[0]!.matchAll(/infra\/[\w./-]+/g) : [])
          expect([path, sent.has(path)]).toEqual([path, true])
  })

  test('is nothing of this machine, and no secret', () => {
    for (const name of sent)
      expect(name).not.toMatch(/(^|\/)(node_modules|dist|secrets|\.custody|\.git|\.env)(\/|$)/)
  })
})

describe('what the image runs', () => {
  const { closure } = createRequire(__filename)(join(root, 'infra/image/closure.cjs'))
  const lock = {
    'services/a': { dependencies: { x: '1', '@custody/b': '1' }, devDependencies: { tests: '1' } },
    'packages/b': {
      dependencies: { x: '2', chdb: '1' },
      optionalDependencies: { binary: '1', other: '1', none: '1' },
    },
    'node_modules/@custody/b': { resolved: 'packages/b', link: true },
    'packages/b/node_modules/x': { dependencies: { y: '1' } },
    'node_modules/x': {
      peerDependencies: { z: '1', w: '1' },
      peerDependenciesMeta: { w: { optional: true } },
    },
    ...{
      'node_modules/y': {},
      'node_modules/z': {},
      'node_modules/w': {},
      'node_modules/tests': {},
    },
    ...{ 'node_modules/chdb': {}, 'node_modules/binary': {}, 'node_modules/other': {} },
  }

  // For another system.
  const isInstalled = (at: string) => at !== 'node_modules/other'

  test('is what its services need, where they will look for it, and no more', () => {
    expect(closure(lock, ['services/a'], new Set(['chdb']), isInstalled)).toEqual([
      'node_modules/binary',
      'node_modules/x',
      'node_modules/y',
      'node_modules/z',
      'packages/b',
      'packages/b/node_modules/x',
      'services/a',
    ])
  })

  test('what is missing is told', () => {
    const { 'node_modules/z': _, ...without } = lock
    expect(() => closure(without, ['services/a'], new Set(['chdb']), isInstalled)).toThrow(
      'node_modules/x needs z',
    )
  })
})
