import { createHash } from 'node:crypto'
import type { Event } from '@custody/schemas'
import { type Oracle, startOracle } from '../testing/oracle'
import { CEF_LENGTHS, cefRows, cefValue } from './cef'
import { Facts, flatText } from './facts'
import {
  createFormat,
  createSyslogFormat,
  FORMAT_NAMES,
  type Format,
  type FormatName,
  frameSyslog,
  syslogMessage,
} from './index'
import { leefRows } from './leef'
import { type Row, readerOf } from './mapping'
import { SYSLOG_PARAMETERS, SYSLOG_SEVERITIES } from './syslog'
import { hostile } from './testing/hostile'
import { sampleOf, samples } from './testing/samples'
import { cutBytes, cutMarked, oneLine } from './text'

const digest = Buffer.alloc(32, 0xda)
const options = { version: '1|2\\3', consoleUrl: 'https://custody.example' }
let oracle: Oracle
beforeAll(() => {
  oracle = startOracle()
})
afterAll(() => oracle.stop())

const all: Event[] = [...samples.values(), ...hostile(250)]
const everything = (): Event[] => all
/** Some parsers take many seconds for a record of 100 KB. */
const shortOnes = (): Event[] =>
  everything().filter(({ statement }) => (statement?.text.length ?? 0) < 5000)

/** What a record says, from its table alone: values before any escaping. */
function said(rows: readonly Row[], event: Event, statementBytesMax: number): Map<string, string> {
  const facts = new Facts(
    event,
    { digest },
    {
      statementBytesMax,
      valueBytesMax: 1024,
      outputs: 'summary',
      consoleUrl: options.consoleUrl,
      version: options.version,
    },
  )
  return new Map(
    rows
      .map((row): [string, string] => [row.to, flatText(readerOf(row)(facts))])
      .filter(([, text]) => text !== ''),
  )
}

/** What CEF can't carry is shown as a picture; line feeds and carriage returns it can. */
const seen = (text: string): string =>
  text
    .toWellFormed()
    .split(/([\n\r\t])/)
    .map((part) => (/^[\n\r\t]$/.test(part) ? part : oneLine(part)))
    .join('')
    .replace(/^[ \t]|[ \t]$/g, '\u2420')
const cut = (key: string, text: string): string => {
  const max = CEF_LENGTHS[key]
  return max === undefined ? text : cutMarked(text, max)
}

describe('CEF', () => {
  const format = createFormat('cef', options)

  test('a strict parser of the format gets back what the table says, whatever the values', async () => {
    const events = everything()
    const parsed = await oracle.askEach<{ header: string[]; extension: Record<string, string> }>(
      'cef_strict',
      events.map((event) => format.text(event, { digest })!),
    )
    events.forEach((event, i) => {
      const { header, extension } = parsed[i]!
      expect(header.slice(0, 5)).toEqual([
        'CEF:0',
        'Custody',
        'Custody',
        options.version,
        event.kind,
      ])
      const expected = Object.fromEntries(
        [...said(cefRows(), event, 4000)].map(([key, text]) => [key, seen(cut(key, text))]),
      )
      expect(extension).toEqual(expected)
    })
  })

  test('pycef gets back the same', async () => {
    // pycef knows no backslash in the header and unescapes nothing.
    const plain = createFormat('cef', { ...options, version: '0.1.0' })
    const events = shortOnes()
    const parsed = await oracle.askEach<Record<string, string>>(
      'cef_pycef',
      events.map((event) => plain.text(event, { digest })!),
    )
    events.forEach((event, i) => {
      const labels = new Map<string, string>()
      const expected = new Map(said(cefRows(), event, 4000))
      for (const [key, text] of expected)
        if (key.endsWith('Label')) labels.set(key.slice(0, -'Label'.length), text)
      for (const [key, text] of expected) {
        if (key.endsWith('Label')) continue
        // It strips white space at the ends of values, and takes any for the gap between pairs.
        const value = parsed[i]![labels.get(key) ?? key]
        expect(`${key}: ${value?.trim()}`).toBe(`${key}: ${cefValue(cut(key, text)).trim()}`)
      }
      expect(parsed[i]!.DeviceEventClassID).toBe(event.kind)
    })
  })

  test('one line, of bounded length where one is asked for, with what was left out counted', async () => {
    const bounded = createFormat('cef', { ...options, recordBytesMax: 2000 })
    const events = everything()
    const records = events.map((event) => bounded.encode(event, { digest })!)
    for (const record of records) {
      expect(record.length).toBeLessThanOrEqual(2000)
      expect(record.toString()).not.toMatch(/[\n\r\u2028\u2029\u0085]/)
    }
    const parsed = await oracle.askEach<{ extension: Record<string, string> }>(
      'cef_strict',
      records.map(String),
    )
    parsed.forEach(({ extension }, i) => {
      const all = said(cefRows(), events[i]!, 4000)
      const left = Number(extension.CustodyLeftOut ?? 0)
      delete extension.CustodyLeftOut
      expect(Object.keys(extension).length + left).toBe(all.size)
      expect(extension.externalId).toBe(all.get('externalId'))
    })
  })
})

describe('LEEF 2.0', () => {
  test.each([4096, 1024, 65_536])(
    'a strict parser gets back what the table says, in %d bytes at most',
    async (recordBytesMax) => {
      const format = createFormat('leef', { ...options, recordBytesMax })
      const events = everything()
      const records = events.map((event) => format.encode(event, { digest })!)
      for (const record of records) expect(record.length).toBeLessThanOrEqual(recordBytesMax)
      const parsed = await oracle.askEach<{ header: string[]; attributes: Record<string, string> }>(
        'leef',
        records.map(String),
      )
      events.forEach((event, i) => {
        const { header, attributes } = parsed[i]!
        expect(header).toEqual(['Custody', 'Custody', '1¦2\\3', event.kind])
        const expected = said(leefRows(), event, 2048)
        const left = Number(attributes.custodyLeftOut ?? 0)
        delete attributes.custodyLeftOut
        expect(Object.keys(attributes).length + left).toBe(expected.size)
        for (const [key, text] of Object.entries(attributes)) {
          const whole = oneLine(expected.get(key)!)
          if (key === 'custodyStatement') expect(whole.startsWith(text)).toBe(true)
          else expect(`${key}=${text}`).toBe(`${key}=${whole}`)
        }
        if (recordBytesMax > 60_000) expect(left).toBe(0)
      })
    },
  )
})

describe('syslog', () => {
  const bodies = Object.fromEntries(
    FORMAT_NAMES.map((name) => [name, createFormat(name, options)]),
  ) as Record<FormatName, Format>
  type Parsed = { data: Record<string, Record<string, string>>; message: string }

  function same(
    event: Event,
    body: FormatName,
    { data, message, ...header }: Parsed,
    values: Record<string, string>,
  ) {
    expect(message).toBe(bodies[body].text(event, { digest }))
    const facts = said(
      SYSLOG_PARAMETERS.map(([to, from]) => ({ to, from })),
      event,
      10,
    )
    expect(values).toEqual(Object.fromEntries([...facts].map(([k, v]) => [k, oneLine(v)])))
    expect(data.timeQuality).toEqual({ tzKnown: '1' })
    expect(data.meta).toEqual({ sequenceId: String(1 + event.sequence) })
    expect(header).toMatchObject({
      facility: 13,
      severity: SYSLOG_SEVERITIES[facts.get('severity') as keyof typeof SYSLOG_SEVERITIES],
      messageId: event.kind,
      application: 'custody',
      time: expect.stringMatching(/^2026-01-02T03:04:05\.\d{6}Z$/),
    })
  }

  test.each(['cef', 'leef', 'ecs', 'ocsf', 'json'] as FormatName[])(
    'a strict parser of RFC 5424 gets back header, structured data and the %s record',
    async (body) => {
      const syslog = createSyslogFormat({ ...options, body, framing: 'datagram' })
      const events = everything()
      const messages = events.map((event) => syslog.encode(event, { digest })!.toString())
      const parsed = await oracle.askEach<Parsed>('syslog_strict', messages)
      events.forEach((event, i) => {
        same(event, body, parsed[i]!, parsed[i]!.data['custody@32473']!)
      })
    },
  )

  test('syslog-rfc5424-parser gets back the same', async () => {
    const syslog = createSyslogFormat({ ...options, body: 'cef', framing: 'datagram' })
    // It takes the quote after an escaped backslash for an escaped quote, and leaves escapes as they are.
    const events = shortOnes()
      .filter(({ recorder }) => !recorder.includes('\\'))
      .slice(0, 160)
    const parsed = await oracle.askEach<Parsed>(
      'syslog',
      events.map((event) => syslog.encode(event, { digest })!.toString()),
    )
    events.forEach((event, i) => {
      const values = Object.entries(parsed[i]!.data['custody@32473']!)
      const plain = values.map(([k, v]) => [k, v.replace(/\\(["\\\]])/g, '$1')])
      same(event, 'cef', parsed[i]!, Object.fromEntries(plain))
    })
  })

  test('octet counting counts bytes, and one frame follows another', () => {
    const syslog = createSyslogFormat({ body: 'json', framing: 'octet-counting' })
    const events = everything()
    let stream = Buffer.concat(events.map((event) => syslog.encode(event)!))
    for (const event of events) {
      const space = stream.indexOf(' ')
      const length = Number(stream.subarray(0, space).toString('latin1'))
      expect(String(length)).toBe(stream.subarray(0, space).toString('latin1'))
      expect(stream.subarray(space + 1, space + 1 + length).toString()).toBe(syslog.text(event))
      stream = stream.subarray(space + 1 + length)
    }
    expect(stream.length).toBe(0)
  })

  test('line framing has one line for each, and refuses what would be two', () => {
    for (const body of ['cef', 'leef', 'ecs', 'ocsf', 'json', 'udm', 'timesketch'] as const) {
      const syslog = createSyslogFormat({ body, framing: 'line' })
      for (const event of hostile(60))
        expect(syslog.encode(event)!.toString().split('\n')).toHaveLength(2)
    }
    expect(() => frameSyslog('a\nb', 'line')).toThrow(RangeError)
  })

  test('fields keep to the lengths and characters of the RFC', async () => {
    const message = syslogMessage({
      facility: 13,
      severity: 2,
      time: 1_767_323_045_678_901,
      host: `${'h'.repeat(300)} ü`,
      application: 'a pp\n'.repeat(20),
      process: '',
      messageId: 'm'.repeat(40),
      data: [
        {
          id: 'x]"=y@1',
          parameters: [
            ['a b', 'q"u\\o]te'],
            [`${'n'.repeat(40)}`, 'v'],
          ],
        },
      ],
      message: 'body',
    })
    const [parsed] = await oracle.askEach<Record<string, unknown>>('syslog', [message])
    expect(parsed).toMatchObject({
      host: 'h'.repeat(255),
      process: null,
      messageId: 'm'.repeat(32),
      message: 'body',
    })
    expect(parsed!.application).toMatch(/^[\x21-\x7e]{48}$/)
    expect(message).toContain(`[x___y@1 a_b="q\\"u\\\\o\\]te" ${'n'.repeat(32)}="v"]`)
  })
})

describe('text', () => {
  test('is cut between characters, in bytes, and well-formed', () => {
    for (const event of hostile(300)) {
      const { text } = event.statement ?? { text: event.recorder }
      for (const max of [0, 1, 2, 3, 4, 5, 7, 100]) {
        const piece = cutBytes(text, max)
        expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(max)
        expect(text.startsWith(piece)).toBe(true)
        if (text.isWellFormed()) expect(piece.isWellFormed()).toBe(true)
      }
    }
  })

  test('a command that is cut has its length and the digest of all of it', () => {
    const event = sampleOf('sql-select')
    event.statement!.text = 'é'.repeat(50_000)
    event.statement!.textBytes = 100_000
    const json = JSON.parse(createFormat('ecs').text(event)!)
    expect(json.db.query.text).toBe('é'.repeat(16_000))
    expect(json.custody.statement).toMatchObject({
      text_bytes: 100_000,
      is_cut: true,
      text_digest: createHash('sha256').update(event.statement!.text).digest('hex'),
    })
  })
})
