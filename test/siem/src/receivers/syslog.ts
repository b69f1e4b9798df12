/** rsyslog and syslog-ng, over TCP, mutual TLS and UDP, each writing what it understood to a file. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import { certificateFor, temporaryDirectory } from '@custody/test-support'
import { CACHE, Program, type Receiver } from './receiver'

export interface SyslogOptions {
  program: 'rsyslog' | 'syslog-ng'
  transport: 'tcp' | 'tls' | 'udp'
  format?: string
}

const UNPACKED = join(CACHE, 'syslog')
const LIBRARIES = [
  join(UNPACKED, 'usr/lib/x86_64-linux-gnu'),
  join(UNPACKED, 'lib/x86_64-linux-gnu'),
  join(UNPACKED, 'usr/lib/syslog-ng'),
].join(':')

export async function startSyslog(o: SyslogOptions): Promise<Receiver> {
  const directory = temporaryDirectory('siem-syslog')
  const at = (name: string) => join(directory.path, name)
  const port = await freePort()
  const file = at('received')
  const server = await certificateFor()
  const client = await certificateFor(['gateway'])
  writeFileSync(at('server.pem'), server.certificate)
  writeFileSync(at('server.key'), server.key, { mode: 0o600 })
  writeFileSync(at('client.pem'), client.certificate)
  writeFileSync(at('client.key'), client.key, { mode: 0o600 })
  writeFileSync(at('config'), o.program === 'rsyslog' ? rsyslog() : syslogNg())
  const program =
    o.program === 'rsyslog'
      ? new Program(
          join(UNPACKED, 'usr/sbin/rsyslogd'),
          [
            ...['-n', '-f', at('config'), '-i', at('pid')],
            ...['-M', join(UNPACKED, 'usr/lib/x86_64-linux-gnu/rsyslog')],
          ],
          options(),
        )
      : new Program(
          join(UNPACKED, 'usr/sbin/syslog-ng'),
          [
            ...['-F', '--no-caps', '-f', at('config'), '-p', at('pid'), '-R', at('persist')],
            ...['-c', at('control'), `--module-path=${join(UNPACKED, 'usr/lib/syslog-ng/3.38')}`],
          ],
          options(),
        )
  await program.start()

  function options() {
    return {
      port,
      log: at('log'),
      env: { LD_LIBRARY_PATH: LIBRARIES },
      udp: o.transport === 'udp',
    }
  }

  /** Its main queue is direct: what was read is written before more is read. */
  function rsyslog(): string {
    const input =
      o.transport === 'udp'
        ? `module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="${port}" rcvbufSize="8m")`
        : o.transport === 'tcp'
          ? `module(load="imtcp" maxSessions="200")\ninput(type="imtcp" address="127.0.0.1" port="${port}")`
          : `module(load="imtcp" maxSessions="200" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="${port}")`
    return `global(workDirectory="${directory.path}" maxMessageSize="1m" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="${at('client.pem')}" defaultNetstreamDriverCertFile="${at('server.pem')}" defaultNetstreamDriverKeyFile="${at('server.key')}")
main_queue(queue.type="Direct")
${input}
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="${file}" template="raw" asyncWriting="off" flushOnTXEnd="on")
`
  }

  function syslogNg(): string {
    const tls =
      o.transport === 'tls'
        ? `tls(key-file("${at('server.key')}") cert-file("${at('server.pem')}") ca-file("${at('client.pem')}") peer-verify(required-trusted))`
        : ''
    return `@version: 3.38
options { keep-hostname(yes); use-dns(no); log-msg-size(1048576); flush-lines(1); stats-freq(0); };
source s { syslog(ip("127.0.0.1") port(${port}) transport("${o.transport}") ${tls} ${o.transport === 'udp' ? 'so-rcvbuf(8388608)' : 'max-connections(200) log-iw-size(20000)'}); };
destination d { file("${file}" template("id=\\"\${.SDATA.custody@32473.id}\\" $MSG\\n")); };
log { source(s); destination(d); flags(flow-control); };
`
  }

  return {
    what: `${o.program === 'rsyslog' ? 'rsyslog 8.2302' : 'syslog-ng 3.38'} (${o.transport}${o.transport === 'tls' ? ', mutual' : ''})`,
    isReal: true,
    ordered: true,
    port,
    settings: (reachedAt) => ({
      type: 'syslog',
      address: `127.0.0.1:${reachedAt}`,
      transport: o.transport,
      format: o.format ?? 'cef',
      ...(o.transport === 'tls' && {
        tls: {
          ca: at('server.pem'),
          certificate: at('client.pem'),
          key: at('client.key'),
          serverName: 'localhost',
        },
      }),
    }),
    async received() {
      if (!existsSync(file)) return []
      const text = readFileSync(file, 'utf8')
      return [...text.matchAll(/^.*?\bid="([0-9a-f-]{36})"/gm)].map(([, id]) => id!)
    },
    kill: () => program.end('SIGKILL'),
    restart: () => program.start(),
    async stop() {
      await program.end('SIGTERM')
      directory.remove()
    },
  }
}
