#!/usr/bin/env node
// The `custody` command. Committed and executable, so that the link made at installation works before the first build.
try {
  require.resolve('../dist/main.js')
} catch {
  process.stderr.write('custody is not built yet: run `npm run setup` first\n')
  process.exit(1)
}
require('../dist/main.js')
