/**
 * `npm start`: everything on this machine, until it is told to stop.
 */
import { userInfo } from 'node:os'
import { CustodyError, createLogger, describeError, runService, urlOf } from '@custody/kit'
import { createStandalone, type Running } from './standalone'
import { welcome } from './welcome'

const tokenHours = 8

void runService({
  name: 'custody',
  // Diagnostics are in the home's log file; the terminal is for people.
  logger: createLogger({ name: 'custody', level: 'silent' }),
  stopMsMax: 90_000,
  async start() {
    const running = await createStandalone({
      progress: (line) => process.stderr.write(`custody: ${line}\n`),
    }).start()
    void running.failed.then(async (error) => {
      process.stderr.write(`${describeError(error)}\n`)
      await running.stop()
      process.exit(1)
    })
    try {
      await greet(running)
    } catch (error) {
      await running.stop()
      throw error
    }
    stopWithNpm()
    return {
      ...running,
      async stop() {
        process.stderr.write('custody: stopping\n')
        await running.stop()
        process.stderr.write('custody: stopped; everything recorded is kept\n')
      },
    }
  },
})

async function greet({ configuration, status, home, adminToken, demo }: Running): Promise<void> {
  const identity = userInfo().username
  const token = await issueToken(urlOf(status.host, status.ports.console), adminToken, identity)
  const facts = {
    version: status.version,
    host: status.host,
    ports: status.ports,
    home: home.directory,
    resources: Object.keys(configuration.resources),
    identity,
    token,
    tokenHours,
    demoVersion: demo?.version,
  }
  process.stdout.write(`\n${welcome(facts)}`)
}

/** Through the interface and not from the key, so that issuing it is an event like any other. */
async function issueToken(url: string, adminToken: string, subject: string): Promise<string> {
  const response = await fetch(`${url}/api/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ subject, ttlSeconds: tokenHours * 3600 }),
    signal: AbortSignal.timeout(15_000),
  })
  const body = await response.text()
  if (!response.ok) {
    throw new CustodyError(
      'CUSTODY-START-001',
      `no token could be issued: HTTP ${response.status} ${body}`,
    )
  }
  return (JSON.parse(body) as { token: string }).token
}

/** npm does not pass on its own violent end, so a process that npm started looks whether it is still there. */
function stopWithNpm(): void {
  if (process.env.npm_lifecycle_event !== 'start') return
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
  }, 1_000).unref()
}
