/**
 * What the root's npm scripts call: sets up what is missing, then runs the one thing that was asked for, in this same
 * process where it can be, so that signals and the exit code need no passing on.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { progress, root, SetupError, setup } from './setup.mjs'

const require = createRequire(import.meta.url)
const [verb, ...args] = process.argv.slice(2)

/** Programs of their own, by npm script. Each takes `--json` and says on its last line what it found. */
const programs = {
  start: 'services/standalone/dist/main.js',
  crash: 'test/crash/dist/main.js',
  chaos: 'test/chaos/dist/main.js',
  parity: 'test/parity/dist/main.js',
  evasion: 'test/evasion/dist/main.js',
  canary: 'test/canary/dist/main.js',
  keycloak: 'test/keycloak/dist/main.js',
  siem: 'test/siem/dist/main.js',
  bench: 'bench/dist/main.js',
}

try {
  if (verb === 'test') await test(args)
  else if (verb in programs) {
    setup({
      clients: verb !== 'start',
      languages: verb === 'keycloak',
      drivers: verb === 'canary',
      kafka: ['bench', 'chaos', 'siem'].includes(verb),
      siem: ['bench', 'siem'].includes(verb),
    })
    const program = join(root, programs[verb])
    if (!existsSync(program)) throw new SetupError(`${programs[verb]} is not part of this version`)
    process.argv.splice(1, 2, program)
    require(program)
  } else {
    progress(`usage: node scripts/run.mjs test|${Object.keys(programs).join('|')} [arguments]`)
    process.exitCode = 2
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  progress(error.message)
  process.exitCode = 1
}

/** All tests, or those whose path matches an argument. Closes with the counts, one line a program can read. */
async function test(jestArguments) {
  setup({ clients: true, drivers: true, kafka: true, infra: true, siem: true })
  const directory = mkdtempSync(join(tmpdir(), 'custody-test-results-'))
  const results = join(directory, 'results.json')
  const child = spawn(
    process.execPath,
    [
      '--no-warnings',
      join(root, 'node_modules/jest/bin/jest.js'),
      ...['--json', `--outputFile=${results}`],
      ...jestArguments,
    ],
    // Jest's report is for people and goes to standard error anyway; its JSON is read from the file.
    { cwd: root, stdio: ['inherit', 'ignore', 'inherit'] },
  )
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  const code = await new Promise((resolve) => {
    child.once('exit', (status, signal) => resolve(status ?? 128 + constants.signals[signal]))
  })
  let counted = { passed: 0, failed: 0, skipped: 0 }
  if (existsSync(results)) {
    const found = JSON.parse(readFileSync(results, 'utf8'))
    counted = {
      passed: found.numPassedTests,
      // A file that could not even be loaded has no tests to count, and is a failure all the same.
      failed: found.numFailedTests + found.numRuntimeErrorTestSuites,
      skipped: found.numPendingTests + found.numTodoTests,
    }
  }
  rmSync(directory, { recursive: true, force: true })
  const { passed, failed, skipped } = counted
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  process.exitCode = code !== 0 ? code : failed > 0 || passed === 0 ? 1 : 0
}
