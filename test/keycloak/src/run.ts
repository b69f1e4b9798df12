/**
 * Runs the cases one after the other in one world, and says which do not hold. One that does not is no reason to stop; a
 * signal is, and nothing is left running then either.
 */
import { cases } from './cases'
import { openWorld } from './world'

export interface KeycloakCounts {
  cases: number
  failed: number
  findings: string[]
}

export async function runKeycloak(o: {
  only?: string
  progress(line: string): void
}): Promise<KeycloakCounts> {
  const wanted = cases.filter(({ name }) => name.includes(o.only ?? ''))
  const findings: string[] = []
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Interrupted(signal)))
  })
  const opening = openWorld(o.progress)
  try {
    const world = await Promise.race([opening, interrupted])
    for (const { name, run } of wanted) {
      try {
        await Promise.race([run(world), interrupted])
        o.progress(`holds: ${name}`)
      } catch (error) {
        if (error instanceof Interrupted) throw error
        o.progress(`FAILED: ${name}`)
        findings.push(`${name}: ${error instanceof Error ? error.stack : error}`)
      }
    }
  } finally {
    const world = await opening.catch(() => null)
    await world?.stop()
  }
  return { cases: wanted.length, failed: findings.length, findings }
}

class Interrupted extends Error {}
