/**
 * What a person sees once everything runs: lines to paste as they are. Only writes text.
 */
import { reachable, urlOf } from '@custody/kit'

export interface WelcomeFacts {
  version: string
  host: string
  ports: { postgres?: number; console: number }
  home: string
  /** Resources by name; the first is the example. */
  resources: readonly string[]
  identity: string
  token: string
  tokenHours: number
  demoVersion?: string
}

export function welcome(o: WelcomeFacts): string {
  const resource = o.resources[0]
  const lines = [`Custody ${o.version} is running.`, '']
  if (o.demoVersion) {
    lines.push(
      `  This is the demo: PostgreSQL ${o.demoVersion} with a made-up shop, as resource "demo".`,
      '',
    )
  }
  if (resource) {
    const hours = o.tokenHours === 1 ? 'an hour' : `${o.tokenHours} hours`
    lines.push(
      `  Type SQL through Custody (you are ${o.identity}; this line works for ${hours},`,
      `  \`npx custody connect ${resource}\` makes a new one):`,
      '',
      `    ${psqlLine(o, resource)}`,
      '',
    )
  } else {
    lines.push('  No resource is configured yet: add one under `resources` in custody.yaml.', '')
  }
  lines.push(
    '  See who did what, and what came back:',
    '',
    '    npx custody timeline last',
    '',
    ...(o.demoVersion
      ? [
          '  DROP, TRUNCATE and ALTER wait for a second person here. Be one, in another terminal:',
          '',
          '    npx custody approvals',
          '',
        ]
      : []),
    ...(o.ports.console ? [`  Console and API: ${urlOf(o.host, o.ports.console)}`] : []),
    `  State: ${o.home}`,
    '',
    '  Ctrl-C stops everything that was started here.',
    '',
  )
  return lines.join('\n')
}

export function psqlLine(
  o: Pick<WelcomeFacts, 'host' | 'ports' | 'identity' | 'token'>,
  resource: string,
): string {
  const user = encodeURIComponent(o.identity)
  const at = `${reachable(o.host)}:${o.ports.postgres}`
  return `psql "postgresql://${user}:${o.token}@${at}/${encodeURIComponent(resource)}?sslmode=require"`
}
