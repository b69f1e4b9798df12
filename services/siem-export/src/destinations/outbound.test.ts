/** Where requests may go, and what answers mean. */
import { createServer } from 'node:http'
import { silentLogger } from '@custody/kit'
import { Undelivered } from '../delivery/destination'
import { secrets, settingsOf } from '../testing'
import { createDestination } from '.'
import { receiptOf, whole } from './elasticsearch'
import { createOutbound, faultOf, guardedLookup, isMetadataAddress, retryAfterMs } from './outbound'
import { sign } from './s3'

const signal = AbortSignal.timeout(60_000)
const outbound = createOutbound({ service: 'one', requestMsMax: 1000 })

test.each([
  '169.254.169.254',
  '169.254.170.2',
  '::ffff:169.254.169.254',
  'fe80::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  '100.100.100.200',
  '168.63.129.16',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b::100.100.100.200',
  '2002:a9fe:a9fe::1',
  '::a9fe:a9fe',
  '::ffff:a83f:8110',
])('%s is denied', (address) => {
  expect(isMetadataAddress(address)).toBe(true)
})

test.each([
  ...['10.0.0.1', '192.168.1.1', '127.0.0.1', '::1', '8.8.8.8', 'fd12::1', 'name'],
  ...['64:ff9b::808:808', '2002:808:808::1', '::ffff:10.0.0.1'],
])('%s is not', (address) => {
  expect(isMetadataAddress(address)).toBe(false)
})

test.each([
  'https://169.254.169.254/latest',
  'https://[::ffff:a9fe:a9fe]/latest',
  'https://[fd00:ec2::254]/',
  'http://collector.example/',
  'https://user:secret@collector.example/',
])('nothing is sent to %s', async (url) => {
  await expect(outbound.ask(url, { body: 'x', signal })).rejects.toMatchObject({ fault: 'setting' })
})

test('a name that stands for a denied address is not connected to, and the others of it are', async () => {
  const asked = (allow: boolean, hostname: string) =>
    new Promise<unknown>((resolve) =>
      guardedLookup(allow)(hostname, { all: true }, (error, addresses) =>
        resolve(error ?? addresses),
      ),
    )
  expect(await asked(false, 'localhost')).toEqual(expect.arrayContaining([expect.anything()]))
  expect(await asked(false, '169.254.169.254')).toMatchObject({ code: 'EDENIED' })
  expect(await asked(true, '169.254.169.254')).toEqual([{ address: '169.254.169.254', family: 4 }])
})

test('redirects are not followed, silence ends, and trickling too', async () => {
  let followed = 0
  const server = createServer((request, response) => {
    if (request.url === '/redirect') response.writeHead(307, { location: '/followed' }).end()
    else if (request.url === '/followed') followed++
    else if (request.url === '/trickle') {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'), 50)
      response.on('close', () => clearInterval(timer))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  await expect(outbound.ask(`${url}/redirect`, { signal })).rejects.toMatchObject({
    fault: 'setting',
  })
  for (const path of ['/silence', '/trickle'])
    await expect(outbound.ask(`${url}${path}`, { signal })).rejects.toMatchObject({
      fault: 'retry',
      message: expect.stringContaining('no answer within 1000 ms'),
    })
  expect(followed).toBe(0)
  server.close()
  server.closeAllConnections()
})

test('what a status means', () => {
  expect([400, 422, 413, 429, 408, 500, 503, 401, 403, 404, 302].map(faultOf)).toEqual([
    ...['refused', 'refused', 'too-large', 'retry', 'retry', 'retry', 'retry'],
    ...['setting', 'setting', 'setting', 'setting'],
  ])
  expect(retryAfterMs('2')).toBe(2000)
  expect(retryAfterMs('999999999')).toBe(15 * 60_000)
  expect(retryAfterMs(new Date(Date.now() + 60_000).toUTCString())).toBeGreaterThan(50_000)
  expect(retryAfterMs('soon')).toBeUndefined()
})

test('a bulk answer, item by item', () => {
  const item = (status: number) => ({ create: { status, error: { type: 't', reason: 'r' } } })
  expect(receiptOf('one', 4, { errors: true, items: [201, 409, 429, 400].map(item) })).toEqual({
    refused: [{ index: 3, code: 'CUSTODY-SIEM-003', reason: '400 t r' }],
    again: { indices: [2], reason: 'one: 429 t r' },
  })
  expect(receiptOf('one', 1, { errors: false, items: [item(201)] })).toEqual({})
  // A block on an index that is full, a permission, an index that is not there yet: not the event's fault.
  expect(
    receiptOf('one', 6, { errors: true, items: [403, 401, 404, 201, 413, 422].map(item) }),
  ).toMatchObject({
    refused: [{ index: 4 }, { index: 5 }],
    again: { indices: [0, 1, 2] },
  })
  expect(() => receiptOf('one', 2, { errors: false, items: [item(201)] })).toThrow(Undelivered)
  expect(() => receiptOf('one', 2, {})).toThrow(Undelivered)
})

test('a search that was answered for a part only tells nothing of what is missing', () => {
  const _shards = { failed: 0 }
  expect(whole('one', { _shards, timed_out: false, hits: { hits: [] } })).toBeTruthy()
  expect(() => whole('one', { _shards: { failed: 1 } })).toThrow(Undelivered)
  expect(() => whole('one', { _shards, timed_out: true })).toThrow(Undelivered)
})

test('what a column of Sentinel would cut off is not sent', () => {
  const { limits } = createDestination({
    ...{ name: 'one', gateway: 'g', secrets, logger: silentLogger() },
    settings: settingsOf({
      ...{ type: 'sentinel', url: 'https://dce.example', ruleId: 'dcr-0123456789abcdef' },
      ...{ stream: 'Custom-Custody', tenantId: 't', clientId: 'c', clientSecret: { literal: 's' } },
    }),
  })
  expect(limits!.recordBytesMax).toBeLessThan(64 * 1024)
})

test('requests to S3 are signed as AWS’s own documentation has it', () => {
  // The example of a signed GET of a bucket’s list in "Signature Calculations for the Authorization Header".
  const { headers } = sign({
    method: 'GET',
    host: 'examplebucket.s3.amazonaws.com',
    path: '/',
    query: { 'max-keys': '2', prefix: 'J' },
    body: undefined,
    region: 'us-east-1',
    keys: {
      id: 'AKIAIOSFODNN7EXAMPLE',
      secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    },
    at: new Date('2013-05-24T00:00:00Z'),
  })
  expect(headers.authorization).toContain(
    'Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  )
})
