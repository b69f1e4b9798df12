/**
 * Which directories are workspaces, from the root package.json. Node's own modules only: it runs before `npm ci`.
 */
const { existsSync, readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')

function workspaceDirectories(root) {
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return workspaces
    .flatMap((pattern) => {
      if (!pattern.endsWith('/*')) return [join(root, pattern)]
      const parent = join(root, pattern.slice(0, -2))
      return existsSync(parent)
        ? readdirSync(parent)
            .sort()
            .map((name) => join(parent, name))
        : []
    })
    .filter((directory) => existsSync(join(directory, 'package.json')))
}

module.exports = { workspaceDirectories }
