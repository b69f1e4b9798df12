/** So many a minute of each, and no more. Holds what was counted in this minute only. */
export class PerMinute {
  private minute = 0
  private counts = new Map<string, number>()

  constructor(private readonly most: number) {}

  /** Counts one; false where there were as many already. */
  take(of = ''): boolean {
    const minute = Math.floor(Date.now() / 60_000)
    if (minute !== this.minute) {
      this.counts = new Map()
      this.minute = minute
    }
    const count = (this.counts.get(of) ?? 0) + 1
    this.counts.set(of, count)
    return count <= this.most
  }
}
