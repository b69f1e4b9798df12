/** What was found where, told apart by the way it took; counts and lines for people. Refuses to look for anything. */
import type { Hit } from './search'

export interface Finding {
  /** The way, or the file, that it is about. */
  about: string
  group: string
  place: string
  hits: Hit[]
}

const SHOWN_MAX = 4

export class Findings {
  private readonly found = new Map<string, Finding>()
  private readonly searched = new Set<string>()
  bytes = 0

  /** A place was searched, whatever came of it. */
  look(place: string, bytes: number): void {
    this.searched.add(place)
    this.bytes += bytes
  }

  add(place: string, about: string, group: string, hits: readonly Hit[]): void {
    if (hits.length === 0) return
    const key = `${place}\0${group}\0${about}`
    const known = this.found.get(key)
    if (known) known.hits.push(...hits)
    else this.found.set(key, { about, group, place, hits: [...hits] })
  }

  get places(): string[] {
    return [...this.searched]
  }

  get all(): Finding[] {
    return [...this.found.values()]
  }

  lines(): string[] {
    return this.all.map(({ about, group, place, hits }) => {
      const seen = new Map<string, string>()
      for (const { canary, spelling, at } of hits)
        if (!seen.has(canary.name)) seen.set(canary.name, `${canary.name} (${spelling}, at ${at})`)
      const shown = [...seen.values()]
      const more = shown.length > SHOWN_MAX ? ` and ${shown.length - SHOWN_MAX} more` : ''
      return `leak: ${group}: ${about}: in ${place}: ${shown.slice(0, SHOWN_MAX).join(', ')}${more}`
    })
  }
}
