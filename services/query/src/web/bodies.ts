/** What the pages say. Pure: from what was found to markup. */
import type { SignInProvider } from '@custody/identity'
import type { Caller } from '../access'
import { COMMENT_CHARACTERS_MAX } from '../answering'
import { visible } from '../channels/channel'
import type { JsonObject } from '../rows'
import { type Html, html } from './html'

const OBJECTS_SHOWN_MAX = 30
const PARAMETERS_SHOWN_MAX = 100
const STATEMENT_CHARACTERS_SHOWN_MAX = 100_000

export function headerOf(caller: Caller | null): Html | undefined {
  if (!caller) return undefined
  return html`<nav><a href="/approvals">Approvals</a></nav><span class="dim">${caller.who.email ?? caller.who.subject}</span>
<form method="post" action="/sign-out"><input type="hidden" name="csrf" value="${caller.csrf}"><button>Sign out</button></form>`
}

/** What could not be done, and what to do next. */
export function errorPage(error: { code: string; message: string; action: string }): Html {
  return html`<h1>${error.message}</h1>
<p>${error.action}</p>
<p class="dim">${error.code}</p>`
}

export function signInPage(providers: readonly SignInProvider[], to: string): Html {
  const links = providers.map(
    ({ name }) =>
      html`<p><a class="button" href="/sign-in/start?provider=${encodeURIComponent(name)}&amp;to=${encodeURIComponent(to)}">Sign in with ${name}</a></p>`,
  )
  return html`<h1>Sign in</h1>
${links.length > 0 ? links : html`<p class="dim">No identity provider is configured (<code>identity</code> in custody.yaml).</p>`}
<details${links.length === 0 ? html` open` : null}><summary>With a Custody token</summary>
<form method="post" action="/sign-in/token"><input type="hidden" name="to" value="${to}">
<label for="token">Token, as <code>npx custody token</code> prints it</label>
<input id="token" name="token" type="password" autocomplete="off" required>
<div class="row"><button>Sign in</button></div></form></details>`
}

export function approvalsPage(approvals: readonly JsonObject[], all: boolean): Html {
  const rows = approvals.map((one) => {
    const { statement, who, path } = parts(one)
    return html`<tr><td><a href="/approvals/${text(one.id)}">${firstLine(text(statement.text))}</a><br><span class="dim">${text(one.reason)}</span></td>
<td>${nameOf(who)}</td><td>${text(path.resource)}</td><td>${when(one.requested)}</td><td>${text(one.state)}${one.state === 'waiting' ? html`<br><span class="dim">until ${when(one.expires)}</span>` : null}</td></tr>`
  })
  return html`<h1>${all ? 'Requests' : 'Waiting for an answer'}</h1>
${
  rows.length > 0
    ? html`<table><thead><tr><th>Command</th><th>Who</th><th>Where</th><th>Asked</th><th>State</th></tr></thead><tbody>${rows}</tbody></table>`
    : html`<p>${all ? 'No request yet.' : 'Nothing waits for you.'} <span class="dim">Commands that a policy holds appear here.</span></p>`
}
<p>${all ? html`<a href="/approvals">Only what waits</a>` : html`<a href="/approvals?state=all">All requests</a>`}</p>`
}

export interface ApprovalView {
  csrf: string
  /** Why who looks may not answer, or null. */
  refusal: string | null
  /** Whether they may let it run alone. */
  mayForce: boolean
  before: readonly JsonObject[]
  /** What to look at besides. */
  mind: readonly string[]
}

export function approvalPage(one: JsonObject, view: ApprovalView): Html {
  const { statement, who, path } = parts(one)
  // What is approved must be what is read: nothing invisible, nothing turned around.
  const sql = visible(text(statement.text))
  const answers = (one.answers as unknown as JsonObject[]).map(
    ({ state, who: by, comment, channel, time }) =>
      html`<li>${text(state)} by ${nameOf(by as JsonObject)}, ${when(time)}, ${text(channel)}${comment ? html`: ${text(comment)}` : null}</li>`,
  )
  const waiting = one.state === 'waiting'
  return html`<h1>${text(one.reason) || 'A held command'}</h1>
<div class="note${one.state === 'approved' ? ' go' : ['denied', 'expired'].includes(text(one.state)) ? ' stop' : ''}"><b>${text(one.state)}</b>${waiting ? html`, until ${when(one.expires)}` : one.ended ? html`, ${when(one.ended)}` : null}</div>
<pre>${sql.slice(0, STATEMENT_CHARACTERS_SHOWN_MAX)}${sql.length > STATEMENT_CHARACTERS_SHOWN_MAX ? '\n… (cut here)' : ''}</pre>
${parametersOf(statement)}
<dl>
<dt>Does</dt><dd>${list(statement.verbs)}</dd>
${view.mind.length > 0 ? html`<dt>Mind</dt><dd><b>${view.mind.join('; ')}</b></dd>` : null}
<dt>On</dt><dd>${objectsOf(statement)}</dd>
<dt>Who</dt><dd>${nameOf(who)} <span class="dim">${text(who.kind)}${list(who.groups) ? `, in ${list(who.groups)}` : ''}</span></dd>
<dt>Where</dt><dd>${text(path.resource)}, database ${text(path.database)}, as ${text(path.account)}</dd>
<dt>From</dt><dd>${text(path.clientAddress)} <span class="dim">${text(path.clientApplication)}</span></dd>
<dt>Asked</dt><dd>${when(one.requested)}</dd>
<dt>Policies</dt><dd>${list((one.decision as JsonObject)?.policies)}</dd>
<dt>Needs</dt><dd>${one.required === 1 ? 'one answer' : `${text(one.required)} answers`}, of ${text(one.approvers).replaceAll(' & ', ' and of ').replaceAll(', ', ' or ') || 'anybody else'}</dd>
<dt>Session</dt><dd><code>${text(one.session)}</code></dd>
<dt>Request</dt><dd><code>${text(one.id)}</code></dd>
</dl>
${answers.length > 0 ? html`<h2>Answers</h2><ul>${answers}</ul>` : null}
${
  view.before.length > 0
    ? html`<h2>The same was asked before</h2><ul>${view.before.map((each) => html`<li><a href="/approvals/${text(each.id)}">${when(each.requested)}</a>: ${text(each.state)}</li>`)}</ul>`
    : null
}
${
  !waiting
    ? null
    : view.refusal !== null && !view.mayForce
      ? html`<p class="note">You can’t answer this: ${view.refusal}.</p>`
      : html`<form method="post" action="/approvals/${text(one.id)}/deny"><input type="hidden" name="csrf" value="${view.csrf}">
<label for="comment">Comment${one.commentRequired ? ' (needed)' : view.mayForce ? ' (needed to force)' : ''}</label>
<textarea id="comment" name="comment" rows="2" maxlength="${COMMENT_CHARACTERS_MAX}"${one.commentRequired ? html` required` : null}></textarea>
<div class="row">${view.refusal === null ? html`<button class="go" formaction="/approvals/${text(one.id)}/approve" accesskey="a">Approve</button><button class="stop" accesskey="d">Deny</button>` : null}${view.mayForce ? html`<button formaction="/approvals/${text(one.id)}/force">Force: run it on my word alone</button>` : null}</div>${view.mayForce ? html`<p class="dim">Forcing passes over whoever else should answer, and raises an alert.</p>` : null}</form>`
}`
}

export function activationPage(caller: Caller, code: string, asked: JsonObject | null): Html {
  if (asked === null)
    return html`<h1>Sign in a client</h1><form method="get" action="/activate"><label for="code">The code that your client shows</label>
<input id="code" name="code" autocomplete="off" autocapitalize="characters" required maxlength="16"><div class="row"><button>Go on</button></div></form>`
  const path = (asked.path ?? {}) as JsonObject
  const attributes = ((asked.lifecycle as JsonObject)?.attributes ?? {}) as JsonObject
  return html`<h1>Is this your client?</h1>
<p class="code">${code}</p>
<p>It will act as <b>${nameOf(caller.who as unknown as JsonObject)}</b>. Say yes only if you have just started it and it shows this code.</p>
<dl>
<dt>Resource</dt><dd>${text(path.resource)}</dd>
<dt>From</dt><dd>${text(path.clientAddress)} <span class="dim">${text(path.clientApplication)}</span></dd>
<dt>User</dt><dd>${text(attributes.user) || 'whoever signs in'}</dd>
<dt>Since</dt><dd>${when(asked.time)}</dd>
</dl>
<form method="post" action="/activate"><input type="hidden" name="csrf" value="${caller.csrf}"><input type="hidden" name="code" value="${code}">
<div class="row"><button class="go" name="answer" value="yes">Yes, sign it in</button><button class="stop" name="answer" value="no">No, turn it away</button></div></form>`
}

export function cliPage(
  caller: Caller,
  asked: { port: number; state: string; challenge: string },
): Html {
  return html`<h1>Sign in the command line?</h1>
<p>A program on this machine wants to act as <b>${nameOf(caller.who as unknown as JsonObject)}</b>. Say yes only if you have just run <code>custody login</code>.</p>
<form method="post" action="/sign-in/cli"><input type="hidden" name="csrf" value="${caller.csrf}">
<input type="hidden" name="port" value="${asked.port}"><input type="hidden" name="state" value="${asked.state}"><input type="hidden" name="challenge" value="${asked.challenge}">
<div class="row"><button class="go">Yes, sign it in</button></div></form>`
}

function parts(one: JsonObject) {
  return {
    statement: (one.statement ?? {}) as JsonObject,
    who: (one.who ?? {}) as JsonObject,
    path: (one.path ?? {}) as JsonObject,
  }
}

function text(value: unknown): string {
  return value === null || value === undefined ? '' : String(value)
}

function list(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : ''
}

function nameOf(who: JsonObject): string {
  return text(who.email) || text(who.subject)
}

function when(value: unknown): string {
  return `${text(value).slice(0, 19).replace('T', ' ')} UTC`
}

function firstLine(sql: string): string {
  const line = visible(sql).replace(/\s+/g, ' ').trim()
  return line.length > 120 ? `${line.slice(0, 119)}…` : line
}

function objectsOf(statement: JsonObject): string {
  const objects = (statement.objects ?? []) as unknown as JsonObject[]
  const names = [...new Set(objects.map(({ name }) => text(name)))]
  const more = names.length - OBJECTS_SHOWN_MAX
  return `${names.slice(0, OBJECTS_SHOWN_MAX).join(', ') || '–'}${more > 0 ? ` and ${more} more` : ''}`
}

function parametersOf(statement: JsonObject): Html | null {
  const parameters = (statement.parameters ?? []) as unknown as JsonObject[]
  if (parameters.length === 0) return null
  return html`<h2>Parameters</h2><table><tbody>${parameters.slice(0, PARAMETERS_SHOWN_MAX).map((each, i) => html`<tr><td>$${i + 1}</td><td><code>${each.value === null ? 'NULL' : visible(text(each.value))}</code></td></tr>`)}</tbody></table>${parameters.length > PARAMETERS_SHOWN_MAX && html`<p class="dim">and ${parameters.length - PARAMETERS_SHOWN_MAX} more</p>`}`
}
