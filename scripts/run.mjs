/**
 * What the root's npm scripts call: sets up what is missing, then runs the one thing that was asked for, in this same
 * process where it can be, so that signals and the exit code need no passing on.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
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

/**
 * What these show has to hold every time: that nothing is lost, leaks or gets past. Once is a finding, and is not looked away from
 * by asking again.
 */
const PROOFS = /^test\/(canary|chaos|crash|evasion|siem)\//
const AGAIN_FILES_MAX = 3

try {
  if (verb === 'test') await test(args)
  else if (verb in programs) {
    // Who only asks how it is used waits for no servers to be fetched.
    const needs = {
      clients: verb !== 'start',
      languages: verb === 'keycloak',
      drivers: verb === 'canary',
      kafka: ['bench', 'chaos', 'siem'].includes(verb),
      siem: ['bench', 'siem'].includes(verb),
    }
    setup(args.includes('--help') ? {} : needs)
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

/**
 * All tests, or those whose path matches an argument. Few files that failed beside two others run once more by themselves: real
 * servers on a busy machine can be slower than any patience. Which did is said. Closes with the counts, one line a program
 * can read.
 */
async function test(jestArguments) {
  setup({ clients: true, drivers: true, kafka: true, infra: true, siem: true })
  const directory = mkdtempSync(join(tmpdir(), 'custody-test-results-'))
  try {
    const first = await jest(jestArguments, join(directory, 'first.json'))
    let { code, passed, failed, skipped } = first
    const names = first.failedFiles.map((file) => relative(root, file))
    if (
      names.length > 0 &&
      names.length <= AGAIN_FILES_MAX &&
      process.exitCode === undefined &&
      !names.some((name) => PROOFS.test(name))
    ) {
      progress(`failed beside others, and run once more alone: ${names.join(', ')}`)
      const again = await jest(
        ['--runInBand', '--runTestsByPath', ...first.failedFiles],
        join(directory, 'again.json'),
      )
      code = again.code
      passed += again.passed - first.passedInFailedFiles
      failed = again.failed
      skipped += again.skipped - first.skippedInFailedFiles
      for (const name of names)
        progress(
          `${again.failedFiles.includes(join(root, name)) ? 'failed again' : 'passed alone'}: ${name}`,
        )
    }
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
    process.exitCode = code !== 0 ? code : failed > 0 || passed === 0 ? 1 : 0
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** One run of jest: its exit code, what it counted, and the files with a failure. */
async function jest(args, results) {
  const child = spawn(
    process.execPath,
    [
      '--no-warnings',
      join(root, 'node_modules/jest/bin/jest.js'),
      ...['--json', `--outputFile=${results}`],
      ...args,
    ],
    // Jest's report is for people and goes to standard error anyway; its JSON is read from the file.
    { cwd: root, stdio: ['inherit', 'ignore', 'inherit'] },
  )
  const pass = (signal) => {
    // Who stops the tests wants no more of them.
    process.exitCode = 128 + constants.signals[signal]
    child.kill(signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, pass)
  const code = await new Promise((resolve) => {
    child.once('exit', (status, signal) => resolve(status ?? 128 + constants.signals[signal]))
  })
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, pass)
  const counted = {
    code,
    ...{ passed: 0, failed: 0, skipped: 0 },
    ...{ failedFiles: [], passedInFailedFiles: 0, skippedInFailedFiles: 0 },
  }
  if (!existsSync(results)) return counted
  const found = JSON.parse(readFileSync(results, 'utf8'))
  counted.passed = found.numPassedTests
  // A file that could not even be loaded has no tests to count, and is a failure all the same.
  counted.failed = found.numFailedTests + found.numRuntimeErrorTestSuites
  counted.skipped = found.numPendingTests + found.numTodoTests
  for (const { name, status, assertionResults } of found.testResults) {
    if (status !== 'failed') continue
    counted.failedFiles.push(name)
    for (const { status: one } of assertionResults) {
      if (one === 'passed') counted.passedInFailedFiles++
      else if (one !== 'failed') counted.skippedInFailedFiles++
    }
  }
  return counted
}
