/** KILL as it may be given here: alone, with one plain number. Everything else is refused rather than guessed at. */

const KILL = /^\s*kill\s+(?:(?:hard|soft)\s+)?((?:connection|query)\s+)?(\d{1,10})\s*;?\s*$/i
/** But for those that are run. */
const COMMENTS = /\/\*[^!M][\s\S]*?\*\/|(?:#|-- )[^\n]*\n/g

export const KILL_ALONE = 'KILL takes one plain number here, alone in its text'

export function readKill(text: Buffer): { threadId: number; isQuery: boolean } | null {
  const found = KILL.exec(text.toString('latin1').replace(COMMENTS, ' '))
  return found === null
    ? null
    : { threadId: Number(found[2]), isQuery: /^query/i.test(found[1] ?? '') }
}

/** The same for the target, by its own number. */
export function killStatement(threadId: number, isQuery: boolean): string {
  return `KILL ${isQuery ? 'QUERY' : 'CONNECTION'} ${threadId}`
}
