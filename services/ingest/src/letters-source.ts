/**
 * Dead letters once more, from a directory, after what kept them out was put right: a schema was published, a version is newer.
 * One that goes in is removed; one that does not stays as it is. Asks the store about each: it may be there by now.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lot, Source } from './lot'
import type { Row, Unreadable } from './rows'
import type { EventStore } from './store'

const LETTERS_MAX = 1000

interface LettersLot extends Lot {
  files: string[]
  kept: Set<number>
}

export class LettersSource implements Source {
  private left: string[] = []

  constructor(
    private readonly directory: string,
    private readonly published: (fingerprint: string) => Promise<string | null>,
  ) {}

  async start(): Promise<void> {
    const files = await readdir(this.directory)
    this.left = files.filter((file) => file.endsWith('.event')).sort()
  }

  async stop(): Promise<void> {}

  async next(): Promise<Lot | null> {
    const files = this.left.splice(0, LETTERS_MAX)
    if (files.length === 0) return null
    const messages = await Promise.all(files.map((file) => readFile(join(this.directory, file))))
    const lot: LettersLot = {
      name: null,
      mark: 'custody-ingest/letters',
      messages,
      places: files.map((_, i) => i),
      bytes: messages.reduce((sum, { length }) => sum + length, 0),
      full: true,
      again: true,
      files,
      kept: new Set(),
    }
    return lot
  }

  async present(lot: Lot, rows: readonly Row[], store: EventStore): Promise<ReadonlySet<Row>> {
    await store.insertsEnded(lot.mark)
    return store.present(rows)
  }

  async commit(lot: Lot): Promise<boolean> {
    const { files, kept } = lot as LettersLot
    for (const [i, file] of files.entries()) {
      if (kept.has(i)) continue
      await rm(join(this.directory, file), { force: true })
      await rm(join(this.directory, file.replace(/\.event$/, '.json')), { force: true })
    }
    return true
  }

  release(lot: Lot): void {
    this.left.unshift(...(lot as LettersLot).files)
  }

  schema(fingerprint: string): Promise<string | null> {
    return this.published(fingerprint)
  }

  async putAside(lot: Lot, letters: readonly Unreadable[]): Promise<void> {
    for (const { place } of letters) (lot as LettersLot).kept.add(place)
  }
}
