/**
 * A connection that names no resource, of somebody who has a session here: MySQL's own client opens one when Ctrl-C is
 * pressed, to say which command shall end. Good for KILL alone; everything else is told what to do. Reaches no target by itself.
 */
import type { Duplex } from 'node:stream'
import { PacketChannel } from './channel'
import { readKill } from './kill'
import { Command, errPayload, okPayload, Status } from './wire'

export interface ControlParts {
  stream: Duplex
  queryAttributes: boolean
  /** Null where there is no such session of theirs; rejects where the target can't be asked. */
  kill(threadId: number, isQuery: boolean): Promise<true | null>
  idleMsMax: number
}

export async function serveControl(parts: ControlParts): Promise<void> {
  const { stream } = parts
  const channel = new PacketChannel(stream)
  const idle = setTimeout(() => stream.destroy(), parts.idleMsMax)
  try {
    for (;;) {
      channel.sequence = 0
      const payload = await channel.read()
      if (payload[0] === Command.quit) return
      channel.send(await answer(payload, parts))
    }
  } catch {
    // It is gone, or it is of no use.
  } finally {
    clearTimeout(idle)
    stream.end()
  }
}

async function answer(payload: Buffer, { queryAttributes, kill }: ControlParts): Promise<Buffer> {
  if (payload[0] === Command.ping) return okPayload(Status.autocommit)
  // Attributes: none, in one set.
  const text = payload.subarray(queryAttributes ? 3 : 1)
  const found =
    payload[0] === Command.query
      ? readKill(text)
      : payload[0] === Command.processKill && payload.length >= 5
        ? { threadId: payload.readUInt32LE(1), isQuery: false }
        : null
  if (found === null)
    return errPayload(
      ...[1046, '3D000'],
      'custody: name what to connect to as the database when connecting: `resource` or `resource/database`',
      ' [CUSTODY-MYSQL-002]',
    )
  try {
    return (await kill(found.threadId, found.isQuery)) === null
      ? errPayload(1094, 'HY000', `Unknown thread id: ${found.threadId}`)
      : okPayload(Status.autocommit)
  } catch (error) {
    return errPayload(1105, 'HY000', `custody: ${(error as Error).message}`)
  }
}
