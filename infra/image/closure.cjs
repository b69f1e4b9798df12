/** Which packages some packages need at run time: a pure function of package-lock.json. */
'use strict'
const { posix } = require('node:path')

/**
 * Directories, from the root, of all packages that these need at run time; ours and others'. Of optional ones those that
 * `isInstalled`: npm leaves out what is for other systems.
 */
function closure(lock, from, without, isInstalled) {
  const found = new Set()
  const missing = []
  const visit = (at) => {
    if (found.has(at)) return
    found.add(at)
    const {
      dependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
      peerDependenciesMeta = {},
    } = lock[at]
    const isOptional = (name) => Object.hasOwn(optionalDependencies, name)
    const wanted = [
      ...Object.keys(dependencies),
      ...Object.keys(optionalDependencies),
      ...Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional),
    ]
    for (const name of wanted) {
      if (without.has(name)) continue
      const place = placeOf(lock, at, name)
      if (isOptional(name) && (place === undefined || !isInstalled(place))) continue
      if (place === undefined) missing.push(`${at} needs ${name}`)
      else visit(lock[place].link ? lock[place].resolved : place)
    }
  }
  for (const at of from) visit(at)
  if (missing.length > 0) throw new Error(`package-lock.json lacks: ${missing.join('; ')}`)
  return [...found].sort()
}

/** Where Node.js looks: beside the package, then in each directory above it. */
function placeOf(lock, from, name) {
  for (let at = from; ; at = posix.dirname(at)) {
    if (posix.basename(at) === 'node_modules') continue
    const place = at === '.' ? `node_modules/${name}` : `${at}/node_modules/${name}`
    if (lock[place]) return place
    if (at === '.') return undefined
  }
}

module.exports = { closure }
