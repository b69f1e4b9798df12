/**
 * What a process without an API of its own says of itself over HTTP: /healthz while it lives, /readyz while it does its work,
 * /metrics in Prometheus' text format. Answers GET only, keeps no connection for long, and tells nothing that is secret.
 */
import { createServer, type Server, type ServerResponse } from 'node:http'
import { listen } from './ports'

export interface Metric {
  /** `custody_…`, with its unit; ends in `_total` where it only rises. */
  name: string
  help: string
  values: readonly { value: number; labels?: Readonly<Record<string, string>> }[]
}

export interface HealthOptions {
  host: string
  port: number
  /** Why it does not do its work just now, or null. */
  problem(): string | null | Promise<string | null>
  metrics(): readonly Metric[] | Promise<readonly Metric[]>
}

export interface Health {
  readonly port: number
  stop(): Promise<void>
}

const REQUEST_MS_MAX = 10_000
const CONNECTIONS_MAX = 100
const HEADER_BYTES_MAX = 8 * 1024

export async function serveHealth(o: HealthOptions): Promise<Health> {
  const server: Server = createServer(
    { requestTimeout: REQUEST_MS_MAX, keepAliveTimeout: 1000, maxHeaderSize: HEADER_BYTES_MAX },
    (request, response) => {
      request.resume()
      answer(o, request.method ?? '', (request.url ?? '').split('?')[0]!, response).catch((error) =>
        send(response, 500, 'text/plain', `${(error as Error).message}\n`),
      )
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  const port = await listen(server, {
    host: o.host,
    port: o.port,
    setting: 'listen.health',
    variable: 'CUSTODY_PORT_HEALTH',
  })
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  o: HealthOptions,
  method: string,
  path: string,
  response: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') send(response, 405, 'text/plain', 'GET only\n')
  else if (path === '/healthz') send(response, 200, 'application/json', '{"status":"ok"}\n')
  else if (path === '/readyz') {
    const problem = await o.problem()
    const said = problem === null ? { status: 'ready' } : { status: 'not ready', problem }
    send(response, problem === null ? 200 : 503, 'application/json', `${JSON.stringify(said)}\n`)
  } else if (path === '/metrics')
    send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', textOf(await o.metrics()))
  else send(response, 404, 'text/plain', 'there is nothing here\n')
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent) return
  response
    .writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    .end(body)
}

/** Prometheus' text exposition format, version 0.0.4. */
export function textOf(metrics: readonly Metric[]): string {
  const lines: string[] = []
  for (const { name, help, values } of metrics) {
    lines.push(`# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`)
    lines.push(`# TYPE ${name} ${name.endsWith('_total') ? 'counter' : 'gauge'}`)
    for (const { value, labels = {} } of values) {
      const told = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
      lines.push(`${name}${told.length > 0 ? `{${told.join(',')}}` : ''} ${value}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function escaped(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
