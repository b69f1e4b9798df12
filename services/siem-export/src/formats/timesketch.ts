/**
 * Timesketch's JSON lines: message, datetime and timestamp_desc, which it demands, and every fact as an attribute of its own
 * name, flat.
 */
import { type Fact, flatText } from './facts'
import { type Row, restOf, row, snake } from './mapping'

const flat = (name: string): string => snake(name).replaceAll('.', '_')

const STANDARD: readonly Row[] = [
  row('message', 'message'),
  row('datetime', 'time'),
  row('timestamp', 'time.micros'),
  row('timestamp_desc', 'title'),
  { to: 'data_type', always: 'custody:event' },
  row('severity', 'severity'),
  row('outcome', 'outcome'),
  row('source_ip', 'client.ip'),
  row('link', 'link'),
]

/** Attributes are scalars or lists of them. */
const scalars = (fact: Fact): Row =>
  fact.type === 'map' || fact.type === 'list'
    ? {
        to: flat(fact.name),
        from: fact.name,
        doc: `${fact.doc}, as text`,
        of: (f) => flatText(fact.of(f)),
      }
    : row(flat(fact.name), fact.name)

export function timesketchRows(facts: ReadonlyMap<string, Fact>): Row[] {
  return [
    ...STANDARD,
    ...restOf([STANDARD], ({ name }) => flat(name)).map(({ from }) => scalars(facts.get(from!)!)),
  ]
}
