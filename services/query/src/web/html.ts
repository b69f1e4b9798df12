/**
 * Pages made on the server: a template tag that escapes everything put into it, and the frame that all pages share.
 * Refuses to run a script: pages work without any, and the policy that goes with them permits none.
 */
import type { FastifyReply } from 'fastify'

/** Markup that is safe to be sent as it is. Only `html` makes it. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | string | number | null | undefined | false | readonly Part[]

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function text(part: Part): string {
  if (part === null || part === undefined || part === false) return ''
  if (part instanceof Html) return part.text
  if (typeof part === 'object') return part.map(text).join('')
  return String(part).replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}

/** Escapes what is put in, unless it came out of `html` itself. Attributes must be in quotes. */
export function html(literals: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(literals.reduce((before, literal, i) => before + text(parts[i - 1]) + literal))
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6470;--paper:#fff;--edge:#d5dae1;--soft:#f4f6f8;--go:#116b3a;--stop:#a4262c;--link:#0b57b7}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#9aa4b0;--paper:#14171b;--edge:#343b44;--soft:#1d2127;--go:#3fb671;--stop:#f0736f;--link:#7db4ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header{display:flex;gap:1.5rem;align-items:baseline;padding:.8rem 1.5rem;border-bottom:1px solid var(--edge)}
header b{letter-spacing:.02em}
header nav{display:flex;gap:1rem;flex:1}
header form{margin:0}
main{max-width:62rem;margin:0 auto;padding:1.5rem}
a{color:var(--link)}
h1{font-size:1.4rem;margin:.2rem 0 1rem}
h2{font-size:1.05rem;margin:1.6rem 0 .5rem}
.dim{color:var(--dim)}
pre{background:var(--soft);border:1px solid var(--edge);border-radius:6px;padding:.8rem 1rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;font:14px/1.45 ui-monospace,monospace}
code{font:14px ui-monospace,monospace}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--edge)}
th{color:var(--dim);font-weight:500}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.2rem;margin:0}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
label{display:block;margin:.8rem 0 .2rem}
input,textarea{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--edge);border-radius:6px;padding:.45rem .6rem;width:100%;max-width:36rem}
button,.button{font:inherit;font-weight:600;border:1px solid var(--edge);border-radius:6px;background:var(--soft);color:inherit;padding:.45rem 1rem;cursor:pointer;text-decoration:none;display:inline-block}
button.go{background:var(--go);border-color:var(--go);color:var(--paper)}
button.stop{background:var(--stop);border-color:var(--stop);color:var(--paper)}
.row{display:flex;gap:.8rem;margin-top:1rem;flex-wrap:wrap}
.note{border-left:4px solid var(--edge);background:var(--soft);padding:.6rem 1rem;margin:1rem 0}
.note.stop{border-color:var(--stop)}
.note.go{border-color:var(--go)}
.code{font:600 1.8rem ui-monospace,monospace;letter-spacing:.15em}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
`.trim()

export interface Page {
  title: string
  body: Html
  /** Right of the name: who is signed in, and where else there is to go. */
  header?: Html
  /** Looked at anew by itself. */
  refreshSeconds?: number
}

/** Sends a page. `forms` names other origins that its forms may lead to by a redirect. */
export function sendPage(
  reply: FastifyReply,
  status: number,
  page: Page,
  forms: readonly string[] = [],
): FastifyReply {
  const whole = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="referrer" content="same-origin">
${page.refreshSeconds && html`<meta http-equiv="refresh" content="${page.refreshSeconds}">`}
<title>${page.title} · Custody</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header><b>Custody</b>${page.header ?? html`<nav></nav>`}</header>
<main>
${page.body}
</main>
</body>
</html>
`
  return reply
    .status(status)
    .type('text/html; charset=utf-8')
    .header(
      'content-security-policy',
      `default-src 'none'; style-src 'unsafe-inline'; form-action ${["'self'", ...forms].join(' ')}; base-uri 'none'; frame-ancestors 'none'`,
    )
    .header('x-frame-options', 'DENY')
    .header('referrer-policy', 'same-origin')
    .send(whole.text)
}
