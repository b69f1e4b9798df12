/**
 * Runs the corpus direct and through Custody and compares what came back, byte for byte, message by message.
 * What may differ is what names the one connection it is on, and is listed in `normalised`; nothing else is let pass.
 */
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import { createTokenVerifier, issueToken, loadTokenKeys } from '@custody/identity'
import { parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy } from '@custody/proxy'
import { decodeMessage, type Event, sha256, uuidText } from '@custody/schemas'
import { type ServerKind, startPostgres, temporaryDirectory } from '@custody/test-support'
import { type Case, cases, TEMPLATE } from './cases'
import { type Address, driverCases } from './drivers'
import { type Message, RawConnection } from './raw'

export interface Difference {
  name: string
  direct: string
  proxied: string
}

export interface ParityResult {
  cases: number
  /** … in which the client got other bytes than without Custody. */
  different: number
  differences: Difference[]
  /** … whose record is not what the client got. */
  untrue: number
  untruths: string[]
}

export interface ParityOptions {
  /** Of MySQL: which of the two servers; MariaDB when nothing is said. */
  server?: ServerKind
  /** Only cases whose name has this in it. */
  only?: string
  progress?(line: string): void
}

/** From here on identifiers are given by the server as things are made, and differ between two databases. */
const FIRST_OWN_OID = 16_384

export async function runParity(o: ParityOptions = {}): Promise<ParityResult> {
  const progress = o.progress ?? (() => {})
  const directory = temporaryDirectory('parity')
  const server = await startPostgres({
    authentication: 'password',
    settings: { max_connections: '50', log_min_messages: 'fatal' },
  })
  const home = prepareHome(join(directory.path, 'home'))
  let proxy: ReturnType<typeof createProxy> | undefined
  try {
    await server.query('create database parity_template')
    const maker = await server.connect({ database: 'parity_template' })
    await maker.query(TEMPLATE)
    await maker.end()
    for (const name of ['direct', 'proxied'])
      await server.query(`create database ${name} template parity_template`)

    const configuration = parseConfiguration(`
listen: {postgres: 0}
log: {reserveBytes: 65536}
resources:
  parity: ${server.resource({ database: 'proxied', tls: 'disable', durability: 'os' })}
`)
    const keys = await loadTokenKeys(home, 'local')
    const { token } = await issueToken(keys, { subject: 'parity' })
    proxy = createProxy({
      configuration,
      home,
      verifier: await createTokenVerifier(home, configuration),
      logger: silentLogger(),
    })
    const { ports } = await proxy.start()
    const direct: Address = {
      port: server.port,
      user: server.user,
      password: server.password,
      database: 'direct',
    }
    const proxied: Address = {
      port: ports.postgres!,
      user: 'parity',
      password: token,
      database: 'parity',
    }

    const result: ParityResult = {
      cases: 0,
      different: 0,
      differences: [],
      untrue: 0,
      untruths: [],
    }
    const got = new Map<string, { name: string; received: Message[] }>()
    const say = async (each: Case, name: string, at: Address, pieceBytes?: number) => {
      const application = `case-${result.cases}`
      const { text, received } = await transcript(each, at, application, pieceBytes)
      if (at === proxied) got.set(application, { name, received })
      return text
    }
    const compare = async (name: string, run: (at: Address) => Promise<string>) => {
      if (o.only && !name.includes(o.only)) return
      const [one, other] = [await run(direct), await run(proxied)]
      // A case that does not get its answers without Custody compares nothing.
      const broken = /\nfailed: .*/.exec(one)?.[0]
      if (broken) throw new Error(`the case ${JSON.stringify(name)} does not work direct:${broken}`)
      result.cases++
      if (result.cases % 50 === 0) progress(`${result.cases} cases, ${result.different} different`)
      if (one === other) return
      result.different++
      result.differences.push({ name, ...around(one, other) })
      progress(`different: ${name}`)
    }
    for (const each of cases) {
      await compare(each.name, (at) => say(each, each.name, at))
      if (each.pieces) {
        const name = `${each.name}, byte by byte`
        await compare(name, (at) => say(each, name, at, 1))
      }
    }
    for (const each of driverCases)
      await compare(each.name, async (at) => JSON.stringify(await each.run(at), null, 1))
    await proxy.stop()
    proxy = undefined
    result.untruths = await untruths(home.log, got)
    result.untrue = result.untruths.length
    return result
  } finally {
    await proxy?.stop()
    await server.stop()
    await directory.remove()
  }
}

async function transcript(
  each: Case,
  at: Address,
  application: string,
  pieceBytes?: number,
): Promise<{ text: string; received: Message[] }> {
  const connection = await RawConnection.open({
    ...at,
    parameters: { ...each.parameters, application_name: application },
    ...(pieceBytes && { pieceBytes }),
  })
  let failure = ''
  try {
    await each.run(connection)
  } catch (error) {
    failure = `\nfailed: ${(error as Error).message}`
  }
  await connection.close()
  const settings = [...connection.settings]
    .filter(([name]) => name !== 'session_authorization')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
  return {
    text: `${settings.join(' ')}\n${connection.received.map(normalised).join('\n')}${failure}`,
    received: connection.received,
  }
}

/**
 * Where the record is not what the client got: its recorded output, put together, against the messages received; and each
 * command's bytes and digest against its own output.
 */
async function untruths(
  log: string,
  got: ReadonlyMap<string, { name: string; received: Message[] }>,
): Promise<string[]> {
  const bySession = new Map<string, Event[]>()
  const byApplication = new Map<string, string>()
  const reader = openReader({ directory: log, recorder: 'proxy-local' })
  for (let batch = await reader.read(8e6); batch; batch = await reader.read(8e6))
    for (const message of batch.messages) {
      const event = decodeMessage(message)
      if (!event.session) continue
      const id = uuidText(event.session)
      const events = bySession.get(id)
      if (events) events.push(event)
      else bySession.set(id, [event])
      if (event.kind === 'session.opened')
        byApplication.set(event.path?.clientApplication ?? '', id)
    }
  reader.close()
  const found: string[] = []
  for (const [application, { name, received }] of got) {
    const events = bySession.get(byApplication.get(application) ?? '') ?? []
    const outputs = events.filter(({ output }) => output?.stream === 'output')
    const client = Buffer.concat(
      received
        .filter(({ type }) => type !== 'Z')
        .flatMap(({ type, body }) => {
          const head = Buffer.alloc(5)
          head.write(type, 'latin1')
          head.writeInt32BE(body.length + 4, 1)
          return [head, body]
        }),
    )
    const record = Buffer.concat(outputs.map(({ output }) => output!.data))
    if (!record.equals(client))
      found.push(`${name}: the client got ${client.length} bytes, the record has ${record.length}`)
    for (const { kind, command, response } of events) {
      if (kind === 'command.completed' && response?.status === 'ok') {
        // The cases call innocent what must never be recorded as having run.
        const started = events.find(({ id }) => id.equals(command!))?.statement
        if (started?.understood && started.text.includes('innocent'))
          found.push(`${name}: recorded as ${JSON.stringify(started.text)}, which did not run`)
      }
      if (kind !== 'command.completed' || !response?.digest) continue
      const own = Buffer.concat(
        outputs.filter((one) => one.command?.equals(command!)).map(({ output }) => output!.data),
      )
      if (Number(response.bytes) !== own.length || !sha256(own).equals(response.digest))
        found.push(
          `${name}: a command of ${response.bytes} bytes has ${own.length} bytes of output`,
        )
    }
  }
  return found
}

/** A message as text, without what names the connection or the database it was on. */
function normalised({ type, body }: Message): string {
  const bytes = Buffer.from(body)
  if (type === 'A') bytes.writeInt32BE(0, 0) // NotificationResponse: the process that notified
  if (type === 'T') {
    // RowDescription: identifiers of tables and types made by a case itself.
    let at = 2
    for (let field = bytes.readInt16BE(0); field > 0; field--) {
      at = bytes.indexOf(0, at) + 1
      if (bytes.readUInt32BE(at) >= FIRST_OWN_OID) bytes.writeUInt32BE(0, at)
      at += 18
    }
  }
  return `${type} ${bytes.toString('latin1')}`
}

/** The two around where they first differ. */
export function around(one: string, other: string): { direct: string; proxied: string } {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  const from = Math.max(0, at - 80)
  return {
    direct: JSON.stringify(one.slice(from, at + 200)),
    proxied: JSON.stringify(other.slice(from, at + 200)),
  }
}
