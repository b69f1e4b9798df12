/**
 * The version after this one, made of this one: its schemas with one more nullable field, its encoder made anew from them and
 * filling that field, and one more migration. Processes are made to use it by a hook that resolves the two packages to the
 * copies; everything else is this version's own build.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformFileSync } from '@swc/core'

const root = join(__dirname, '../../..')
/** Where both find what they import. */
const place = join(root, 'node_modules/.cache', `custody-next-${process.pid}`)

export const NEXT_FIELD = 'note'
export const NEXT_VALUE = 'of the next version'

let made = false

/** Of a process that is to be of the next version. */
export function nextVersionEnvironment(): NodeJS.ProcessEnv {
  if (!made) {
    make()
    made = true
  }
  return { NODE_OPTIONS: `--require ${join(place, 'hook.cjs')}` }
}

export function removeNextVersion(): void {
  rmSync(place, { recursive: true, force: true })
  made = false
}

function make(): void {
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  makeSchemas(join(place, 'schemas'))
  makeWarehouse(join(place, 'warehouse'))
  writeFileSync(
    join(place, 'hook.cjs'),
    `const Module = require('node:module')
const next = {
  '@custody/schemas': ${JSON.stringify(join(place, 'schemas/dist/index.js'))},
  '@custody/warehouse': ${JSON.stringify(join(place, 'warehouse/dist/index.js'))},
}
const resolve = Module._resolveFilename
Module._resolveFilename = function (request, ...rest) {
  return next[request] ?? resolve.call(this, request, ...rest)
}
`,
  )
}

function makeSchemas(to: string): void {
  const from = join(root, 'schemas')
  for (const one of ['records', 'golden', 'generate.mjs', 'package.json'])
    cpSync(join(from, one), join(to, one), { recursive: true })
  mkdirSync(join(to, 'src/generated'), { recursive: true })
  for (const file of readdirSync(join(from, 'src')))
    if (file.endsWith('.ts') && !file.endsWith('.test.ts'))
      cpSync(join(from, 'src', file), join(to, 'src', file))

  const record = join(to, 'records/Statement.avsc')
  const statement = JSON.parse(readFileSync(record, 'utf8'))
  statement.fields.push({
    name: NEXT_FIELD,
    type: ['null', 'string'],
    default: null,
    doc: 'What this version has not.',
  })
  writeFileSync(record, JSON.stringify(statement))
  execFileSync(process.execPath, [join(to, 'generate.mjs')])

  // As if those who record knew what to say. What was decoded has the field already, and keeps it.
  const encoder = join(to, 'src/generated/encoder.ts')
  const text = readFileSync(encoder, 'utf8')
  const filled = text.replace(
    /(export function writeStatement\(w: Writer, r: StatementDraft\): void \{\n)/,
    `$1  if (r.${NEXT_FIELD} === undefined) r = { ...r, ${NEXT_FIELD}: ${JSON.stringify(NEXT_VALUE)} }\n`,
  )
  if (filled === text) throw new Error('the encoder of statements is not where it was')
  writeFileSync(encoder, filled)

  for (const directory of ['src', 'src/generated'])
    for (const file of readdirSync(join(to, directory)).filter((name) => name.endsWith('.ts'))) {
      const { code } = transformFileSync(join(to, directory, file), {
        swcrc: false,
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'commonjs' },
      })
      const out = join(to, directory.replace('src', 'dist'), file.replace(/\.ts$/, '.js'))
      mkdirSync(join(out, '..'), { recursive: true })
      writeFileSync(out, code)
    }
}

function makeWarehouse(to: string): void {
  const from = join(root, 'packages/warehouse')
  for (const one of ['dist', 'migrations', 'package.json'])
    cpSync(join(from, one), join(to, one), { recursive: true })
  const migrations = readdirSync(join(to, 'migrations')).sort()
  const first = readFileSync(join(to, 'migrations', migrations[0]!), 'utf8')
  const statement = /^ {4}(statement Tuple\([\s\S]*?)\) CODEC/m.exec(first)?.[1]
  if (!statement) throw new Error('the column of statements is not where it was')
  const number = String(migrations.length + 1).padStart(4, '0')
  writeFileSync(
    join(to, 'migrations', `${number}_next.sql`),
    `ALTER TABLE custody.events MODIFY COLUMN ${statement},\n        ${NEXT_FIELD} Nullable(String)) CODEC(ZSTD(1));\n`,
  )
}
