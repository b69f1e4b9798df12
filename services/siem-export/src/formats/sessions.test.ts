import type { Event } from '@custody/schemas'
import fc from 'fast-check'
import {
  createFormat,
  createSyslogFormat,
  FORMAT_NAMES,
  type FormatName,
  recordId,
  routedOf,
} from './index'
import { SESSIONS_KEPT_MAX, SessionMemos } from './sessions'
import { hostileEvent } from './testing/hostile'
import { SESSION, sampleOf, samples, structuredCopy } from './testing/samples'

const digest = Buffer.alloc(32, 0xda)
const options = { version: '0.1.0', consoleUrl: 'https://custody.example' }
const fresh = new Map<FormatName, (event: Event) => string | null>(
  FORMAT_NAMES.map((name) => [
    name,
    (event) => createFormat(name, options).text(event, { digest }),
  ]),
)

describe('a record depends on its event alone', () => {
  test.each(FORMAT_NAMES)('%s: whatever came before it, in whatever session', (name) => {
    const format = createFormat(name, options)
    // All in one session, and each twice, so that what is kept is met again with the same and with other people and ways.
    const arbitrary = fc.array(hostileEvent, { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(arbitrary, (events) => {
        const mixed = [...events, ...events.map(structuredCopy), ...events].filter(
          ({ statement }) => (statement?.text.length ?? 0) < 10_000,
        )
        for (const event of mixed) {
          event.session = Buffer.from(SESSION)
          expect(format.text(event, { digest })).toBe(fresh.get(name)!(event))
        }
      }),
      { numRuns: 12, seed: 5 },
    )
  })

  test('one member of who or path that is another is seen', () => {
    const format = createFormat('json', options)
    const changes: ((event: Event) => void)[] = [
      (e) => {
        e.who!.name = 'x'
      },
      (e) => {
        e.who!.groups = ['x']
      },
      (e) => {
        e.who!.onBehalfOf = [{ subject: 'x', issuer: 'y', kind: 'human' }]
      },
      (e) => {
        e.who!.authenticatedAt = 1
      },
      (e) => {
        e.path!.clientPort = 1
      },
      (e) => {
        e.path!.clientTls!.cipher = 'x'
      },
      (e) => {
        e.path!.targetTls = null
      },
      (e) => {
        e.path!.via = []
      },
      (e) => {
        e.path!.agent = 'x'
      },
      (e) => {
        e.recorder = 'x'
      },
    ]
    const memos = new SessionMemos()
    const first = memos.of(sampleOf('sql-select'))
    expect(memos.of(sampleOf('sql-completed'))).toBe(first)
    for (const change of changes) {
      const event = sampleOf('sql-select')
      change(event)
      expect(memos.of(event)).not.toBe(first)
      memos.of(sampleOf('sql-select'))
    }
    expect(format.text(sampleOf('sql-select'))).not.toBeNull()
  })

  test('what is kept is bounded', () => {
    const memos = new SessionMemos()
    const event = sampleOf('sql-select')
    const first = memos.of(event)
    for (let i = 0; i < SESSIONS_KEPT_MAX; i++) {
      const other = sampleOf('sql-select')
      other.session!.writeUInt32BE(i + 1, 0)
      memos.of(other)
    }
    expect(memos.of(event)).not.toBe(first)
  })
})

describe('what is left out was asked for', () => {
  test('pieces of output: none, where and how long, or all', () => {
    const piece = sampleOf('ssh-output')
    expect(createFormat('ecs', { outputs: 'none' }).encode(piece)).toBeNull()
    expect(
      createSyslogFormat({ body: 'cef', framing: 'line', outputs: 'none' }).encode(piece),
    ).toBeNull()
    const summary = JSON.parse(createFormat('ecs').text(piece)!).custody.output
    expect(summary).toMatchObject({
      bytes: piece.output!.data.length,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      omitted_bytes: 3,
    })
    expect(summary.data).toBeUndefined()
    expect(
      JSON.parse(createFormat('ecs', { outputs: 'data' }).text(piece)!).custody.output.data,
    ).toBe(piece.output!.data.toString())
    expect(
      JSON.parse(createFormat('json', { outputs: 'data' }).text(sampleOf('sql-output'))!).output
        .data,
    ).toBe(sampleOf('sql-output').output!.data.toString('base64'))
    for (const event of samples.values())
      if (event.output === null)
        expect(createFormat('ecs', { outputs: 'none' }).encode(event)).not.toBeNull()
  })

  test('identifier, ordering key and severity are those of the record', () => {
    for (const event of samples.values()) {
      const routed = routedOf(event)
      const json = JSON.parse(createFormat('timesketch').text(event)!)
      expect(routed).toEqual({
        id: json.id,
        orderingKey: json.session ?? json.recorder,
        severity: json.severity,
      })
      expect(recordId(event)).toBe(json.id)
    }
  })

  test('options that contradict each other are refused', () => {
    expect(() => createFormat('ecs', { recordBytesMax: 5000 })).toThrow(RangeError)
    expect(() => createFormat('cef', { recordBytesMax: 100 })).toThrow(RangeError)
    expect(() => createSyslogFormat({ body: 'cef', framing: 'line', facility: 24 })).toThrow(
      RangeError,
    )
  })
})
