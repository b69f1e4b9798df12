/**
 * How much of what one side sent is still here, on its way to the other: as much is taken from the window of who sends, and
 * given back as it goes on. Whoever holds bytes back, or makes more or fewer of them, only says so. Refuses nothing.
 */
export class Flow {
  private received = 0
  private onItsWay = 0
  private isPaused = false

  constructor(private readonly consume: (bytes: number) => void) {}

  /** Came in. */
  take(bytes: number): void {
    this.received += bytes
  }

  /** Is to go on. */
  queue(bytes: number): void {
    this.onItsWay += bytes
  }

  /** Has gone on. */
  sent(bytes: number): void {
    this.onItsWay -= bytes
    this.settle()
  }

  /** Nothing more is wanted for now. */
  pause(paused: boolean): void {
    this.isPaused = paused
    this.settle()
  }

  /** Gives back what is neither here nor on its way. */
  settle(): void {
    const free = this.received - this.onItsWay
    if (free <= 0 || this.isPaused) return
    this.received -= free
    this.consume(free)
  }
}
