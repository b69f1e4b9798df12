/** The fields of Elastic Common Schema as Elastic publishes them: the keys of @elastic/ecs's flat type, read from its source. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export function ecsFields(name: '@elastic/ecs' | '@elastic/ecs-8'): Set<string> {
  const main = require.resolve(`${name}/package.json`)
  const text = readFileSync(join(dirname(main), 'generated/ecs_flat.ts'), 'utf8')
  const fields = new Set<string>()
  for (const [, quoted, bare] of text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .matchAll(/^\s*(?:'([^']+)'|([\w@.]+))\??:/gm))
    fields.add((quoted ?? bare)!)
  if (fields.size < 500) throw new Error(`only ${fields.size} fields were found`)
  return fields
}
