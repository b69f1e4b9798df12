/** Every whole configuration that the README and the documentation show is one that Custody takes. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfiguration } from './configuration'

const root = join(__dirname, '../../..')
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]
const sections = Object.keys(parseConfiguration('vault: {address: "https://v", token: {env: T}}'))
const examples = pages
  .filter((page) => page.endsWith('.md'))
  .flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(
      ([, text = ''], index) => ({ name: `${page}, block ${index + 1}`, text }),
    ),
  )
  // Others are part of one: of a test of policies, of a chart.
  .filter(({ text }) =>
    [...sections, 'policy', 'masking', 'siem', 'kafka', 'warehouse', 'tls'].some((section) =>
      new RegExp(`^${section}:`, 'm').test(text),
    ),
  )

test('there are examples', () => {
  expect(examples.length).toBeGreaterThanOrEqual(12)
})

test.each(examples)('$name', ({ text }) => {
  expect(() => parseConfiguration(text)).not.toThrow()
})
