/**
 * Where what people say comes from: the log of the query service beside the gateway, read as it grows, or what the cluster's
 * control and standing topics bring.
 */
import { join } from 'node:path'
import { type LogReader, listSegments, openReader } from '@custody/event-log'
import type { Logger } from '@custody/kit'
import type { PeopleSource } from './people'

const POLL_MS = 20
const REST_MS = 250
const READ_BYTES_MAX = 1024 * 1024

/** Looks often while somebody waits, and now and then otherwise. Begins with the last segment: what that has from before fits nothing that waits. */
export function logSource(o: {
  /** CUSTODY_HOME/log, and whose log in it they speak in. */
  directory: string
  recorder: string
  logger: Logger
}): PeopleSource {
  const { directory, recorder, logger } = o
  let reader: LogReader | null = null
  let polling: NodeJS.Timeout | null = null
  let everyMs = REST_MS
  let busy = false
  let hear: (message: Buffer, isBefore: boolean) => void = () => {}

  async function read(): Promise<void> {
    for (;;) {
      const batch = (await reader?.read(READ_BYTES_MAX)) ?? null
      if (batch === null) return
      for (const message of batch.messages) hear(message, false)
    }
  }

  function poll(): void {
    if (polling) clearInterval(polling)
    polling = setInterval(() => {
      if (busy) return
      busy = true
      void read()
        .catch((error) => logger.error({ err: error }, 'what people answer can’t be read'))
        .finally(() => {
          busy = false
        })
    }, everyMs)
    polling.unref()
  }

  return {
    start(listener) {
      hear = listener
      const segment = listSegments(join(directory, recorder)).at(-1) ?? 0
      reader = openReader({ directory, recorder, from: { segment, offset: 0, sequence: 0 } })
      poll()
    },
    attend(isWaiting) {
      everyMs = isWaiting ? POLL_MS : REST_MS
      if (reader !== null) poll()
    },
    stop() {
      if (polling) clearInterval(polling)
      polling = null
      reader?.close()
      reader = null
    },
  }
}

/** The cluster's: whoever follows its topics calls `say`. It listens always. */
export function clusterSource(): PeopleSource & {
  say(message: Buffer, isBefore: boolean): void
} {
  let hear: (message: Buffer, isBefore: boolean) => void = () => {}
  return {
    say: (message, isBefore) => hear(message, isBefore),
    start(listener) {
      hear = listener
    },
    attend() {},
    stop() {
      hear = () => {}
    },
  }
}
