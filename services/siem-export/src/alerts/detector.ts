/**
 * Sigma rules on the stream, as one more delivery: it follows the log as any destination does, and what it delivers is detections,
 * into the log. They are events like any other, so every destination gets them, and alert channels say them. Refuses to look at
 * detections and at what the exporter says of itself. What correlations remember is kept with the place in the log, so that a restart goes on
 * in the middle of them. On Kafka one exporter looks at everything, and one that takes over reads again what may matter.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger, SiemSettings } from '@custody/kit'
import { type Event, uuidText } from '@custody/schemas'
import { StateFiles } from '@custody/siem-state'
import { Delivery, type Fact } from '../delivery/delivery'
import type { Destination } from '../delivery/destination'
import type { KafkaSourceOptions } from '../delivery/kafka-source'
import { readEvent } from '../delivery/prepare'
import type { Route } from '../delivery/routing'
import type { EventSource } from '../delivery/source'
import { createSigma, loadRules, parseRules, type Rule } from '../sigma'

/** The name under which it keeps its place in the log; no destination may have it. */
export const DETECTOR = 'detections'
const STARTER_RULES = join(__dirname, '../../rules')
const BATCH = { eventsMax: 2000, bytesMax: 4 * 1024 * 1024, lingerMs: 200 }

export interface Detected {
  rule: string
  ruleId: string
  severity: string
  attack: string
  events: string
  group: string
  session: string
  event: string
  who: Event['who']
  path: Event['path']
}

export const wantsDetector = ({
  rules,
  starterRules,
}: Pick<SiemSettings, 'rules' | 'starterRules'>) => rules.length > 0 || starterRules

export function rulesOf({
  rules,
  starterRules,
}: Pick<SiemSettings, 'rules' | 'starterRules'>): Rule[] {
  return [...(starterRules ? [STARTER_RULES] : []), ...rules].flatMap((at) =>
    statSync(at).isDirectory() ? loadRules(at) : parseRules(readFileSync(at, 'utf8')),
  )
}

export function createDetector(o: {
  siem: Pick<SiemSettings, 'rules' | 'starterRules' | 'retryMsMin'>
  source(together: NonNullable<KafkaSourceOptions['together']>): EventSource
  /** CUSTODY_HOME/siem */
  directory: string
  record(fact: Fact): Promise<void>
  logger: Logger
}): Delivery {
  const sigma = createSigma(rulesOf(o.siem))
  const files = new StateFiles(o.directory, DETECTOR)
  const state = files.load(() => Date.now() * 1000)
  sigma.restore(state.windows)
  /** Of the event that was being told: so many of its detections are in the log. */
  let telling = { event: '', told: 0 }
  const destination: Destination = {
    name: DETECTOR,
    acknowledges: 'stored',
    async deliver({ records }) {
      for (const [index, { id, text }] of records.entries()) {
        if (telling.event !== id) telling = { event: id, told: 0 }
        try {
          for (const detected of (JSON.parse(text) as Detected[]).slice(telling.told)) {
            await o.record({ type: 'detected', detected })
            telling.told++
          }
        } catch (error) {
          if (index === 0) throw error
          // What is in the log is not told once more.
          const indices = records.map((_, i) => i).slice(index)
          return { again: { indices, reason: (error as Error).message } }
        }
      }
      return {}
    },
    async close() {},
  }
  const isOurs = ({ kind }: Event) => kind === 'alert.detection' || kind.startsWith('siem.')
  const route: Route = {
    skips: () => null,
    take: (event) =>
      Number(event.time) < state.sinceMicros ? 'before' : isOurs(event) ? 'filtered' : event,
  }
  return new Delivery({
    destination,
    source: o.source({
      spanMicros: sigma.spanMicros,
      left: (origin) => state.progress[origin]?.next,
      taken: () => {
        state.sinceMicros = 0
      },
    }),
    files,
    state,
    route,
    writer: {
      text(event) {
        const found = sigma.feed(event)
        return found.length === 0 ? null : JSON.stringify(found.map(detectedOf))
      },
    },
    batch: BATCH,
    learn(message) {
      const event = readable(message)
      if (event !== null && !isOurs(event)) sigma.feed(event)
    },
    learnt: () => sigma.windows(),
    // What it acknowledged is what it recorded: that needs no receipt.
    record: (fact) => (fact.type === 'acknowledged' ? Promise.resolve() : o.record(fact)),
    receiptsMs: 60_000,
    retryMsMin: o.siem.retryMsMin,
    logger: o.logger,
  })
}

function readable(message: Buffer): Event | null {
  try {
    return readEvent(message)
  } catch {
    return null
  }
}

function detectedOf({
  rule,
  event,
  events,
  group,
}: ReturnType<ReturnType<typeof createSigma>['feed']>[number]): Detected {
  return {
    rule: rule.title,
    ruleId: rule.id,
    severity: rule.level,
    attack: rule.attack.join(','),
    events: events.join(','),
    group: JSON.stringify(group),
    session: event.session ? uuidText(event.session) : '',
    event: uuidText(event.id),
    who: event.who,
    path: event.path,
  }
}
