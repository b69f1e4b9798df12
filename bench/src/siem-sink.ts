/**
 * What receives in the siem bench, as cheaply as it can be had: syslog by octet counting on one port, Elasticsearch's bulk
 * interface on another. Counts what it was given; keeps nothing. Says its ports first, then its counts whenever it is asked.
 */
import { createServer as createHttp } from 'node:http'
import { createServer } from 'node:net'
import { gunzipSync } from 'node:zlib'

const counts = { syslog: 0, bulk: 0, syslogBytes: 0, bulkBytes: 0 }
const SPACE = 0x20
const NEWLINE = 0x0a

const syslog = createServer({ allowHalfOpen: false }, (socket) => {
  /** Of the frame under way: bytes still to come, or the digits of its length so far. */
  let left = 0
  let digits = 0
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    counts.syslogBytes += bytes.length
    for (let at = 0; at < bytes.length; ) {
      if (left > 0) {
        const taken = Math.min(left, bytes.length - at)
        at += taken
        left -= taken
        if (left === 0) counts.syslog++
        continue
      }
      const byte = bytes[at++]!
      if (byte === SPACE) {
        left = digits
        digits = 0
      } else if (byte !== NEWLINE) digits = digits * 10 + byte - 48
    }
  })
})

const bulk = createHttp((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    const raw = Buffer.concat(parts)
    counts.bulkBytes += raw.length
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    let lines = 0
    for (let at = body.indexOf(NEWLINE); at >= 0; at = body.indexOf(NEWLINE, at + 1)) lines++
    const items = lines / 2
    counts.bulk += items
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(
        `{"took":1,"errors":false,"items":[${Array(items).fill('{"create":{"status":201}}').join(',')}]}`,
      )
  })
})

syslog.listen(0, '127.0.0.1', () =>
  bulk.listen(0, '127.0.0.1', () =>
    process.send!({
      syslog: (syslog.address() as { port: number }).port,
      bulk: (bulk.address() as { port: number }).port,
    }),
  ),
)
process.on('message', () => process.send!({ ...counts }))
process.on('disconnect', () => process.exit(0))
