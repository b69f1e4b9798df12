/**
 * One jest for all workspaces: `@custody/*` resolve to sources, so tests never run against a stale build.
 */
const { existsSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { workspaceDirectories } = require('./scripts/workspaces.cjs')

const moduleNameMapper = {}
for (const directory of workspaceDirectories(__dirname)) {
  const { name } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  if (existsSync(join(directory, 'src'))) moduleNameMapper[`^${name}$`] = join(directory, 'src')
}

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  moduleNameMapper,
  transform: {
    // ES modules only, which Node.js loads with require and jest does not.
    'node_modules/(?:@platformatic|unbash|hyparquet|hyparquet-writer)/.+\\.js$': [
      '@swc/jest',
      { jsc: { target: 'es2023' }, module: { type: 'commonjs' } },
    ],
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2023', parser: { syntax: 'typescript', decorators: false } },
        module: { type: 'commonjs', ignoreDynamic: true },
      },
    ],
  },
  transformIgnorePatterns: [
    '/node_modules/(?!@platformatic/|unbash/|hyparquet/|hyparquet-writer/)',
  ],
  // Real servers and two cores: a slow machine must not look like a broken promise.
  testTimeout: 120_000,
  maxWorkers: 3,
  testSequencer: './scripts/slow-first.cjs',
  watchman: false,
}
