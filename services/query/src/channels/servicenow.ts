/**
 * ServiceNow: a record in a table by the Table API, answered in its approval field. The instance does not call us, so the
 * records of what is open are looked at every few seconds; who saved one last is taken for who answered.
 * Refuses records that were saved last by the account that Custody uses itself, and users that are not active.
 */
import type { ChannelSettings, Secrets } from '@custody/kit'
import {
  type Channel,
  factsOf,
  type HeldRequest,
  line,
  outcomeText,
  stateBy,
  titleOf,
} from './channel'
import { type Asked, type Desk, isPassing } from './desk'
import { jsonOf, outbound, Undelivered } from './outbound'
import { unproven } from './proof'

type Settings = Extract<ChannelSettings, { type: 'servicenow' }>

const SHORT_CHARACTERS_MAX = 160
const SYS_ID = /^[0-9a-f]{32}$/

export function createServiceNow(settings: Settings, secrets: Secrets): Channel {
  const name = settings.name ?? settings.type
  const base = `${settings.url.replace(/\/+$/, '')}/api/now/table`
  const stateOf = stateBy(settings)

  async function call<T>(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<T> {
    const account = `${settings.user}:${await secrets.read(settings.password)}`
    const answer = await outbound('ServiceNow', `${base}/${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(account).toString('base64')}`,
        accept: 'application/json',
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal,
    })
    return jsonOf<{ result: T }>('ServiceNow', answer).result
  }

  /** Looks at one record; `seen` is what it was when it was refused last. */
  async function look({ request, reference }: Asked, desk: Desk, seen: Map<string, string>) {
    if (reference === null || !SYS_ID.test(reference)) return
    const signal = AbortSignal.timeout(10_000)
    const fields = encodeURIComponent(`${settings.approvalField},sys_updated_by,sys_mod_count`)
    const record = await call<Record<string, unknown>>(
      'GET',
      `${settings.table}/${reference}?sysparm_fields=${fields}&sysparm_display_value=false`,
      signal,
    )
    const value = String(record[settings.approvalField] ?? '').toLowerCase()
    const state = stateOf(value)
    if (state === null) return
    const by = String(record.sys_updated_by ?? '')
    const version = `${value} ${by} ${String(record.sys_mod_count)}`
    if (seen.get(request.id) === version) return
    seen.set(request.id, version)
    const from = {
      address: new URL(settings.url).hostname,
      port: null,
      application: `channel ${name}`,
    }
    try {
      if (by.toLowerCase() === settings.user.toLowerCase())
        throw unproven('the record was saved last by the account that Custody uses itself')
      const email = await emailOf(by, signal)
      if (email === null)
        throw unproven(`${line(by, 100)} is no active user with an e-mail address`)
      await desk
        .answer({
          channel: { name, type: 'servicenow' },
          request: request.id,
          state,
          // The record has no comment that is surely theirs, so one that is asked for must be given elsewhere.
          comment: request.commentRequired
            ? null
            : `${settings.approvalField} of ${settings.table} ${reference} is ${line(value, 100)}`,
          by: { email },
          from,
        })
        .catch((error) => {
          // Written down where it was refused.
          if (isPassing(error)) seen.delete(request.id)
        })
    } catch (error) {
      if (error instanceof Undelivered) seen.delete(request.id)
      else desk.refused(from, { name }, error)
    }
  }

  async function emailOf(user: string, signal: AbortSignal): Promise<string | null> {
    // `^` would begin another condition.
    if (!/^[^\s^=]{1,100}$/.test(user)) return null
    const query = encodeURIComponent(`user_name=${user}^active=true`)
    const found = await call<{ user_name?: string; email?: string }[]>(
      'GET',
      `sys_user?sysparm_query=${query}&sysparm_fields=user_name,email&sysparm_limit=2`,
      signal,
    )
    const own = found.filter((one) => one.user_name?.toLowerCase() === user.toLowerCase())
    return own.length === 1 ? own[0]!.email || null : null
  }

  return {
    name,
    type: 'servicenow',

    async ask(request, signal) {
      const made = await call<{ sys_id?: string }>('POST', settings.table, signal, {
        ...settings.fields,
        short_description: line(titleOf(request), SHORT_CHARACTERS_MAX),
        description: plain(descriptionOf(request, settings)),
        correlation_id: request.id,
        correlation_display: 'Custody',
      })
      return made?.sys_id && SYS_ID.test(made.sys_id) ? made.sys_id : null
    },

    async settle(_request, reference, outcome, signal) {
      if (reference === null || !SYS_ID.test(reference)) return
      await call('PATCH', `${settings.table}/${reference}`, signal, {
        ...settings.closed,
        work_notes: plain(outcomeText(outcome)),
      })
    },

    follow(desk) {
      const seen = new Map<string, string>()
      let stopped = false
      let timer: NodeJS.Timeout
      const again = () => {
        timer = setTimeout(async () => {
          try {
            const asked = desk.asked(name)
            for (const id of seen.keys())
              if (!asked.some(({ request }) => request.id === id)) seen.delete(id)
            for (const one of asked) {
              if (stopped) return
              // What does not answer now is looked at again.
              await look(one, desk, seen).catch(() => undefined)
            }
          } catch {
            // What is held is still being read.
          }
          if (!stopped) again()
        }, settings.pollSeconds * 1000)
      }
      again()
      return () => {
        stopped = true
        clearTimeout(timer)
      }
    },
  }
}

/** Journal fields run what stands between these marks as HTML. */
function plain(text: string): string {
  return text.replace(/\[(\/?)code\]/gi, '[ $1code]')
}

function descriptionOf(request: HeldRequest, settings: Settings): string {
  const { statement } = request
  return [
    `Set ${settings.approvalField} to ${settings.approved.join(' or ')} to let the command run, to ${settings.denied.join(' or ')} to refuse it.${request.commentRequired ? ' This request must be answered with a comment, so answer it in Custody.' : ''}`,
    '',
    ...factsOf(request).map(([name, value]) => `${name}: ${value}`),
    '',
    request.url,
    '',
    ...statement.text.split('\n').map((one) => `> ${one}`),
    ...(statement.cut ? [`(cut; the console has all ${statement.bytes} bytes)`] : []),
  ].join('\n')
}
