/**
 * Rows that queries find, by ClickHouse's own engine: one JSON line in, one out. A process of its own, since the engine ends with it.
 */
const { Session } = require('chdb')

let text = ''
process.stdin.on('data', (bytes) => {
  text += bytes
})
process.stdin.on('end', () => {
  const { columns, rows, queries } = JSON.parse(text)
  const quoted = (name) => `\`${name}\``
  const schema = [
    'n Int64',
    ...columns.map(({ name, type }) => `${quoted(name)} Nullable(${type})`),
  ].join(', ')
  const literal = (value) =>
    value === null
      ? 'NULL'
      : typeof value === 'number'
        ? String(value)
        : `'${String(value).replace(/[\\']/g, '\\$&')}'`
  const session = new Session()
  session.query(`CREATE TABLE logs (${schema}) ENGINE = Memory`)
  const values = rows.map((row, i) => `(${[i, ...row].map(literal).join(', ')})`)
  session.query(`INSERT INTO logs VALUES ${values.join(', ')}`)
  const answers = queries.map((sql) => {
    try {
      const out = session.query(sql.replace('SELECT *', 'SELECT n'), 'JSONCompactEachRow')
      return {
        rows: out
          .split('\n')
          .filter(Boolean)
          .map((line) => Number(JSON.parse(line)[0]))
          .sort((a, b) => a - b),
      }
    } catch (error) {
      return { error: String(error.message ?? error).slice(0, 500) }
    }
  })
  session.cleanup()
  process.stdout.write(`${JSON.stringify(answers)}\n`)
})
