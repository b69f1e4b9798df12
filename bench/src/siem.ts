/**
 * From the log to two destinations at once, one syslog over TCP and one Elasticsearch bulk: how many events a second each, and
 * at what CPU; beside it rsyslog, forwarding the very same bytes from a file. And memory while a destination is away and
 * the load goes on. Receivers count and keep nothing, in a process of their own.
 * Refuses to count a subject that has not brought every event.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '@custody/kit'
import { Exporter, Load, logged } from '@custody/siem'
import { temporaryDirectory } from '@custody/test-support'
import { cpuSeconds, rounded, type Table } from './measure'
import { type Started, started } from './processes'

export interface SiemBenchOptions {
  events: number
  rounds: number
  /** How long a destination is away, under load. */
  awaySeconds: number
  progress(line: string): void
}

const POLL_MS = 50
const SECONDS_MAX = 600
const RATE = 500
const SUBJECT = 'custody'
const RSYSLOG = 'rsyslog, imfile to omfwd'
const CACHE = join(__dirname, '../../node_modules/.cache/custody-siem/syslog')

interface Counts {
  syslog: number
  bulk: number
  syslogBytes: number
  bulkBytes: number
}

export async function benchSiem(o: SiemBenchOptions, table: Table): Promise<string[]> {
  for (let round = 1; round <= o.rounds; round++) {
    o.progress(`siem: round ${round} of ${o.rounds}`)
    await both(o, table)
    await forwarder(o, table)
  }
  if (o.awaySeconds > 0) await away(o, table)
  const measured = [
    `${o.events} events waiting in the log, sessions of many people; formats CEF and ECS; batches of 2,000; the bulk body with gzip. Events a second are from the first batch that arrived at both to the last acknowledgement, whichever is later`,
    `memory: a destination that refuses connections for ${o.awaySeconds} s beside one that takes, at ${RATE} events/s`,
  ]
  return measured.slice(o.rounds > 0 ? 0 : 1, o.awaySeconds > 0 ? 2 : 1)
}

async function sink(): Promise<{
  started: Started
  ports: { syslog: number; bulk: number }
  counts(): Promise<Counts>
}> {
  const [process, ports] = await started(join(__dirname, 'siem-sink.js'), {})
  return {
    started: process,
    ports: ports as { syslog: number; bulk: number },
    async counts() {
      process.child.send('counts')
      const [counts] = (await once(process.child, 'message')) as [Counts]
      return counts
    },
  }
}

function configuration(ports: { syslog: number; bulk: number }): object {
  return {
    gateway: 'bench',
    siem: {
      destinations: {
        syslog: {
          ...{
            type: 'syslog',
            transport: 'tcp',
            address: `127.0.0.1:${ports.syslog}`,
            format: 'cef',
          },
          filter: { exceptKinds: ['siem', 'recorder'] },
        },
        bulk: {
          ...{ type: 'elasticsearch', urls: [`http://127.0.0.1:${ports.bulk}`], index: 'custody' },
          filter: { exceptKinds: ['siem', 'recorder'] },
        },
      },
    },
  }
}

async function both({ events, progress }: SiemBenchOptions, table: Table): Promise<void> {
  const receivers = await sink()
  const exporter = new Exporter(configuration(receivers.ports))
  try {
    const load = await Load.open(exporter.home)
    await load.say(events)
    await load.close()
    const sent = (await logged(exporter.home)).filter(({ key }) => key.length === 36).length
    await exporter.start()
    // Of what it does, and not of how long a process takes to start on a busy machine.
    const first = await until(receivers.counts, (one) => one.syslog > 0 && one.bulk > 0)
    const began = performance.now()
    const before = cpuSeconds([exporter.pid!])
    const counts = await until(receivers.counts, (one) => one.syslog >= sent && one.bulk >= sent)
    const seconds = (performance.now() - began) / 1000
    const more = (2 * sent - first.syslog - first.bulk) / 2
    const cpu = cpuSeconds([exporter.pid!]) - before
    if (counts.syslog !== sent || counts.bulk !== sent)
      throw new Error(`${sent} sent, received ${counts.syslog} and ${counts.bulk}`)
    progress(
      `custody: ${Math.round(more / seconds)} events/s to each, ${rounded((cpu / more) * 1e6)} µs of CPU an event`,
    )
    table.add('syslog and bulk at once', SUBJECT, 'events/s to each', more / seconds)
    table.add('syslog and bulk at once, CPU', SUBJECT, 'µs/event, both', (cpu / more) * 1e6)
  } finally {
    await exporter.stop()
    await receivers.started.stop()
  }
}

/** The bytes that the exporter sends, one message a line, forwarded by rsyslog. */
async function forwarder({ events, progress }: SiemBenchOptions, table: Table): Promise<void> {
  const directory = temporaryDirectory('bench-rsyslog')
  const receivers = await sink()
  const lines = join(directory.path, 'lines')
  try {
    const sent = await capture(events, lines)
    const config = join(directory.path, 'config')
    mkdirSync(join(directory.path, 'work'))
    writeFileSync(
      config,
      `global(workDirectory="${directory.path}/work" maxMessageSize="1m")
main_queue(queue.type="LinkedList" queue.size="200000")
module(load="imfile" mode="inotify")
template(name="raw" type="string" string="%msg%")
ruleset(name="out") { action(type="omfwd" target="127.0.0.1" port="${receivers.ports.syslog}" protocol="tcp" TCP_Framing="octet-counted" template="raw" queue.type="LinkedList" queue.size="200000" queue.dequeueBatchSize="2000" action.resumeRetryCount="-1") }
input(type="imfile" File="${lines}" Tag="x" ruleset="out" readMode="0")
`,
    )
    const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((one) =>
      join(CACHE, one),
    )
    const began = performance.now()
    const child = spawn(
      join(CACHE, 'usr/sbin/rsyslogd'),
      [
        ...['-n', '-f', config, '-i', join(directory.path, 'pid')],
        ...['-M', join(CACHE, 'usr/lib/x86_64-linux-gnu/rsyslog')],
      ],
      { stdio: 'ignore', env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') } },
    )
    try {
      await until(receivers.counts, (one) => one.syslog >= sent)
      const seconds = (performance.now() - began) / 1000
      const cpu = cpuSeconds([child.pid!])
      progress(
        `rsyslog: ${Math.round(sent / seconds)} events/s to one, ${rounded((cpu / sent) * 1e6)} µs of CPU an event`,
      )
      table.add('the same syslog bytes, one destination', RSYSLOG, 'events/s', sent / seconds)
      table.add(
        'the same syslog bytes, one destination, CPU',
        RSYSLOG,
        'µs/event',
        (cpu / sent) * 1e6,
      )
    } finally {
      const over = once(child, 'exit')
      child.kill('SIGTERM')
      await over
    }
  } finally {
    await receivers.started.stop()
    await directory.remove()
  }
}

/** Also measures the exporter with that one destination alone. */
async function capture(events: number, file: string): Promise<number> {
  const parts: Buffer[] = []
  const server = createServer((socket) => {
    socket.on('data', (bytes) => parts.push(bytes))
    socket.on('error', () => {})
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const exporter = new Exporter({
    siem: {
      destinations: {
        syslog: {
          ...{ type: 'syslog', transport: 'tcp', address: `127.0.0.1:${port}`, format: 'cef' },
          filter: { exceptKinds: ['siem', 'recorder'] },
        },
      },
    },
  })
  const load = await Load.open(exporter.home)
  await load.say(events)
  await load.close()
  const sent = (await logged(exporter.home)).filter(({ key }) => key.length === 36).length
  await exporter.start()
  const deadline = Date.now() + SECONDS_MAX * 1000
  while ((exporter.status('syslog')?.counts.acknowledged ?? 0) < sent && Date.now() < deadline)
    await sleep(POLL_MS)
  await exporter.stop()
  server.close()
  const bytes = Buffer.concat(parts)
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const end = space + 1 + Number(bytes.toString('latin1', at, space))
    messages.push(bytes.subarray(space + 1, end), NEWLINE)
    at = end
  }
  writeFileSync(file, Buffer.concat(messages))
  return messages.length / 2
}
const NEWLINE = Buffer.from('\n')

async function away({ awaySeconds, progress }: SiemBenchOptions, table: Table): Promise<void> {
  const receivers = await sink()
  const nobody = await freePort()
  const exporter = new Exporter(configuration({ syslog: receivers.ports.syslog, bulk: nobody }))
  const load = await Load.open(exporter.home)
  try {
    await load.say(20_000)
    await exporter.start()
    await sleep(5000)
    const samples: number[] = []
    // What is in use goes up and down between two collections; the least of a minute is what is kept.
    let heaps: number[] = []
    const minutes: number[] = []
    const began = Date.now()
    const until = began + awaySeconds * 1000
    while (Date.now() < until) {
      await load.say(RATE)
      await sleep(1000)
      samples.push(residentMb(exporter.pid!))
      heaps.push(
        ['syslog', 'bulk'].reduce(
          (sum, name) => sum + (exporter.status(name)?.heapBytes ?? Number.NaN) / 1024 / 1024,
          0,
        ),
      )
      if (Date.now() - began < (minutes.length + 1) * Math.min(60_000, awaySeconds * 100)) continue
      minutes.push(Math.min(...heaps))
      heaps = []
      progress(
        `memory after ${Math.round((Date.now() - began) / 1000)} s, ${load.recorded} events: resident ${rounded(samples.at(-1)!)} MB, heaps of both threads ${rounded(minutes.at(-1)!)} MB at least`,
      )
    }
    const tenth = Math.max(1, Math.floor(samples.length / 10))
    const mean = (some: number[]) => some.reduce((sum, one) => sum + one, 0) / some.length
    const [first, last] = [mean(samples.slice(0, tenth)), mean(samples.slice(-tenth))]
    progress(`memory: ${rounded(first)} MB at the beginning, ${rounded(last)} MB at the end`)
    table.add('heaps while one is away, first sample', SUBJECT, 'MB', minutes[0] ?? Number.NaN)
    table.add('heaps while one is away, last sample', SUBJECT, 'MB', minutes.at(-1) ?? Number.NaN)
    table.add('memory while one is away, first tenth', SUBJECT, 'MB', first)
    table.add('memory while one is away, last tenth', SUBJECT, 'MB', last)
    const { syslog } = await receivers.counts()
    table.add('meanwhile to the other', SUBJECT, 'share of events', syslog / load.recorded)
  } finally {
    await load.close()
    await exporter.stop()
    await receivers.started.stop()
  }
}

function residentMb(pid: number): number {
  const path = `/proc/${pid}/status`
  if (!existsSync(path)) return Number.NaN
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(path, 'utf8'))?.[1] ?? Number.NaN) / 1024
}

async function until(
  counts: () => Promise<Counts>,
  isSo: (counts: Counts) => boolean,
): Promise<Counts> {
  const deadline = Date.now() + SECONDS_MAX * 1000
  for (;;) {
    const found = await counts()
    if (isSo(found)) return found
    if (Date.now() > deadline) throw new Error(`not all arrived: ${JSON.stringify(found)}`)
    await sleep(POLL_MS)
  }
}
