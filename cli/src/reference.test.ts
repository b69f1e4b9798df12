/** docs/reference/cli.md is the commands' own help. `CUSTODY_WRITE_DOCS=1` writes it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { helpOf } from './arguments'
import { commands } from './commands'

const page = join(__dirname, '../../docs/reference/cli.md')

function rendered(): string {
  const lines = [
    '# The `custody` command',
    '',
    'Rendered from the commands’ own help; a test holds them together. From the repository: `npx custody …`.',
    'Every command takes `--json` (one object, or one a line for lists). Exit codes: 0 done, 1 failed, 2 the command line',
    'is wrong. Errors carry a stable code ([errors](../errors.md)).',
    '',
    '`CUSTODY_HOME` names the home directory of the Custody to ask; without it, `.custody` here or in the nearest directory',
    'above. `CUSTODY_URL` names another Custody by its address, `CUSTODY_TOKEN` the token to present there.',
    '',
  ]
  for (const command of commands)
    lines.push(`## ${command.name}`, '', '```text', ...helpOf(command), '```', '')
  return lines.join('\n')
}

test('docs/reference/cli.md is the help', () => {
  if (process.env.CUSTODY_WRITE_DOCS) writeFileSync(page, rendered())
  expect(readFileSync(page, 'utf8')).toBe(rendered())
})
