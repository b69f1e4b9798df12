/**
 * Somebody at a browser, as far as pages without scripts go: follows redirects, keeps cookies by host as browsers do
 * (SameSite and Secure included), and fills in forms. Refuses to run scripts, so it is none where those matter.
 */
import { setTimeout as sleep } from 'node:timers/promises'

const STEPS_MAX = 25
const PAGE_MS_MAX = 10_000

interface Cookie {
  value: string
  sameSite: string
}

export interface Form {
  action: string
  method: string
  values: URLSearchParams
}

export class Browser {
  /** Where it is; a place that nothing answers at is where it stays. */
  url = 'about:blank'
  page = ''
  status = 0
  private readonly cookies = new Map<string, Map<string, Cookie>>()

  async open(url: string): Promise<this> {
    return this.go('GET', url, undefined, new URL(url).origin)
  }

  /** The forms of the page, as they would be sent. */
  forms(): Form[] {
    return [...this.page.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)].map(
      ([, attributes, inside]) => {
        const values = new URLSearchParams()
        for (const [field] of inside!.matchAll(/<(?:input|textarea)[^>]*>/g)) {
          const name = attribute(field, 'name')
          const type = attribute(field, 'type') ?? 'text'
          // A button is sent when it is pressed, a box when it is ticked.
          if (/^(submit|button|reset|image)$/.test(type)) continue
          if (/^(checkbox|radio)$/.test(type) && !/\bchecked\b/.test(field)) continue
          if (name) values.set(name, attribute(field, 'value') ?? '')
        }
        return {
          action: new URL(attribute(attributes!, 'action') ?? this.url, this.url).href,
          method: (attribute(attributes!, 'method') ?? 'get').toUpperCase(),
          values,
        }
      },
    )
  }

  /** Fills in the form whose address ends so (the first where not said), and sends it. `to`: a button's own address. */
  async submit(values: Record<string, string>, action = '', to?: string): Promise<this> {
    const form = this.forms().find((one) => new URL(one.action).pathname.endsWith(action))
    if (!form) throw new Error(`no form ${action} at ${this.url}\n${this.page}`)
    for (const [name, value] of Object.entries(values)) form.values.set(name, value)
    const url = to ? new URL(to, this.url) : new URL(form.action)
    const from = new URL(this.url).origin
    if (form.method === 'POST') return this.go('POST', url.href, form.values, from)
    url.search = form.values.toString()
    return this.go('GET', url.href, undefined, from)
  }

  /** Follows the link whose address has this in it. */
  async follow(part: string): Promise<this> {
    const links = [...this.page.matchAll(/<a[^>]*href="([^"]*)"/g)].map(([, href]) => plain(href!))
    const link = links.find((href) => href.includes(part))
    if (!link) throw new Error(`no link ${part} at ${this.url}\n${this.page}`)
    return this.go('GET', new URL(link, this.url).href, undefined, new URL(this.url).origin)
  }

  cookie(origin: string, name: string): string | undefined {
    return this.cookies.get(new URL(origin).host)?.get(name)?.value
  }

  private async go(
    method: string,
    start: string,
    body: URLSearchParams | undefined,
    from: string,
  ): Promise<this> {
    let url = start
    let sent = body
    let how = method
    for (let step = 0; step < STEPS_MAX; step++) {
      const { host, origin } = new URL(url)
      const kept = this.cookies.get(host) ?? new Map<string, Cookie>()
      this.cookies.set(host, kept)
      // Across sites a browser keeps SameSite=Lax cookies back from all but GETs.
      const mine = [...kept].filter(
        ([, { sameSite }]) =>
          from === origin || sameSite === 'none' || (sameSite === 'lax' && how === 'GET'),
      )
      let response: Response
      try {
        response = await fetch(url, {
          method: how,
          redirect: 'manual',
          signal: AbortSignal.timeout(PAGE_MS_MAX),
          headers: {
            cookie: mine.map(([name, { value }]) => `${name}=${value}`).join('; '),
            ...(how === 'POST' && { origin: from }),
          },
          ...(sent && { body: sent }),
        })
      } catch {
        Object.assign(this, { url, page: '', status: 0 })
        return this
      }
      for (const line of response.headers.getSetCookie()) {
        const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
        const name = pair.slice(0, pair.indexOf('='))
        const about = rest.map((part) => part.toLowerCase())
        const sameSite = about.find((part) => part.startsWith('samesite='))?.slice(9) ?? 'lax'
        if (about.includes('max-age=0')) kept.delete(name)
        else kept.set(name, { value: pair.slice(pair.indexOf('=') + 1), sameSite })
      }
      const location = response.headers.get('location')
      if (location === null) {
        Object.assign(this, { url, page: await response.text(), status: response.status })
        return this
      }
      url = new URL(location, url).href
      if (![307, 308].includes(response.status)) {
        how = 'GET'
        sent = undefined
      }
      await sleep(0)
    }
    throw new Error(`no end after ${STEPS_MAX} redirects: ${url}`)
  }
}

function attribute(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1]
  return found === undefined ? undefined : plain(found)
}

function plain(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
