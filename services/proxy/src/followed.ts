/**
 * The catalogue of one database or server: loaded when the first session comes, kept while it is young, loaded again when a
 * statement that may have changed it has ended. Knows no protocol; whoever makes one says how it is loaded.
 */

/** What others changed, past the gateway, is known after so long. */
const AGE_MS_MAX = 30_000
/** After a failure it is tried again, at the earliest. */
const RETRY_MS = 1000

export class Followed<Catalogue extends { readonly unknown: boolean }> {
  current: Catalogue | null = null
  private loadedMs = 0
  private failedMs = 0
  private loading: Promise<void> | null = null
  /** Counts what may have changed it; what was loaded before the last of them is old. */
  private changes = 0
  private loadedChanges = -1

  constructor(private readonly load: () => Promise<Catalogue>) {}

  /** Null where the current one holds; otherwise settles when there is another. Never rejects. */
  fresh(): Promise<void> | null {
    const now = Date.now()
    if (this.current !== null && this.loadedChanges === this.changes) {
      // Grown old: looked at again beside the work, not before it.
      if (now - this.loadedMs > AGE_MS_MAX && this.loading === null) void this.reload()
      return null
    }
    if (this.current?.unknown && now - this.failedMs < RETRY_MS) return null
    return this.loading ?? this.reload()
  }

  /** A statement that may have changed it has ended. */
  changed(): void {
    this.changes++
  }

  private reload(): Promise<void> {
    const { changes } = this
    this.loading = this.load()
      .then((catalogue) => {
        this.loadedMs = Date.now()
        // Not to be asked just now, and nothing is known to have changed: what was known stays.
        if (catalogue.unknown && this.current?.unknown === false && this.loadedChanges === changes)
          return
        this.current = catalogue
        if (catalogue.unknown) this.failedMs = this.loadedMs
        else this.loadedChanges = changes
      })
      .finally(() => {
        this.loading = null
      })
    return this.loading
  }
}
