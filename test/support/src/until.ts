/** Waiting for what a test says will be so. A slow machine gets all the time that it needs; what never comes is named. */

const PATIENCE_MS = 200_000
const PAUSE_MS = 20

type Look<T> = () => T | Promise<T>
type Found<T> = Exclude<T, undefined | null | false>

/** Answers what was seen at last. It is looked again as long as that is nothing: no value, false, 0, an empty text. */
export async function until<T>(look: Look<T>): Promise<Found<T>>
export async function until<T>(what: string, look: Look<T>): Promise<Found<T>>
export async function until<T>(first: string | Look<T>, second?: Look<T>): Promise<Found<T>> {
  const look = typeof first === 'string' ? (second as Look<T>) : first
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found) return found as Found<T>
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms: ${first}`)
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}
