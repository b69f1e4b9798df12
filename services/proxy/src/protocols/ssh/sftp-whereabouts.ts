/**
 * Asks the target where paths lead, before anything is decided about them: through links, and from where the session
 * began. The answers are those of the moment; who can change links at the target can change them in between.
 * Refuses to guess where the target gives no answer.
 */
import { join, parentOf, pathText } from './sftp-paths'
import { Fxp, lstatPacket, parseName, parseStatus, realpathPacket, Status } from './sftp-wire'

/** A question, once it has its identifier. */
export type Query = (id: number) => Buffer

export type Found = { paths: string[] } | { code: number; words: string }

type One = { path: string } | { code: number; words: string }

export class Whereabouts {
  /** Where the session began: null where the target does not say, undefined while it has not. */
  private home: string | null | undefined
  private waiting: ((home: string | null) => void)[] = []

  constructor(private readonly ask: (query: Query, told: (answer: Buffer) => void) => void) {}

  findHome(): void {
    this.realpath(Buffer.from('.'), (found) => {
      this.home = 'path' in found ? found.path : null
      const { waiting } = this
      this.waiting = []
      for (const told of waiting) told(this.home)
    })
  }

  whenHome(told: (home: string | null) => void): void {
    if (this.home === undefined) this.waiting.push(told)
    else told(this.home)
  }

  /** Of all of them, or why not of one. `follow`: through a link at the end as well. */
  lead(paths: readonly Buffer[], follow: boolean, told: (found: Found) => void): void {
    const found: string[] = []
    const next = () => {
      const path = paths[found.length]
      if (path === undefined) {
        told({ paths: found })
        return
      }
      this.one(path, follow, (one) => {
        if ('code' in one) {
          told(one)
          return
        }
        found.push(one.path)
        next()
      })
    }
    next()
  }

  private one(path: Buffer, follow: boolean, told: (one: One) => void): void {
    if (!follow) {
      this.besideParent(path, told)
      return
    }
    this.realpath(path, (one) => {
      if ('path' in one || one.code !== Status.noSuchFile) {
        told(one)
        return
      }
      // Some servers say nothing of what is not there yet. Only where it is no link either is it where its name says.
      this.ask(
        (id) => lstatPacket(id, path),
        (answer) => {
          if (answer[4] === Fxp.status && parseStatus(answer).code === Status.noSuchFile)
            this.besideParent(path, told)
          else told(one)
        },
      )
    })
  }

  private besideParent(path: Buffer, told: (one: One) => void): void {
    const split = parentOf(path)
    if (split === null) {
      this.realpath(path, told)
      return
    }
    this.realpath(split.parent, (parent) =>
      told('path' in parent ? { path: join(parent.path, pathText(split.name)) } : parent),
    )
  }

  private realpath(path: Buffer, told: (one: One) => void): void {
    this.ask(
      (id) => realpathPacket(id, path),
      (answer) => {
        if (answer[4] === Fxp.status) {
          const { code, words } = parseStatus(answer)
          // Saying that it went well is no answer.
          told(code === Status.ok ? NO_ANSWER : { code, words })
          return
        }
        const first = answer[4] === Fxp.name ? parseName(answer).first : null
        told(first === null || first[0] !== 0x2f ? NO_ANSWER : { path: pathText(first) })
      },
    )
  }
}

const NO_ANSWER = { code: Status.failure, words: 'the target does not say where it leads' }
