/**
 * How long an answer takes to reach the command that waits for it: stand-alone as people run it, a real PostgreSQL, commands
 * that a policy holds, and a person who answers by the API as soon as they know of the request, and a second later.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { homeAt, readAdminToken, readStatus } from '@custody/kit'
import { standaloneUnderTest, startPostgres } from '@custody/test-support'
import { Client } from 'pg'
import { median, type Table } from './measure'

export interface ApprovalsOptions {
  rounds: number
  progress(line: string): void
}

const EACH = 40
const POLICY = `@id("all") permit (principal, action, resource);
@id("delete") forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };`

export async function benchApprovals(o: ApprovalsOptions, table: Table): Promise<string[]> {
  const server = await startPostgres({ sql: 'create table t(a int)' })
  const custody = standaloneUnderTest('custody-bench-approvals-', (directory) => ({
    CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  }))
  writeFileSync(join(custody.directory, 'own.cedar'), POLICY)
  writeFileSync(
    join(custody.directory, 'custody.yaml'),
    `policy: {files: [own.cedar]}\nresources:\n  shop: ${server.resource({ database: server.database })}\n`,
  )
  try {
    await custody.start()
    const home = homeAt(custody.environment.CUSTODY_HOME!)
    const { ports } = readStatus(home)!
    const secret = readAdminToken(home)!
    const api = async (path: string, token: string, body?: unknown) => {
      const response = await fetch(`http://127.0.0.1:${ports.console}/api/v1${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      if (!response.ok) throw new Error(await response.text())
      return response.json() as Promise<Record<string, never>>
    }
    const tokenOf = async (subject: string): Promise<string> =>
      (await api('/tokens', secret, { subject })).token!
    const [ada, bo] = [await tokenOf('ada'), await tokenOf('bo')]
    const client = new Client({
      host: '127.0.0.1',
      port: ports.postgres,
      user: 'ada',
      password: ada,
      database: 'shop',
    })
    await client.connect()
    for (let round = 0; round < o.rounds; round++) {
      for (const [subject, waitMs] of [
        ['answered at once', 0],
        ['answered after a second', 1000],
      ] as const) {
        const releases: number[] = []
        const results: number[] = []
        const n = waitMs > 0 ? EACH / 4 : EACH
        for (let i = 0; i < n; i++) {
          const told = once(client, 'notice')
          const running = client.query('delete from t')
          const [{ hint }] = (await told) as [{ hint: string }]
          const id = /Request ([0-9a-f-]+)/.exec(hint)![1]!
          await sleep(waitMs)
          const started = performance.now()
          await api(`/approvals/${id}/approve`, bo, {})
          await running
          results.push(performance.now() - started)
          releases.push(await released(id))
        }
        table.add(
          'the answer is recorded until the gateway goes on',
          subject,
          'ms',
          median(releases),
        )
        table.add(
          'the answer is given until the client has its result',
          subject,
          'ms',
          median(results),
        )
        table.add('… the slowest', subject, 'ms', Math.max(...results))
      }
      const plain: number[] = []
      for (let i = 0; i < EACH; i++) {
        const started = performance.now()
        await client.query('update t set a = 1')
        plain.push(performance.now() - started)
      }
      table.add(
        'the answer is given until the client has its result',
        'a command not held',
        'ms',
        median(plain),
      )
      o.progress(`round ${round + 1}`)
    }
    await client.end()

    /** By the times that the two events have themselves; one machine, one clock. */
    async function released(id: string): Promise<number> {
      for (;;) {
        const { approval } = (await api(`/approvals/${id}?wait=2000`, secret)) as unknown as {
          approval: { ended: string | null; answers: { time: string }[] }
        }
        const [answer] = approval.answers
        if (answer && approval.ended) return micros(approval.ended) - micros(answer.time)
        await sleep(20)
      }
    }
  } finally {
    await custody.stop()
    await server.stop()
  }
  return [
    `${EACH} held commands a round answered at once, ${EACH / 4} after a second; one at a time`,
  ]
}

/** Milliseconds, with what stands behind them. */
function micros(iso: string): number {
  return Date.parse(`${iso.slice(0, 23)}Z`) + Number(iso.slice(23, 26)) / 1000
}
