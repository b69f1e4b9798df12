/**
 * E-mail over SMTP: one mail for each alert to all recipients, plain text, its Message-ID made of the event's identifier, so
 * that a mail that arrives twice is seen to be one. Refuses mail servers without TLS beyond this machine.
 */

import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { SiemDestinationSettings } from '@custody/kit'
import type { Alert } from '../alerts/alert'
import { type Destination, type Fault, Undelivered } from '../delivery/destination'
import type { DestinationContext } from './context'
import { oneByOne } from './one-by-one'
import { checkHost, guardedLookup } from './outbound'

type Settings = Extract<SiemDestinationSettings, { type: 'email' }>

const SUBJECT_CHARACTERS_MAX = 200
const SETTING_ERRORS = ['EAUTH', 'ETLS', 'ENOAUTH', 'EDENIED']

export function createEmail({
  name,
  settings,
  secrets,
}: DestinationContext<Settings>): Destination {
  /** By itself the client would ask a name server once more, which may say something else then. */
  function connected(): Promise<Socket> {
    const { host, port, allowMetadataAddresses, requestMsMax } = settings
    checkHost(name, host, allowMetadataAddresses)
    const socket = connect({ host, port, lookup: guardedLookup(allowMetadataAddresses) })
    return new Promise((resolve, reject) => {
      socket.setTimeout(requestMsMax, () =>
        socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })),
      )
      socket.on('error', reject)
      socket.once('connect', () => resolve(socket.setTimeout(0)))
    })
  }

  async function mail(alert: Alert): Promise<void> {
    const { createTransport } = require('nodemailer') as typeof import('nodemailer')
    const { tls } = settings
    const transport = createTransport({
      getSocket: (_, callback) =>
        void connected().then((connection) => callback(null, { connection }), callback),
      host: settings.host,
      port: settings.port,
      secure: settings.security === 'implicit',
      requireTLS: settings.security === 'starttls',
      ignoreTLS: settings.security === 'none',
      tls: {
        rejectUnauthorized: true,
        ...(tls?.ca && { ca: readFileSync(tls.ca) }),
        ...(tls?.certificate && { cert: readFileSync(tls.certificate) }),
        ...(tls?.key && { key: readFileSync(tls.key) }),
        ...(tls?.serverName && { servername: tls.serverName }),
      },
      ...(settings.user && {
        auth: {
          user: settings.user,
          pass: settings.password ? await secrets.read(settings.password) : '',
        },
      }),
      connectionTimeout: settings.requestMsMax,
      greetingTimeout: settings.requestMsMax,
      socketTimeout: settings.requestMsMax,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    try {
      await transport.sendMail({
        from: { name: 'Custody', address: settings.sender },
        to: settings.to.map((address) => ({ name: '', address })),
        subject: alert.title.slice(0, SUBJECT_CHARACTERS_MAX),
        text: textOf(alert),
        messageId: `<${alert.id}@${settings.sender.split('@').at(-1)}>`,
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
      })
    } finally {
      transport.close()
    }
  }

  return {
    name,
    acknowledges: 'stored',
    deliver: (batch) =>
      oneByOne(batch, async (alert) => {
        try {
          await mail(alert)
        } catch (error) {
          throw undelivered(name, error)
        }
      }),
    async close() {},
  }
}

export function textOf({ facts, statement, url }: Alert): string {
  return [
    ...facts.map(([fact, value]) => `${fact}: ${value}`),
    ...(url ? ['', `In Custody: ${url}`] : []),
    // Marked line by line: nothing in it can pass for ours.
    ...(statement
      ? ['', 'The statement:', '', ...statement.split('\n').map((one) => `> ${one}`)]
      : []),
    '',
  ].join('\n')
}

function undelivered(name: string, error: unknown): Undelivered {
  if (error instanceof Undelivered) return error
  const { code = '', responseCode } = error as { code?: string; responseCode?: number }
  const fault: Fault =
    SETTING_ERRORS.includes(code) || responseCode === 530 || responseCode === 535
      ? 'setting'
      : responseCode !== undefined && responseCode >= 500
        ? 'refused'
        : 'retry'
  return new Undelivered(
    `${name}: the mail server ${responseCode ? `answered ${responseCode}` : 'can’t be used'}${/^[A-Z]{1,20}$/.test(code) ? ` (${code})` : ''}`,
    fault,
    undefined,
    error,
  )
}
