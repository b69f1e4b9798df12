/** What a process says of itself, as whoever probes and scrapes it sees it. */
import { serveHealth, textOf } from './health'

test('alive, ready or why not, and metrics', async () => {
  let problem: string | null = null
  const health = await serveHealth({
    host: '127.0.0.1',
    port: 0,
    problem: () => problem,
    metrics: () => [{ name: 'custody_log_bytes', help: 'Bytes.', values: [{ value: 7 }] }],
  })
  const url = `http://127.0.0.1:${health.port}`
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(url + path, init)
    return [response.status, await response.text()] as const
  }
  try {
    expect(await get('/healthz')).toEqual([200, '{"status":"ok"}\n'])
    expect(await get('/readyz')).toEqual([200, '{"status":"ready"}\n'])
    problem = 'the log is full'
    expect(await get('/readyz')).toEqual([
      503,
      '{"status":"not ready","problem":"the log is full"}\n',
    ])
    expect((await get('/healthz'))[0]).toBe(200)
    expect((await get('/metrics?x=1'))[1]).toBe(
      '# HELP custody_log_bytes Bytes.\n# TYPE custody_log_bytes gauge\ncustody_log_bytes 7\n',
    )
    expect((await get('/elsewhere'))[0]).toBe(404)
    expect((await get('/metrics', { method: 'POST', body: 'x' }))[0]).toBe(405)
  } finally {
    await health.stop()
  }
})

test('labels are escaped, and what only rises is a counter', () => {
  expect(
    textOf([
      {
        name: 'custody_refused_total',
        help: 'a\nb',
        values: [{ value: 1, labels: { recorder: 'a"b\\c\nd' } }],
      },
    ]),
  ).toBe(
    '# HELP custody_refused_total a\\nb\n# TYPE custody_refused_total counter\ncustody_refused_total{recorder="a\\"b\\\\c\\nd"} 1\n',
  )
})
