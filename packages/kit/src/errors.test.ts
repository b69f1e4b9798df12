/** The catalogue, its page and the codes in the sources are one. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CatalogueEntry, catalogue, renderCatalogue } from './catalogue'
import { CustodyError, describeError } from './errors'

const root = join(__dirname, '../../..')
const page = join(root, 'docs/errors.md')

function sources(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) {
      return ['node_modules', 'dist', '.turbo'].includes(entry.name) ? [] : sources(path)
    }
    return /\.(ts|mjs|cjs|tsx)$/.test(entry.name) && !entry.name.includes('.test.') ? [path] : []
  })
}

test('docs/errors.md is the catalogue', () => {
  if (process.env.CUSTODY_WRITE_DOCS) writeFileSync(page, renderCatalogue())
  expect(readFileSync(page, 'utf8')).toBe(renderCatalogue())
})

test('every code used in a source is in the catalogue, and the other way round', () => {
  const used = new Map<string, string>()
  for (const top of ['schemas', 'packages', 'services', 'cli', 'bench', 'scripts', 'test']) {
    for (const file of sources(join(root, top))) {
      if (file.endsWith('catalogue.ts')) continue
      for (const [code] of readFileSync(file, 'utf8').matchAll(/\bCUSTODY-[A-Z]+-\d{3}\b/g)) {
        used.set(code, file)
      }
    }
  }
  const unknown = [...used].filter(([code]) => !(code in catalogue))
  expect(unknown).toEqual([])
  expect(Object.keys(catalogue).filter((code) => !used.has(code))).toEqual([])
})

test('a code has its form, and every entry says what to do', () => {
  for (const [code, entry] of Object.entries<CatalogueEntry>(catalogue)) {
    expect(code).toMatch(/^CUSTODY-[A-Z]+-\d{3}$/)
    expect(entry.meaning).toMatch(/\.$/)
    expect(entry.duty).toMatch(/\.$/)
  }
})

test('a person sees code, message, cause and duty', () => {
  const error = new CustodyError('CUSTODY-CONFIG-003', 'cannot read x', {
    cause: new Error('no such file'),
  })
  expect(describeError(error).split('\n')).toEqual([
    'CUSTODY-CONFIG-003: cannot read x',
    '  cause: no such file',
    `  ${catalogue['CUSTODY-CONFIG-003'].duty}`,
  ])
})
