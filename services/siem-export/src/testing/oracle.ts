/**
 * Other people's parsers and schemas, for tests: a Python process of its own (oracle/oracle.py) with what `npm run setup -- --clients`
 * brought from PyPI. A package that is not there fails the test that asks for it.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(__dirname, '../../../..')
const drivers = join(root, 'node_modules/.cache/custody-drivers')

export interface Oracle {
  /** Throws an Error with what Python said. */
  ask<T>(what: string, parameters: Record<string, unknown>): Promise<T>
  /** The same of each of many. */
  askEach<T>(what: string, each: readonly unknown[]): Promise<T[]>
  stop(): Promise<void>
}

export function startOracle(): Oracle {
  const child: ChildProcessWithoutNullStreams = spawn(
    'python3',
    [join(__dirname, '../../oracle/oracle.py')],
    {
      env: {
        ...process.env,
        PYTHONPATH: [join(drivers, 'python'), join(drivers, 'python-alone')].join(':'),
        PYTHONIOENCODING: 'utf-8',
        PYTHONDONTWRITEBYTECODE: '1',
      },
    },
  )
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => {
    said = (said + bytes.toString()).slice(-4000)
  })
  const waiting: { resolve(line: string): void; reject(error: Error): void }[] = []
  let ended: Error | null = null
  const end = (error: Error) => {
    ended = error
    for (const one of waiting.splice(0)) one.reject(error)
  }
  child.once('error', end)
  child.once('exit', (code) => end(new Error(`python3 ended with ${code}: ${said}`)))
  child.stdin.on('error', () => undefined)
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.resolve(line))

  async function request(body: unknown): Promise<{ result?: unknown; results?: unknown }> {
    if (ended) throw ended
    const line = await new Promise<string>((resolve, reject) => {
      waiting.push({ resolve, reject })
      child.stdin.write(`${JSON.stringify(body)}\n`)
    })
    const answer = JSON.parse(line) as { error?: string; result?: unknown; results?: unknown }
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer
  }

  return {
    async ask<T>(what: string, parameters: Record<string, unknown>) {
      return (await request({ do: what, with: parameters })).result as T
    },
    async askEach<T>(what: string, each: readonly unknown[]) {
      return (await request({ do: what, each })).results as T[]
    },
    stop() {
      return new Promise((resolve) => {
        if (ended) return resolve()
        child.once('exit', () => resolve())
        child.stdin.end()
      })
    },
  }
}
