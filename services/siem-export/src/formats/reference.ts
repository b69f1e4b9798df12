/**
 * docs/reference/siem-fields.md, made from the very tables that make the records. A test holds the page to it.
 */
import { CEF_LENGTHS, CEF_SEVERITIES, cefRows } from './cef'
import { STATEMENT_BYTES_MAX, VALUE_BYTES_MAX } from './create'
import { ECS_SEVERITIES, ecsRows } from './ecs'
import { FACTS } from './facts'
import { LEEF_RECORD_BYTES_MAX, LEEF_SEVERITIES, leefRows } from './leef'
import type { Row } from './mapping'
import {
  ACCOUNT_PLACES,
  DOMAINS,
  MEANINGS,
  OCSF_CLASSES,
  type OcsfClass,
  PLACES,
  type Place,
  SEVERITIES,
  type Stage,
  VERBS,
} from './meaning'
import { OCSF_SEVERITIES, ocsfRows } from './ocsf'
import { PLAIN_FIELDS } from './plain'
import { SYSLOG_PARAMETERS, SYSLOG_SEVERITIES } from './syslog'
import { timesketchRows } from './timesketch'
import { udmRows } from './udm'

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

function sourceOf({ from, through, always, doc }: Row): string {
  if (doc !== undefined) return from === undefined ? doc : `\`${from}\`, as text`
  if (always !== undefined)
    return `always ${(Array.isArray(always) ? always : [always]).map((one) => `\`${one}\``).join(', ')}`
  if (through === undefined) return `\`${from}\``
  const values = Object.entries(through).map(([one, other]) => `${one} → \`${other}\``)
  return `\`${from}\`: ${values.join(', ')}`
}

const fields = (rows: readonly Row[], max?: Readonly<Record<string, number>>): string =>
  table(
    ['Field', 'Has'],
    rows.map((row) => {
      const bytes = max?.[row.to]
      return [
        `\`${row.to}\``,
        sourceOf(row) + (bytes === undefined ? '' : `; ${bytes} bytes at most`),
      ]
    }),
  )

const placeCells = ({ ocsf: [name, id, other], ecs, udm }: Place): string[] => [
  `${name} (${OCSF_CLASSES[name].uid}) ${id}${other === undefined ? '' : ` ${other}`}`,
  `${ecs.category.join(', ')}: ${ecs.type.join(', ')}`,
  udm,
]

const STAGES: Readonly<Record<Stage, string>> = {
  connect: 'session opens',
  disconnect: 'session closes',
  run: 'command starts',
  end: 'command completes',
  data: 'output, and the like',
  cancel: 'command is cancelled',
}

export function referencePage(): string {
  const classes = Object.keys(OCSF_CLASSES) as OcsfClass[]
  const rowText = (row: Row) => `${row.to} ${sourceOf(row)}`
  const perClass = new Map(classes.map((name) => [name, ocsfRows(name)]))
  const isOwn = ({ to }: Row) => to.startsWith('unmapped.')
  const isOfClass = ({ to }: Row) => ['class_uid', 'category_uid', 'type_uid'].includes(to)
  const first = perClass.get(classes[0]!)!
  const shared = first.filter(
    (row) =>
      isOfClass(row) ||
      classes.every((name) => perClass.get(name)!.some((other) => rowText(other) === rowText(row))),
  )
  const sharedTexts = new Set(shared.map(rowText))
  const integrity = ocsfRows('datastore_activity', {
    version: '1.9.0',
    recordIntegrity: true,
  }).filter(({ to }) => to.startsWith('attestation_list'))
  return `<!-- Made from services/siem-export/src/formats by \`npm run docs:siem\`. Do not edit. -->

# Events as other systems read them

What each format that Custody sends has in it. Records are made from the same tables as this page. A record's text is
well-formed Unicode; halves of surrogate pairs become U+FFFD. Values longer than ${VALUE_BYTES_MAX} bytes end with \`…\`. The text of a command has at
most ${Object.entries(STATEMENT_BYTES_MAX)
    .map(([name, bytes]) =>
      Number.isFinite(bytes)
        ? `${bytes} bytes in ${name}`
        : `as many bytes as were recorded in ${name}`,
    )
    .join(
      ', ',
    )}; where it is cut, its length and SHA-256 are beside it. What has no value is left out.
All limits are options of a destination's format.

Records are delivered in order for each key: the session's identifier, or the recorder's name outside sessions. Every record has the event's
identifier, the same each time it is sent.

## Kinds

Of a kind that begins with a name and \`.*\`, those not named themselves are meant; kinds that Custody does not have yet are the last row. *How it went*:
where nothing stands there, what the event's own fields say. Severity is raised to low for what failed, was held or was not understood, and to medium where an outcome is unknown;
a detection brings its rule's.

${table(
  [
    'Kind',
    'Name',
    'Severity',
    'How it went',
    'Alert',
    'OCSF class and activity',
    'ECS category: type',
    'UDM',
  ],
  MEANINGS.map(({ kind, title, severity, outcome, alert, place }) => [
    `\`${kind}\``,
    title,
    severity,
    outcome ?? '',
    alert ? 'yes' : '',
    ...(typeof place === 'string'
      ? [`by what it is of: ${STAGES[place]}`, '', '']
      : placeCells(place)),
  ]),
)}

What a session or a command is of: \`database\` for SQL, \`process\` for shell commands, \`file\` for sftp and scp, \`ssh\` for shells, forwardings and all else of
SSH, \`http\`, and \`api\` for Kubernetes, MCP and everything else.

${table(
  ['Of', 'When', 'OCSF class and activity', 'ECS category: type', 'UDM'],
  DOMAINS.flatMap((domain) =>
    (Object.keys(STAGES) as Stage[]).map((stage) => [
      domain,
      STAGES[stage],
      ...placeCells(PLACES[domain][stage]),
    ]),
  ),
)}

Commands that do one of these are placed by it, by the first of these where they do several:

${table(
  ['Of', 'Verbs', 'OCSF class and activity', 'ECS category: type', 'UDM'],
  [
    ...Object.entries(ACCOUNT_PLACES).map(([verb, place]) => [
      'database',
      `${verb}, of a role or user`,
      ...placeCells(place),
    ]),
    ...DOMAINS.flatMap((domain) =>
      (VERBS[domain] ?? []).map(({ verbs, place }) => [
        domain,
        verbs.join(', '),
        ...placeCells(place),
      ]),
    ),
  ],
)}

Severities:

${table(
  ['Custody', 'OCSF', 'ECS', 'CEF', 'LEEF', 'UDM', 'syslog'],
  SEVERITIES.map((one) => [
    one,
    String(OCSF_SEVERITIES[one]),
    String(ECS_SEVERITIES[one]),
    String(CEF_SEVERITIES[one]),
    String(LEEF_SEVERITIES[one]),
    one.toUpperCase(),
    String(SYSLOG_SEVERITIES[one]),
  ]),
)}

## Facts

What fields are made of.

${table(
  ['Fact', 'Is'],
  [...FACTS.values()].map(({ name, doc }) => [`\`${name}\``, doc]),
)}

## Plain JSON

The event itself, one JSON object: identifiers as UUID text, digests in hexadecimal, other bytes as base64, times as ISO 8601 with microseconds. What is null, an empty
list or an empty map is left out. \`digest\` is added where it is at hand; with \`outputs: summary\`, \`outputBytes\` and \`outputDigest\` take the place of \`output.data\`.

${table(
  ['Member', 'Is'],
  PLAIN_FIELDS.map(({ path, doc }) => [`\`${path}\``, doc]),
)}

## OCSF

Version 1.8.0, with the profiles datetime, host and security_control. Every class has:

${fields(shared)}
${classes
  .map((name) => {
    const rows = perClass
      .get(name)!
      .filter((row) => !sharedTexts.has(rowText(row)) && !isOfClass(row))
    return `
### ${name} (${OCSF_CLASSES[name].uid})

${fields(rows.filter((row) => !isOwn(row)))}

Below \`unmapped\`: ${rows
      .filter(isOwn)
      .map(({ from }) => `\`${from}\``)
      .join(', ')}.
`
  })
  .join('')}
### record_integrity

With \`ocsf.version: 1.9.0\` and \`ocsf.recordIntegrity: true\`, instead of \`raw_data_hash\`. What is hashed is the event as Custody recorded it, which \`custody verify\` checks, not the OCSF record.

${fields(integrity)}

## Elastic Common Schema

Version 9.4.0, or 8.11.0 with \`ecs.version\`.

${fields(ecsRows())}

## CEF

Version 0; the header has \`Custody|Custody|<version>|<kind>|<name>|<severity>\`. Lists are joined by a comma, objects by a semicolon. Line breaks in values are
\`\\n\` and \`\\r\`; other control characters, and spaces at a value's ends, are shown as their pictures (U+2400 and on). With \`recordBytesMax\`, \`CustodyLeftOut\` counts the values for which there was no room.

${fields(cefRows(), CEF_LENGTHS)}

## LEEF 2.0

The delimiter is a tab, \`x09\`. Control characters in values, tabs and line breaks among them, are shown as their pictures (U+2400 and on), since LEEF has no escapes. A record has at most ${LEEF_RECORD_BYTES_MAX} bytes
unless \`recordBytesMax\` says otherwise; \`custodyLeftOut\` counts the values for which there was no room.

${fields(leefRows())}

## Timesketch

${fields(timesketchRows(FACTS))}

## Google SecOps UDM

${fields(udmRows())}

## Syslog

RFC 5424, facility 13 unless configured otherwise, around any of these records. The host name is the gateway's, the process the recorder, the message's identifier the
kind; the time has microseconds. Structured data:

${table(
  ['Parameter of `custody@<enterprise number>`', 'Has'],
  SYSLOG_PARAMETERS.map(([name, fact]) => [`\`${name}\``, `\`${fact}\``]),
)}

\`meta\` has \`sequenceId\`, the sequence's position from 1; \`timeQuality\` has \`tzKnown="1"\`. The enterprise number is 32473, which is reserved for
documents, unless you set your own.
`
}
