/**
 * A proxy as its tests have it: in a home of its own that goes away with it, before whatever the configuration names, with
 * its record read back. Refuses to read a record whose chain or sequence has a gap.
 */
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import {
  createTokenVerifier,
  issueToken,
  loadTokenKeys,
  type TokenRequest,
} from '@custody/identity'
import {
  type Home,
  type ProtocolName,
  parseConfiguration,
  prepareHome,
  silentLogger,
} from '@custody/kit'
import { decodeMessage, type Event, sha256 } from '@custody/schemas'
import { temporaryDirectory } from '@custody/test-support'
import { createProxy, type ProxyOptions, type Proxy as RunningProxy } from '../../proxy'

const BATCH_BYTES_MAX = 1 << 20

export interface ProxyUnderTest {
  /** For files of the test; the home is in it. */
  readonly directory: string
  readonly home: Home
  /** Starts a proxy; of several in this home each has a gateway's name of its own. */
  start(
    configuration: string,
    cluster?: ProxyOptions['cluster'],
  ): Promise<{ proxy: RunningProxy; port: number; ports: Partial<Record<ProtocolName, number>> }>
  /** For one gateway of this home. */
  token(request: TokenRequest, gateway?: string): Promise<string>
  /** Every event so far. */
  events(recorder?: string): Promise<Event[]>
  stop(): Promise<void>
}

/** `name`: of its directory. Listens and reserves by itself; configurations say the rest. */
export function proxyUnderTest(name: string): ProxyUnderTest {
  const directory = temporaryDirectory(name)
  const home = prepareHome(join(directory.path, 'home'))
  const started: RunningProxy[] = []
  return {
    directory: directory.path,
    home,
    async start(written, cluster) {
      const configuration = parseConfiguration(
        `listen: {postgres: 0, mysql: 0, ssh: 0}\nlog: {reserveBytes: 65536}\n${written}`,
      )
      const proxy = createProxy({
        configuration,
        home,
        verifier: await createTokenVerifier(home, configuration),
        logger: silentLogger(),
        cluster,
      })
      started.push(proxy)
      const { ports } = await proxy.start()
      return { proxy, ports, port: ports.postgres! }
    },
    async token(request, gateway = 'local') {
      return (await issueToken(await loadTokenKeys(home, gateway), request)).token
    },
    async events(recorder = 'proxy-local') {
      const reader = openReader({ directory: home.log, recorder })
      const all: Event[] = []
      let previous: Buffer = Buffer.alloc(32)
      try {
        for (;;) {
          const batch = await reader.read(BATCH_BYTES_MAX)
          if (!batch) return all
          for (const message of batch.messages) {
            const event = decodeMessage(message)
            if (Number(event.sequence) !== all.length || !event.previous.equals(previous))
              throw new Error(`${recorder}: a gap at event ${all.length}`)
            previous = sha256(message)
            all.push(event)
          }
        }
      } finally {
        reader.close()
      }
    },
    async stop() {
      for (const proxy of started) await proxy.stop()
      await directory.remove()
    },
  }
}
