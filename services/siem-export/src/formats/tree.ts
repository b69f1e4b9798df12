/**
 * JSON from a table of rows: compiled once into a tree whose names and braces are ready text, so that a record is made by
 * asking each row for its value. A row without a value is left out, and so is an object without members.
 *   `a.b.c`     a member of objects within objects
 *   `a[].b`     `a` is a list of one object
 *   `a[]`       `a` is a list, of one value where the source gives one
 * Members that are the same all session long, and those of a record that most events have not, are compiled together, so that they are made
 * once, or skipped at once. Knows no standard.
 */
import type { Facts, Need } from './facts'
import { jsonText } from './text'

export type Scalar = string | number | boolean
export type Value =
  | Scalar
  | readonly string[]
  | Readonly<Record<string, Scalar>>
  | readonly object[]

export interface Leaf {
  /** Dotted path. */
  to: string
  of(facts: Facts): Value | null | undefined
  needs: Need
  /** Texts need no escaping. */
  plain?: boolean
  /** The value is always this. */
  always?: Value
  /** The value, where there is one, is always of this type. */
  type?: 'text' | 'number'
}

type Write<F> = (facts: F) => string

/** JSON of a value; empty for what is left out. */
export function jsonOf(value: Value | null | undefined): string {
  switch (typeof value) {
    case 'string':
      return value === '' ? '' : jsonText(value)
    case 'number':
      return Number.isFinite(value) ? String(value) : ''
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object': {
      if (value === null) return ''
      if (Array.isArray(value)) {
        if (value.length === 0) return ''
        if (typeof value[0] === 'string') {
          let list = ''
          for (const item of value as string[])
            list += `${list === '' ? '[' : ','}${jsonText(item)}`
          return `${list}]`
        }
        return JSON.stringify(value, wellFormed)
      }
      let members = ''
      for (const name in value) {
        const member = jsonOf((value as Record<string, Scalar>)[name])
        if (member !== '') members += `${members === '' ? '{' : ','}${jsonText(name)}:${member}`
      }
      return members === '' ? '' : `${members}}`
    }
    default:
      return ''
  }
}

const wellFormed = (_: string, value: unknown) =>
  typeof value === 'string' && !value.isWellFormed() ? value.toWellFormed() : value

/** Part of a record: what of the event it is made of, and how. */
export interface Part<F> {
  needs: Need
  write: Write<F>
}

/**
 * One function of many parts: neighbours of one need become one, which is asked only where the event has that record, or made once a session.
 * `slots` counts the places of the memo that are taken.
 */
export function gather(
  parts: readonly Part<Facts>[],
  join: (writes: readonly Write<Facts>[]) => Write<Facts>,
  slots: { taken: number },
): Write<Facts>[] {
  const out: Write<Facts>[] = []
  for (let i = 0; i < parts.length; ) {
    const { needs } = parts[i]!
    const run: Write<Facts>[] = []
    while (i < parts.length && parts[i]!.needs === needs) run.push(parts[i++]!.write)
    const write = run.length === 1 ? run[0]! : join(run)
    if (needs === null) out.push(...run)
    else if (needs === 'session') {
      const slot = slots.taken++
      out.push((facts) => {
        const { memo } = facts
        if (memo === null) return write(facts)
        const known = memo[slot]
        if (known !== undefined) return known
        const made = write(facts)
        // Makes one string of the pieces, once.
        if (made !== '') made.charCodeAt(0)
        memo[slot] = made
        return made
      })
    } else out.push((facts) => (facts.event[needs] === null ? '' : write(facts)))
  }
  return out
}

interface Branch {
  list: boolean
  members: Map<string, Branch | Leaf>
}

/** The record as one JSON object. Throws a TypeError where two rows want the same place. */
export function compileJson(leaves: readonly Leaf[]): (facts: Facts) => string {
  const root: Branch = { list: false, members: new Map() }
  for (const leaf of leaves) {
    const names = leaf.to.split('.')
    let at = root
    names.forEach((segment, i) => {
      const list = segment.endsWith('[]')
      const name = list ? segment.slice(0, -2) : segment
      const known = at.members.get(name)
      if (i === names.length - 1) {
        if (known !== undefined) throw new TypeError(`two rows for ${leaf.to}`)
        at.members.set(name, leaf)
        return
      }
      if (known === undefined) {
        const next: Branch = { list, members: new Map() }
        at.members.set(name, next)
        at = next
      } else if ('to' in known || known.list !== list)
        throw new TypeError(`${leaf.to}: ${name} is two things`)
      else at = known
    })
  }
  const { write } = compileBranch(root, { taken: 0 })
  return (facts) => `{${write(facts)}}`
}

/** Members without their braces, joined by commas; empty where there are none. */
const commas =
  (writes: readonly Write<Facts>[]): Write<Facts> =>
  (facts) => {
    let out = ''
    for (let i = 0; i < writes.length; i++) {
      const text = writes[i]!(facts)
      if (text !== '') out = out === '' ? text : `${out},${text}`
    }
    return out
  }

function compileBranch(at: Branch, slots: { taken: number }): Part<Facts> {
  const parts = [...at.members].map(([name, member]): Part<Facts> => {
    const quoted = `${JSON.stringify(name)}:`
    if ('to' in member) {
      const { of } = member
      if (member.always !== undefined) {
        const json = jsonOf(member.always)
        const text = quoted + (member.to.endsWith('[]') ? `[${json}]` : json)
        return { needs: member.needs, write: () => text }
      }
      if (member.plain && !member.to.endsWith('[]'))
        return {
          needs: member.needs,
          write: (facts) => {
            const value = of(facts)
            if (typeof value === 'string') return value === '' ? '' : `${quoted}"${value}"`
            return value === undefined || value === null ? '' : quoted + value
          },
        }
      if (member.type === 'text' && !member.to.endsWith('[]'))
        return {
          needs: member.needs,
          write: (facts) => {
            const value = of(facts) as string | null | undefined
            return value === undefined || value === null || value === ''
              ? ''
              : quoted + jsonText(value)
          },
        }
      if (member.type === 'number' && !member.to.endsWith('[]'))
        return {
          needs: member.needs,
          write: (facts) => {
            const value = of(facts) as number | null | undefined
            return value === undefined || value === null || !Number.isFinite(value)
              ? ''
              : quoted + value
          },
        }
      if (!member.to.endsWith('[]'))
        return {
          needs: member.needs,
          write: (facts) => {
            const json = jsonOf(of(facts))
            return json === '' ? '' : quoted + json
          },
        }
      return {
        needs: member.needs,
        write: (facts) => {
          const value = of(facts)
          const json = jsonOf(value)
          if (json === '') return ''
          return Array.isArray(value) ? quoted + json : `${quoted}[${json}]`
        },
      }
    }
    const { needs, write } = compileBranch(member, slots)
    const open = quoted + (member.list ? '[{' : '{')
    const close = member.list ? '}]' : '}'
    return {
      needs,
      write: (facts) => {
        const members = write(facts)
        return members === '' ? '' : open + members + close
      },
    }
  })
  const needs = parts[0]!.needs
  if (parts.every((part) => part.needs === needs))
    return { needs, write: commas(parts.map(({ write }) => write)) }
  // Members have no order in JSON, so those of one need stand together.
  const order = [...new Set(parts.map((part) => part.needs))]
  const sorted = order.flatMap((need) => parts.filter((part) => part.needs === need))
  return { needs: null, write: commas(gather(sorted, commas, slots)) }
}
