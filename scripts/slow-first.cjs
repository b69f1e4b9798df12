/**
 * The order in which test files run: those that start whole systems first, so that none of them is what the others end up
 * waiting for. A fresh checkout knows no durations; where a file stands and what it is called says enough.
 */
const { relative } = require('node:path')
const Sequencer = require('@jest/test-sequencer').default

const KINDS = [
  /^(test|bench)\//,
  /^services\/standalone\//,
  /\.e2e\.test\.ts$/,
  /^packages\/(event-log-kafka|warehouse)\//,
]

const kindOf = ({ path, context }) => {
  const name = relative(context.config.rootDir, path)
  const kind = KINDS.findIndex((one) => one.test(name))
  return kind < 0 ? KINDS.length : kind
}

module.exports = class SlowFirst extends Sequencer {
  sort(tests) {
    const within = new Map(super.sort(tests).map((test, i) => [test, i]))
    return [...tests].sort((a, b) => kindOf(a) - kindOf(b) || within.get(a) - within.get(b))
  }
}
