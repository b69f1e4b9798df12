/**
 * `npm run bench -- [proxy] [ingest] [log] [policy] [approvals] [masking] [masking-values] [replicated] [control] [pipeline] [siem] [siem-formats] [growth] [outage] [ssh] [mysql]`: measures Custody beside floors and peers in one run, prints the ratios, and with
 * `--write` puts the tables into bench/README.md.
 */
import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { benchApprovals } from './approvals'
import { benchControl } from './control'
import { benchGrowth } from './growth'
import { benchLog } from './log'
import { benchMasking } from './masking'
import { benchMaskingValues } from './masking-values'
import { type Row, Table } from './measure'
import { benchMysql } from './mysql'
import { benchOutage } from './outage'
import { benchPipeline } from './pipeline'
import { benchPolicy } from './policy'
import { benchProxy } from './proxy'
import { benchReplicated } from './replicated'
import { markdown, writeReadme } from './report'
import { benchSiem } from './siem'
import { benchSiemFormats } from './siem-formats'
import { benchSsh } from './ssh'
import { benchStore } from './store'

const CLIENTS = '1,16,64'
const PARTS = 'pgbench,large,connect,memory'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    warm: { type: 'string' },
    modes: { type: 'string', default: 'simple,extended,prepared' },
    clients: { type: 'string', default: CLIENTS },
    subjects: { type: 'string' },
    parts: { type: 'string', default: PARTS },
    events: { type: 'string' },
    keys: { type: 'boolean', default: false },
    keep: { type: 'string' },
    ask: { type: 'boolean', default: false },
    soak: { type: 'string', default: '0' },
    outage: { type: 'string' },
    answers: { type: 'string' },
    how: { type: 'string', default: 'stop' },
    rate: { type: 'string', default: '100' },
    commands: { type: 'string' },
    megabytes: { type: 'string' },
    ciphers: {
      type: 'string',
      default: 'chacha20-poly1305@openssh.com,aes256-gcm@openssh.com',
    },
    brokers: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const HELP = `npm run bench -- [proxy] [ingest] [log] [policy] [approvals] [masking] [masking-values] [replicated] [control] [pipeline] [siem] [siem-formats] [growth] [outage] [ssh] [mysql]

All when none is named, but growth and outage, which take hours and a quarter of an hour.

  --quick              two short rounds, a million events
  --rounds <n>         rounds, each of every subject in turn (default 5)
  --seconds <n>        seconds of one pgbench run (default 3)
  --warm <n>           of proxy and mysql: seconds of each mode before the first round, for each subject (default 5; quick 0)
  --modes <list>       simple,extended,prepared
  --clients <list>     1,16,64; of replicated and mysql 1,16
  --subjects <list>    only these, by ';', such as "pipe;custody os"
  --parts <list>       pgbench,large,connect,memory,soak; of masking: rows,copy,one
  --soak <minutes>     how long memory is watched under load, with part soak
  --events <n>         events of the ingest bench and of growth (default 10000000), such as 100e6
  --keys               also the same rows under other keys and indexes
  --keep <directory>   leave the store there; a later run with it only asks, of growth goes on
  --ask                of growth: only migrate what --keep has, and ask
  --answers <n>        of control (default 200)
  --outage <seconds>   how long Kafka is away (default 600); of siem a destination (default 3600; with --rounds 0 nothing but that)
  --how <stop|kill>    paused, or killed and started again
  --rate <n>           transactions a second meanwhile (default 100)
  --commands <n>       of ssh: commands and keys of a round (default 500)
  --megabytes <n>      of ssh: what scp moves (default 500)
  --ciphers <list>     of ssh: what OpenSSH's client asks for
  --brokers <n>        of replicated (default 1)
  --write              put the tables into bench/README.md
  --json               as the last line: {rows: [{case, subject, median, min, max, unit, ratioTo}]}
`

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const known = [
    'proxy',
    'ingest',
    'log',
    'policy',
    'approvals',
    'masking',
    'masking-values',
    'replicated',
    'control',
    'pipeline',
    'siem',
    'siem-formats',
    'growth',
    'outage',
    'ssh',
    'mysql',
  ]
  const wrong = positionals.find((name) => !known.includes(name))
  if (wrong) {
    process.stderr.write(`bench: there is no ${wrong}; there is ${known.join(', ')}\n`)
    return 2
  }
  const wanted =
    positionals.length > 0
      ? positionals
      : known.filter((name) => name !== 'growth' && name !== 'outage')
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  const seconds = Number(values.seconds ?? (values.quick ? 2 : 3))
  const warmSeconds = Number(values.warm ?? (values.quick ? 0 : 5))
  const progress = (line: string) => process.stderr.write(`bench: ${line}\n`)
  const all: Row[] = []
  for (const name of wanted) {
    const table = new Table()
    let notes: string[]
    if (name === 'proxy')
      notes = await benchProxy(
        {
          rounds,
          seconds,
          warmSeconds,
          modes: values.modes.split(','),
          clients: values.clients.split(',').map(Number),
          ...(values.subjects && { subjects: values.subjects.split(';') }),
          parts: new Set(values.parts.split(',')),
          soakMinutes: Number(values.soak),
          progress,
        },
        table,
      )
    else if (name === 'ingest')
      notes = await benchStore(
        {
          events: Number(values.events ?? (values.quick ? 1_000_000 : 10_000_000)),
          sample: values.quick ? 300_000 : 1_000_000,
          rounds: Math.min(3, rounds),
          keys: values.keys,
          ...(values.keep && { keep: resolve(values.keep) }),
          progress,
        },
        table,
      )
    else if (name === 'ssh')
      notes = await benchSsh(
        {
          rounds,
          commands: Number(values.commands ?? (values.quick ? 100 : 500)),
          megabytes: Number(values.megabytes ?? (values.quick ? 100 : 500)),
          ciphers: values.ciphers.split(','),
          ...(values.subjects && { subjects: values.subjects.split(';') }),
          progress,
        },
        table,
      )
    else if (name === 'mysql')
      notes = await benchMysql(
        {
          rounds,
          seconds,
          warmSeconds,
          clients: values.clients === CLIENTS ? [1, 16] : values.clients.split(',').map(Number),
          ...(values.subjects && { subjects: values.subjects.split(';') }),
          progress,
        },
        table,
      )
    else if (name === 'growth')
      notes = await benchGrowth(
        {
          events: Number(values.events ?? (values.quick ? 1_000_000 : 10_000_000)),
          ask: values.ask,
          ...(values.keep && { keep: resolve(values.keep) }),
          progress,
        },
        table,
      )
    else if (name === 'pipeline')
      notes = await benchPipeline(
        {
          events: Number(values.events ?? (values.quick ? 50_000 : 300_000)),
          rounds: Math.min(3, rounds),
          ...(values.subjects && { subjects: values.subjects.split(';') }),
          progress,
        },
        table,
      )
    else if (name === 'siem')
      notes = await benchSiem(
        {
          events: Number(values.events ?? (values.quick ? 50_000 : 300_000)),
          rounds: Math.min(3, rounds),
          awaySeconds: Number(values.outage ?? (values.quick ? 10 : 3600)),
          progress,
        },
        table,
      )
    else if (name === 'replicated')
      notes = await benchReplicated(
        {
          rounds,
          seconds,
          clients: values.clients === CLIENTS ? [1, 16] : values.clients.split(',').map(Number),
          brokers: Number(values.brokers),
          progress,
        },
        table,
      )
    else if (name === 'control') {
      const answers = Number(values.answers ?? (values.quick ? 20 : 200))
      notes = await benchControl({ answers, kills: Math.ceil(answers / 4), progress }, table)
    } else if (name === 'outage') {
      const outageSeconds = Number(values.outage ?? (values.quick ? 10 : 600))
      notes = await benchOutage(
        {
          beforeSeconds: Math.min(60, outageSeconds),
          outageSeconds,
          afterSeconds: Math.min(120, outageSeconds),
          rate: Number(values.rate),
          how: values.how === 'kill' ? 'kill' : 'stop',
          progress,
        },
        table,
      )
    } else if (name === 'approvals') notes = await benchApprovals({ rounds, progress }, table)
    else if (name === 'masking')
      notes = await benchMasking(
        {
          rounds,
          parts: new Set(
            values.parts === PARTS ? ['rows', 'copy', 'one'] : values.parts.split(','),
          ),
          ...(values.subjects && { subjects: values.subjects.split(';') }),
          progress,
        },
        table,
      )
    else if (name === 'masking-values')
      notes = await benchMaskingValues({ rounds, progress }, table)
    else if (name === 'siem-formats') notes = await benchSiemFormats({ rounds, progress }, table)
    else if (name === 'policy') notes = await benchPolicy({ rounds, progress }, table)
    else notes = await benchLog({ rounds, seconds, progress }, table)
    const rows = table.rows()
    all.push(...rows)
    const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; ${rounds} rounds of ${seconds} s, medians${name === 'proxy' ? '; in brackets the ratio to the floor: the pipe, over TLS the TLS split' : ''}`
    const text = [
      `${new Date().toISOString().slice(0, 10)}, ${machine}.`,
      ...notes.map((note) => `${note}.`),
      '',
      markdown(rows),
    ].join('\n')
    process.stderr.write(`\n${text}\n`)
    if (values.write) writeReadme(name, text)
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ rows: all })}\n`)
  return 0
}

void main().then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.stack : error}\n`)
    process.exit(1)
  },
)
