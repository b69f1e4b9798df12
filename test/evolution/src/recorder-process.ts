/**
 * A process that records and ships as the proxy does, without a target behind it: sessions that open, run commands and close,
 * several at once, at RECORDER_RATE events a second, until it is told to end. The log it leaves is what the store is held to.
 */

import { openRecorder } from '@custody/event-log'
import { createKafka } from '@custody/event-log-kafka'
import {
  createLogger,
  createSecrets,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
} from '@custody/kit'

const TICK_MS = 20
const SESSIONS = 12
const COMMANDS_MAX = 15

const logger = createLogger({ name: 'recorder' })

void runService({
  name: 'recorder',
  logger,
  async start() {
    const configuration = loadConfiguration()
    const home = prepareHome(homeDirectory())
    const name = process.env.RECORDER_NAME ?? 'recorder'
    const rate = Number(process.env.RECORDER_RATE ?? 200)
    const recorder = await openRecorder({
      directory: home.log,
      recorder: name,
      consumers: ['kafka'],
      reserveBytes: 0,
    })
    const kafka = createKafka({
      settings: configuration.kafka!,
      secrets: createSecrets(configuration.vault, { logger }),
      logger,
    })
    await kafka.ensureTopics()
    const shipper = kafka.shipper({ directory: home.log, recorder: name })
    shipper.start()

    const who = {
      subject: 'a@example.com',
      issuer: 'test',
      email: null,
      name: null,
      groups: ['x'],
      kind: 'human',
      method: 'token',
      tokenId: null,
      authenticatedAt: null,
      onBehalfOf: [],
    }
    const open = () =>
      recorder.openSession(who, { gateway: 'g', resource: 'r', protocol: 'postgres' } as Parameters<
        typeof recorder.openSession
      >[1])
    const sessions = Array.from({ length: SESSIONS }, open)
    let due = 0
    let n = 0
    const timer = setInterval(() => {
      for (due += (rate * TICK_MS) / 1000; due >= 1; due -= 2) {
        const at = n++ % SESSIONS
        const session = sessions[at]!
        const command = recorder.record(
          {
            kind: 'command.started',
            statement: {
              language: 'sql',
              interface: 'query',
              text: `select ${n}`,
              verbs: ['select'],
            },
          },
          session,
        )
        session.commandsStarted++
        recorder.record(
          { kind: 'command.completed', command, response: { status: 'ok', rows: 1, bytes: n } },
          session,
        )
        if (session.commandsStarted < COMMANDS_MAX) continue
        recorder.closeSession(session, 'closed', 'done', {})
        sessions[at] = open()
      }
      shipper.nudge()
    }, TICK_MS)
    return {
      async stop() {
        clearInterval(timer)
        await recorder.close()
        await shipper.stop(20_000)
        await kafka.close()
      },
    }
  },
})
