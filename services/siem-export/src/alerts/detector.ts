/**
 * Sigma rules on the stream, as one more delivery: it follows the log as any destination does, and what it delivers is detections,
 * into the log. They are events like any other, so every destination gets them, and alert channels say them. Refuses to look at
 * detections and at what the exporter says of itself. What correlations remember is kept with the place in the log, so that a restart goes on
 * in the middle of them.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger, SiemSettings } from '@custody/kit'
import { type Event, uuidText } from '@custody/schemas'
import { StateFiles } from '@custody/siem-state'
import { Delivery, type Fact } from '../delivery/delivery'
import type { Destination } from '../delivery/destination'
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
  source: EventSource
  /** CUSTODY_HOME/siem */
  directory: string
  record(fact: Fact): Promise<void>
  logger: Logger
}): Delivery {
  const sigma = createSigma(rulesOf(o.siem))
  const files = new StateFiles(o.directory, DETECTOR)
  const state = files.load(() => Date.now() * 1000)
  sigma.restore(state.windows)
  const destination: Destination = {
    name: DETECTOR,
    acknowledges: 'stored',
    async deliver({ records }) {
      for (const { text } of records)
        for (const detected of JSON.parse(text) as Detected[])
          await o.record({ type: 'detected', detected })
      return {}
    },
    async close() {},
  }
  const route: Route = {
    skips: () => null,
    take: (event) =>
      Number(event.time) < state.sinceMicros
        ? 'before'
        : event.kind === 'alert.detection' || event.kind.startsWith('siem.')
          ? 'filtered'
          : event,
  }
  return new Delivery({
    destination,
    source: o.source,
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
    learnt: () => sigma.windows(),
    // What it acknowledged is what it recorded: that needs no receipt.
    record: (fact) => (fact.type === 'acknowledged' ? Promise.resolve() : o.record(fact)),
    receiptsMs: 60_000,
    retryMsMin: o.siem.retryMsMin,
    logger: o.logger,
  })
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
