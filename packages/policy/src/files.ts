/** Where policies are read from: files, and directories of *.cedar files. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CustodyError } from '@custody/kit'
import { loadPolicies, type PolicySet, type PolicySource, type TemplateUse } from './policies'
import type { PreApprovedList } from './pre-approved'

/** Of one policy file. */
export const FILE_BYTES_MAX = 4 * 1024 * 1024

/** Named files, and those in named directories, in order of their names. */
export function policyFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path]
    return readdirSync(path)
      .filter((file) => file.endsWith('.cedar'))
      .sort()
      .map((file) => join(path, file))
  })
}

export function readPolicySources(paths: readonly string[]): PolicySource[] {
  return policyFiles(paths).map(readSource)
}

/** As the configuration has them. */
export interface PolicySettings {
  files: readonly string[]
  templates: readonly TemplateUse[]
  preApproved: readonly (Omit<PreApprovedList, 'name' | 'statements'> & { file: string })[]
}

/** All files that `loadConfigured` reads, so that a change can be seen. */
export function configuredFiles({ files, preApproved }: PolicySettings): string[] {
  return [...policyFiles(files), ...preApproved.map(({ file }) => file)]
}

/** The set that the configuration asks for. `statementsOf`: how a list is cut, by the language that it is in. */
export function loadConfigured(
  { files, templates, preApproved }: PolicySettings,
  statementsOf: (text: string) => string[],
): PolicySet {
  const lists = preApproved.map(({ file, ...list }) => ({
    ...list,
    name: file,
    statements: cut(file),
  }))
  return loadPolicies(readPolicySources(files), templates, lists)

  function cut(file: string): string[] {
    const { text } = readSource(file)
    try {
      return statementsOf(text)
    } catch (cause) {
      throw new CustodyError('CUSTODY-POLICY-001', `${file}:1: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
}

function readSource(name: string): PolicySource {
  try {
    if (statSync(name).size > FILE_BYTES_MAX) throw new Error(`larger than ${FILE_BYTES_MAX} bytes`)
    return { name, text: readFileSync(name, 'utf8') }
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-POLICY-001',
      `${name}:1: can't be read: ${(cause as Error).message}`,
      { cause },
    )
  }
}
