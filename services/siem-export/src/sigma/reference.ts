/** docs/reference/siem-rules.md: the subset of Sigma that is understood, and the starter pack's rules. A test holds the page to the code. */
import { GROUPS_MAX, HITS_MAX, NAMED_MAX } from './correlate'
import { COUNT_MAX, RULES_MAX, type Rule, TIMESPAN_DAYS_MAX } from './rule'
import { MODIFIERS } from './search'

const cell = (text: string): string => text.replaceAll('|', '\\|')

export function rulesPage(files: ReadonlyMap<string, readonly Rule[]>): string {
  const rows = [...files].map(([name, rules]) => {
    const rule = rules.at(-1)!
    const how =
      rule.type === 'correlation'
        ? `${rule.correlation}, ${rule.timespanMicros / 1e6} s`
        : [rule.service, rule.category].filter(Boolean).join(' ') || 'any'
    return `| \`${name}\` | ${cell(rule.title)} | ${cell(rule.description)} | ${rule.level} | ${rule.attack.join(', ')} | ${how} |`
  })
  return `<!-- Made from services/siem-export/src/sigma and services/siem-export/rules by \`npm run docs:siem\`. Do not edit. -->

# Sigma rules on the stream

Rules are Sigma's YAML, as [the specification](https://sigmahq.io/sigma-specification/) has it, as far as it is named here. What is not, is refused when the rules are
read, with the rule's title and what of it is not understood: a rule that is half understood would watch nothing. At most ${RULES_MAX} rules.

## Fields

The facts of [siem-fields.md](siem-fields.md#facts), by their names, uncut: \`kind\`, \`who.subject\`, \`path.resource\`, \`statement.text\`, \`statement.verbs\`,
\`object.names\`, \`response.rows\`. Of a field with several values any may match; with \`all\`, each value of the rule must match some.
A field that an event has not matches nothing but \`null\` and \`exists: false\`; \`not\` of it is true.

\`logsource.product\` is \`custody\`; \`service\` is the protocol of the resource (\`postgres\`, \`mysql\`, \`ssh\`, \`kubernetes\`, …), \`category\` what a command is of (\`database\`,
\`process\`, \`file\`, \`ssh\`, \`http\`, \`api\`).

## Searches and conditions

A search is a mapping, all of whose items must match, or a list of mappings. Searches for words without a field are not understood. Text is compared without regard to case;
\`*\` and \`?\` are wildcards unless a backslash is before them.

Modifiers: ${MODIFIERS.map((one) => `\`${one}\``).join(', ')}. \`re\` is RE2's syntax and finds the expression anywhere; \`i\`, \`m\` and \`s\` are its flags. \`neq\` is not fulfilled by a field that is not there,
and with several values means none of them. A modifier that would do nothing beside the others is refused.

Conditions: \`and\`, \`or\`, \`not\`, parentheses, \`1 of\` and \`all of\` with \`them\` or a pattern, neither of
which stands for searches whose names begin with an underscore. One condition a rule. No \`timeframe\`, no aggregations after a bar: use a correlation.

## Correlations

\`event_count\` and \`value_count\` with \`gte\` or \`gt\` up to ${COUNT_MAX}, \`temporal\` and \`temporal_ordered\`; \`group-by\`, \`timespan\` up to ${TIMESPAN_DAYS_MAX} days in
\`s\`, \`m\`, \`h\`, \`d\`, \`aliases\`, \`generate\`. Of detection rules, not of other correlations. Time is the events' own. An event counts once, and what told counts no more. Each correlation
remembers ${GROUPS_MAX} groups and ${HITS_MAX} hits, and of each group no more than it takes to tell; least recently touched ones are forgotten first, and counted. A detection names at most
${NAMED_MAX} of the events that it is made of.

## Starter pack

In \`services/siem-export/rules\`.

| File | Title | Tells of | Level | ATT&CK | Of |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}
