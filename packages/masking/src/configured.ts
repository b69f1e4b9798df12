/**
 * What the configuration says of masking, for one resource and one principal. Knows no protocol: protocols find out where
 * values come from and how they are carried, and ask here what is to become of them.
 * Refuses to start with a rule, detector or pattern that can't be used.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CustodyError,
  type Home,
  type MaskingSettings,
  type Secrets,
  writeFileAtomic,
} from '@custody/kit'
import {
  type Counts,
  createDetection,
  type Detection,
  type Edit,
  type ValueDetector,
} from './detection'
import { type ColumnFacts, type ColumnRule, createRules } from './rules'
import { DEFAULT_DETECTORS, DETECTORS, type DetectorName } from './scan'
import type { ActionSpec, ValueType } from './types'

/** Kept for as many names of columns. */
const DETECTORS_MAX = 10_000
/** Sets of detectors whose finds somebody is shown. */
const WITHOUT_MAX = 100
/** Fewer bytes can be guessed. */
const KEY_BYTES_MIN = 16

export interface MaskedResource {
  name: string
  labels: Readonly<Record<string, string>>
}

/** What holds for the sessions of some principals at one resource. */
export interface SessionRules {
  /** Sessions with the same one are treated alike. */
  readonly signature: string
  /** The rule for a column, or null where its values are passed on as they are. */
  find(column: ColumnFacts): ColumnRule | null
  /** Whether there is any rule that could match. */
  readonly hasRules: boolean
  /** Looks into the values of a column; null where nobody wants that. */
  detector(column: ColumnFacts | null, name: string, type: ValueType): ValueDetector | null
  /** Whether anything is looked for in free text. */
  readonly looksIntoText: boolean
  /** Names of what looks: detectors, and patterns of one's own. */
  readonly detectors: readonly string[]
  /** Free text with finds replaced, or null where nothing was found. */
  maskText(bytes: Buffer, counts: Counts): Buffer | null
  /** The same, for who replaces it: what stands where, and what takes its place; null: nothing. Not counted. */
  findText(bytes: Buffer): readonly TextFind[] | null
  /** The same, but what these detectors find stays as it is, and is told to be shown. What others find in it as well does not. */
  showing(detectors: ReadonlySet<string>): Pick<SessionRules, 'findText'>
  /** What detectors put in a value's place. */
  readonly detectorAction: string
  readonly key: Buffer
  readonly unproven: 'mask' | 'deny'
  readonly copies: 'deny' | 'report'
  isTrustedFunction(name: string): boolean
  isTrustedChannel(name: string): boolean
}

export interface TextFind extends Edit {
  /** Nothing takes its place. */
  isShown?: boolean
}

export interface Masking {
  open(resource: MaskedResource, groups: readonly string[]): SessionRules
}

export async function createMasking(
  settings: MaskingSettings | undefined,
  home: Home,
  secrets: Secrets,
): Promise<Masking | null> {
  if (settings === undefined) return null
  return new ConfiguredMasking(settings, await keyOf(settings, home, secrets))
}

/** From the settings, or this installation's own, made at the first start. */
async function keyOf(settings: MaskingSettings, home: Home, secrets: Secrets): Promise<Buffer> {
  if (settings.key !== undefined) {
    const key = Buffer.from(await secrets.read(settings.key))
    if (key.length < KEY_BYTES_MIN)
      throw new CustodyError(
        'CUSTODY-MASK-005',
        `masking.key has fewer than ${KEY_BYTES_MIN} bytes`,
      )
    return key
  }
  const file = join(home.keys, 'masking.key')
  if (!existsSync(file)) writeFileAtomic(file, `${randomBytes(32).toString('base64')}\n`, 0o600)
  return Buffer.from(readFileSync(file, 'utf8').trim(), 'base64')
}

function specOf({ action, keep, to, step }: ActionSpec): ActionSpec {
  return {
    action,
    ...(keep !== undefined && { keep }),
    ...(to !== undefined && { to }),
    ...(step !== undefined && { step }),
  }
}

function detectorNames(use: readonly string[] | undefined): readonly DetectorName[] {
  if (use === undefined) return DEFAULT_DETECTORS
  for (const name of use)
    if (!Object.hasOwn(DETECTORS, name))
      throw new CustodyError(
        'CUSTODY-MASK-005',
        `masking.detectors.use: there is no detector ${JSON.stringify(name)}; there are ${Object.keys(DETECTORS).join(', ')}`,
      )
  return use as DetectorName[]
}

class ConfiguredMasking implements Masking {
  private readonly detection
  private readonly exempt
  private readonly compiled: { rule: MaskingSettings['rules'][number]; column: ColumnRule }[]
  private readonly functions: ReadonlySet<string>
  private readonly channels: readonly RegExp[]
  private readonly opened = new Map<string, SessionRules>()
  private readonly detectors: readonly string[]
  /** Detections without some detectors, by the names of those. */
  private readonly without = new Map<string, Detection>()

  constructor(
    private readonly settings: MaskingSettings,
    private readonly key: Buffer,
  ) {
    const { detectors } = settings
    try {
      const use = detectorNames(detectors.use)
      this.detectors = [...use, ...detectors.patterns.map(({ name }) => name)]
      this.detection =
        use.length + detectors.patterns.length === 0
          ? null
          : createDetection({ use, patterns: detectors.patterns, action: specOf(detectors) }, key)
      this.exempt = createRules(
        detectors.except.length === 0
          ? []
          : [
              {
                id: 'except',
                columns: detectors.except,
                tagged: [],
                action: { action: 'redact' },
                groups: null,
                predicates: 'allow',
              },
            ],
      )
      this.compiled = settings.rules.map((rule) => ({
        rule,
        column: {
          id: rule.id,
          columns: rule.columns,
          tagged: rule.tagged,
          action: specOf(rule),
          groups: rule.groups ?? null,
          predicates: rule.predicates,
        },
      }))
      createRules(this.compiled.map(({ column }) => column))
    } catch (error) {
      if (error instanceof CustodyError) throw error
      throw new CustodyError('CUSTODY-MASK-005', `masking: ${(error as Error).message}`, {
        cause: error,
      })
    }
    this.functions = new Set(settings.trusted.functions.map((name) => name.toLowerCase()))
    this.channels = settings.trusted.channels.map(globOf)
  }

  open(resource: MaskedResource, groups: readonly string[]): SessionRules {
    const mine = new Set(groups)
    const applying = this.compiled.filter(
      ({ rule }) =>
        (rule.resources === undefined || rule.resources.includes(resource.name)) &&
        Object.entries(rule.labels ?? {}).every(
          ([name, value]) => resource.labels[name] === value,
        ) &&
        (rule.groups === undefined || rule.groups.some((group) => mine.has(group))),
    )
    const { detectors } = this.settings
    const detects =
      this.detection !== null &&
      (detectors.resources === undefined || detectors.resources.includes(resource.name))
    const signature = JSON.stringify([detects, applying.map(({ column }) => column.id)])
    let rules = this.opened.get(signature)
    if (rules === undefined) {
      rules = this.rulesOf(
        signature,
        applying.map(({ column }) => ({ ...column, groups: null })),
        detects,
      )
      this.opened.set(signature, rules)
    }
    return rules
  }

  private finderShowing(
    all: Detection,
    shown: ReadonlySet<string>,
  ): (bytes: Buffer) => readonly TextFind[] | null {
    const key = this.detectors.filter((name) => shown.has(name)).join('\0')
    let others = this.without.get(key)
    if (others === undefined) {
      const { detectors } = this.settings
      others = createDetection(
        {
          use: detectorNames(detectors.use).filter((name) => !shown.has(name)),
          patterns: detectors.patterns.filter(({ name }) => !shown.has(name)),
          action: specOf(detectors),
        },
        this.key,
      )
      if (this.without.size >= WITHOUT_MAX) this.without.clear()
      this.without.set(key, others)
    }
    const masking = others
    return (bytes) => {
      const finds = all.finds(bytes)
      if (finds === null) return null
      // One alone of two that overlap is told of: the other may be in it all the same.
      const masked: readonly TextFind[] = masking.finds(bytes) ?? []
      const seen = finds.filter(
        ({ detector, start, end }) =>
          shown.has(detector) && !masked.some((one) => one.start < end && one.end > start),
      )
      return [...masked, ...seen.map((one) => ({ ...one, isShown: true }))].sort(
        (a, b) => a.start - b.start,
      )
    }
  }

  private rulesOf(
    signature: string,
    columns: readonly ColumnRule[],
    detects: boolean,
  ): SessionRules {
    const { settings, functions, channels, key, exempt } = this
    const detection = detects ? this.detection : null
    const rules = createRules(columns)
    const nobody = new Set<string>()
    const known = new Map<string, ValueDetector>()
    return {
      signature,
      hasRules: columns.length > 0,
      find: (column) => rules.find(column, nobody),
      detector: (column, name, type) => {
        if (detection === null || (column !== null && exempt.isSensitive(column))) return null
        const key = `${name}\0${type.kind}\0${type.isArray}`
        let found = known.get(key)
        if (found === undefined) {
          if (known.size >= DETECTORS_MAX) known.clear()
          found = detection.column(name, type)
          known.set(key, found)
        }
        return found.isUseful ? found : null
      },
      looksIntoText: detection !== null,
      maskText: (bytes, counts) => detection?.text(bytes, counts) ?? null,
      findText: (bytes) => detection?.finds(bytes) ?? null,
      detectors: detection === null ? [] : this.detectors,
      showing: (shown) => ({
        findText: detection === null ? () => null : this.finderShowing(detection, shown),
      }),
      detectorAction: settings.detectors.action,
      key,
      unproven: settings.unproven,
      copies: settings.copies,
      isTrustedFunction: (name) => functions.has(name.toLowerCase()),
      isTrustedChannel: (name) => channels.some((one) => one.test(name)),
    }
  }
}

/** `*` stands for anything. */
function globOf(pattern: string): RegExp {
  return new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*+/g, '.*')}$`, 'i')
}
