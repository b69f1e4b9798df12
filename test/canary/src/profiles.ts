/** The configurations that the check runs under, and the one place that writes them. */

export const PROFILES = ['redact', 'mixed', 'deny'] as const
export type Profile = (typeof PROFILES)[number]

/**
 * Whether this version's gateway masks. Where it does not, the configuration has no such section, and the check must find
 * nearly everything: the proof that it can.
 */
export const GATEWAY_MASKS = true

export interface Rule {
  id: string
  columns: readonly string[]
  action: string
  step?: number
}

/** Parts of a value may be left by what keeps a shape, an end or a beginning. */
export const partsMayBeLeft = (profile: Profile): boolean => profile === 'mixed'

const ACTIONS: Record<string, readonly string[]> = {
  hash: ['name', 'token', 'account'],
  partial: ['card_number', 'phone'],
  shape: ['email', 'secret'],
  null: ['notes', 'tags', 'blob', 'blob_', 'attrs'],
  truncate: ['who'],
  generalise: ['born', 'salary'],
}

export function rulesOf(profile: Profile, columns: readonly string[]): Rule[] {
  if (profile !== 'mixed') return [{ id: 'people', columns, action: 'redact' }]
  const byAction = new Map<string, string[]>()
  for (const column of columns) {
    const name = column.slice(column.lastIndexOf('.') + 1)
    const [action = 'redact'] =
      Object.entries(ACTIONS).find(([, names]) => names.includes(name)) ?? []
    byAction.set(action, [...(byAction.get(action) ?? []), column])
  }
  return [...byAction].map(([action, some]) => ({
    id: `people-${action}`,
    columns: some,
    action,
    // Of a number that is rounded to tens nearly all digits stay.
    ...(action === 'generalise' && { step: 1_000_000 }),
  }))
}

/** JSON is YAML. */
export function configurationOf(o: {
  /** Name to what `resource()` of a server says. */
  resources: Readonly<Record<string, string>>
  columns: readonly string[]
  profile: Profile
  masking: boolean
}): string {
  const resources = Object.entries(o.resources).map(([name, resource]) => `  ${name}: ${resource}`)
  const masking = {
    rules: rulesOf(o.profile, o.columns).map((rule) => ({ ...rule, predicates: 'allow' })),
    detectors: {},
    unproven: o.profile === 'deny' ? 'deny' : 'mask',
    copies: 'deny',
  }
  return [
    'listen: {postgres: 0, mysql: 0, console: 0}',
    'resources:',
    ...resources,
    ...(o.masking ? [`masking: ${JSON.stringify(masking)}`] : []),
    '',
  ].join('\n')
}
