/**
 * What others wrote, fit for a message to people: visible, and no longer than there is room. Pure. How to keep it from being
 * taken for markup is for whoever makes the message.
 */
export interface Shown {
  text: string
  cut: boolean
}

const LINE_CHARACTERS_MAX = 300

/**
 * Characters that a reader does not see, or that turn the text around, as escapes: what is approved must be what is read.
 * Line breaks and tabs stay.
 */
export function visible(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(
      /(?![\n\t])\p{C}|[\p{Zl}\p{Zp}\u115f\u1160\u17b4\u17b5\u3164\uffa0]/gu,
      (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
    )
}

/** At most so many UTF-16 units, never half of a character; what was cut says so. */
export function cut(text: string, charactersMax: number): Shown {
  if (text.length <= charactersMax) return { text, cut: false }
  let end = charactersMax - 1
  if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--
  return { text: `${text.slice(0, end)}…`, cut: true }
}

/** One visible line. */
export function line(text: string, charactersMax = LINE_CHARACTERS_MAX): string {
  return cut(visible(text.replace(/\s+/g, ' ').trim()), charactersMax).text
}
