import fc from 'fast-check'
import { html } from './html'

test('what is put in is text, whatever it says', () => {
  const evil = `<script>alert("1")</script>' onload='x' & more`
  expect(html`<p title="${evil}">${evil}</p>`.text).toBe(
    '<p title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; onload=&#39;x&#39; &amp; more">&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; onload=&#39;x&#39; &amp; more</p>',
  )
})

test('nothing put in can open or close a tag or an attribute', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(html`${text}`.text).not.toMatch(/[<>"']/)
    }),
  )
})

test('parts nest, lists join, and what is not there leaves nothing', () => {
  const rows = ['a<b', 'c'].map((cell) => html`<td>${cell}</td>`)
  expect(html`<tr>${rows}${null}${undefined}${false}${0}</tr>`.text).toBe(
    '<tr><td>a&lt;b</td><td>c</td>0</tr>',
  )
})
