/**
 * Events whose every text is hostile to somebody's parser: separators, quotes, escapes, line ends, control characters, halves of
 * surrogate pairs, 4-byte characters, what looks like a key or a frame, and commands of 100 KB. Made by fast-check from a fixed seed.
 */
import type { Event } from '@custody/schemas'
import fc from 'fast-check'
import { sampleOf, samples } from './samples'

const PIECES = [
  '|',
  '=',
  '\\',
  '"',
  "'",
  ']',
  '[',
  '\n',
  '\r',
  '\r\n',
  '\t',
  '\0',
  '\u001b[0m',
  '\u007f',
  '\u0085',
  '\u2028',
  '\u2029',
  '\ud800',
  '\udc00',
  '\u{1f5dd}',
  '\u{10ffff}',
  'é',
  '한',
  ' ',
  '  ',
  'a=b',
  ' cs1=x',
  ' act=allow',
  '\\=',
  '\\n',
  '\\\\',
  '\\',
  '%s',
  '%',
  '_',
  '{{',
  '$x',
  '<110>1 ',
  'CEF:0|',
  'LEEF:2.0|',
  'x09',
  ';',
  ',',
  ': ',
  '€',
  '\ufffd',
  '\ufeff',
  'select 1',
  '--',
  '/*',
  '\u0001',
]

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 30 }),
  // Any UTF-16 code units at all.
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
    .map((units) => String.fromCharCode(...units)),
)

const long: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom(...PIECES), fc.constantFrom(...PIECES))
  .map(([a, b]) => `${a}x${b}`.repeat(100_000).slice(0, 100_000))

export const hostileStatement = fc.oneof(
  { weight: 19, arbitrary: hostileText },
  { weight: 1, arbitrary: long },
)

/** A sample with its texts replaced. Identifiers of our own making, kinds among them, stay. */
export const hostileEvent: fc.Arbitrary<Event> = fc
  .record({
    name: fc.constantFrom(...samples.keys()),
    texts: fc.array(hostileText, { minLength: 16, maxLength: 16 }),
    statement: hostileStatement,
  })
  .map(({ name, texts, statement }) => {
    const event = sampleOf(name)
    let at = 0
    const next = () => texts[at++ % texts.length]!
    if (event.who !== null) {
      event.who.subject = next()
      event.who.email = next()
      event.who.name = next()
      event.who.groups = [next(), next()]
      event.who.tokenId = next()
    }
    if (event.path !== null) {
      event.path.clientAddress = next()
      event.path.clientApplication = next()
      event.path.gateway = next()
      event.path.resource = next()
      event.path.target = next()
      event.path.account = next()
      event.path.database = next()
    }
    if (event.decision !== null) {
      event.decision.reason = next()
      event.decision.policies = [next(), next()]
    }
    if (event.statement !== null) {
      event.statement.text = statement
      event.statement.interface = next()
      event.statement.problem = next()
      event.statement.attributes = { [next()]: next(), of: next() }
      for (const object of event.statement.objects) object.name = next()
      for (const parameter of event.statement.parameters) parameter.value = next()
    }
    if (event.response !== null) {
      event.response.message = next()
      event.response.code = next()
      event.response.tag = next()
    }
    if (event.lifecycle !== null) event.lifecycle.reason = next()
    if (event.approval !== null) event.approval.comment = next()
    if (event.access !== null) event.access.reason = next()
    if (event.audit !== null) event.audit.query = next()
    if (event.recording !== null) event.recording.detail = next()
    for (const mask of event.masks) mask.rule = next()
    event.recorder = next() || 'r'
    return event
  })

export const hostile = (count: number): Event[] =>
  fc.sample(hostileEvent, { numRuns: count, seed: 20_260_102 })
