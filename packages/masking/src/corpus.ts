/**
 * Made-up values for proving detectors: valid ones of each kind, and ordinary ones that must be left alone. Built from the
 * rules of their issuers, by other code than the detectors'. Tests only; nothing of it is anybody's.
 */
export interface Random {
  /** At least 0 and less than `below`. */
  int(below: number): number
}

const digits = (r: Random, length: number) => Array.from({ length }, () => r.int(10)).join('')
const pick = <T>(r: Random, of: readonly T[]): T => of[r.int(of.length)]!
const letters = (r: Random, length: number, from = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') =>
  Array.from({ length }, () => from[r.int(from.length)]).join('')
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** The digit that makes the sum right is found by trying all ten. */
function completed(body: string, isRight: (whole: string) => boolean): string {
  for (let digit = 0; digit < 10; digit++) if (isRight(body + digit)) return body + digit
  return ''
}

function luhnSum(text: string): number {
  return [...text].reverse().reduce((sum, c, i) => {
    const twice = Number(c) * (i % 2 === 1 ? 2 : 1)
    return sum + Math.floor(twice / 10) + (twice % 10)
  }, 0)
}

function grouped(text: string, lengths: readonly number[], mark: string): string {
  let at = 0
  return lengths
    .map((length) => {
      at += length
      return text.slice(at - length, at)
    })
    .join(mark)
}

const CARDS: readonly [prefix: string, length: number][] = [
  ['4', 16],
  ['51', 16],
  ['55', 16],
  ['2221', 16],
  ['2720', 16],
  ['34', 15],
  ['37', 15],
  ['6011', 16],
  ['65', 16],
  ['3528', 16],
  ['36', 14],
  ['62', 16],
]

const VALID: Record<string, (r: Random) => string> = {
  card(r) {
    const [prefix, length] = pick(r, CARDS)
    const whole = completed(
      prefix + digits(r, length - prefix.length - 1),
      (text) => luhnSum(text) % 10 === 0,
    )
    const shape = length === 15 ? [4, 6, 5] : length === 14 ? [4, 6, 4] : [4, 4, 4, 4]
    return pick(r, [whole, grouped(whole, shape, ' '), grouped(whole, shape, '-')])
  },
  iban(r) {
    const [country, shape] = pick(r, [
      ['DE', 18],
      ['ES', 20],
      ['FR', 23],
      ['NL', 14],
      ['GB', 18],
      ['BE', 12],
    ] as const)
    const account =
      country === 'NL' || country === 'GB' ? letters(r, 4) + digits(r, shape - 4) : digits(r, shape)
    const number = [...`${account}${country}00`]
      .map((c) => (c >= 'A' ? String(c.charCodeAt(0) - 55) : c))
      .join('')
    const check = String(98n - (BigInt(number) % 97n)).padStart(2, '0')
    const whole = country + check + account
    return pick(r, [whole, whole.replace(/(.{4})(?=.)/g, '$1 ')])
  },
  email: (r) =>
    `${letters(r, 1 + r.int(8), 'abcdefghijklmnop')}${pick(r, ['', '.x', '+tag', '_1', '-b'])}@${letters(r, 2 + r.int(8), 'abcdefgh')}${pick(r, ['.com', '.co.uk', '.example.org', '.io', '.museum'])}`,
  phone: (r) =>
    pick(r, [
      `+34 6${digits(r, 2)} ${digits(r, 3)} ${digits(r, 3)}`,
      `+49 (0)30 ${digits(r, 4)} ${digits(r, 3)}`,
      `+1 ${2 + r.int(8)}12-${2 + r.int(8)}55-${digits(r, 4)}`,
      `+44 20 ${digits(r, 4)} ${digits(r, 4)}`,
      `(${2 + r.int(8)}02) ${2 + r.int(8)}55-${digits(r, 4)}`,
      `${2 + r.int(8)}02-${2 + r.int(8)}55-${digits(r, 4)}`,
      `+3361${digits(r, 7)}`,
    ]),
  'us-ssn': (r) =>
    `${String(1 + r.int(665)).padStart(3, '0')}-${String(1 + r.int(99)).padStart(2, '0')}-${String(1 + r.int(9999)).padStart(4, '0')}`,
  'es-dni'(r) {
    const number = digits(r, 8)
    const nie = r.int(2) === 1
    const of = nie ? r.int(3) + number.slice(1) : number
    const letter = 'TRWAGMYFPDXBNJZSQVHLCKE'[Number(of) % 23]
    return nie ? `${'XYZ'[Number(of[0])]}${of.slice(1)}${letter}` : `${number}${letter}`
  },
  'fr-nir'(r) {
    const body = `${1 + r.int(2)}${digits(r, 2)}${String(1 + r.int(12)).padStart(2, '0')}${digits(r, 8)}`
    const whole = body + String(97 - Number(BigInt(body) % 97n)).padStart(2, '0')
    return pick(r, [whole, grouped(whole, [1, 2, 2, 2, 3, 3, 2], ' ')])
  },
  'br-cpf'(r) {
    const check = (text: string) => {
      const sum = [...text].reduce((all, c, i) => all + Number(c) * (text.length + 1 - i), 0)
      return String(((sum * 10) % 11) % 10)
    }
    const nine = `${1 + r.int(9)}${digits(r, 8)}`
    const ten = nine + check(nine)
    const whole = ten + check(ten)
    return `${whole.slice(0, 3)}.${whole.slice(3, 6)}.${whole.slice(6, 9)}-${whole.slice(9)}`
  },
  'br-cnpj'(r) {
    const check = (text: string) => {
      const sum = [...text].reverse().reduce((all, c, i) => all + Number(c) * (2 + (i % 8)), 0)
      return String(sum % 11 < 2 ? 0 : 11 - (sum % 11))
    }
    const twelve = `${1 + r.int(9)}${digits(r, 11)}`
    const whole = twelve + check(twelve) + check(twelve + check(twelve))
    return `${whole.slice(0, 2)}.${whole.slice(2, 5)}.${whole.slice(5, 8)}/${whole.slice(8, 12)}-${whole.slice(12)}`
  },
  'uk-nino': (r) =>
    `${letters(r, 1, 'ACEHJLMPRSW')}${letters(r, 1, 'ABCEHJLMPRSW')}${digits(r, 6)}${letters(r, 1, 'ABCD')}`,
  jwt: (r) =>
    [
      Buffer.from(JSON.stringify({ alg: pick(r, ['HS256', 'RS256', 'EdDSA']), typ: 'JWT' })),
      Buffer.from(JSON.stringify({ sub: letters(r, 6), exp: r.int(2 ** 31) })),
      Buffer.from(letters(r, 32, BASE62)),
    ]
      .map((part) => part.toString('base64url'))
      .join('.'),
  'private-key': (r) => {
    const kind = pick(r, ['', 'RSA ', 'EC ', 'OPENSSH ', 'ENCRYPTED '])
    return `-----BEGIN ${kind}PRIVATE KEY-----\n${letters(r, 64, BASE62)}\n${letters(r, 40, BASE62)}==\n-----END ${kind}PRIVATE KEY-----`
  },
  token: (r) => pick(r, Object.values(TOKENS))(r),
  'it-cf'(r) {
    const consonants = 'BCDFGLMNPRSTVZ'
    const body = `${letters(r, 6, consonants)}${digits(r, 2)}${letters(r, 1, 'ABCDEHLMPRST')}${String(1 + r.int(28)).padStart(2, '0')}${letters(r, 1, 'ABCDEFGHIL')}${digits(r, 3)}`
    // D.M. 23.12.1976: odd places by a table, even ones by their number.
    const odd: Record<string, number> = {}
    '1 0 5 7 9 13 15 17 19 21'.split(' ').forEach((value, i) => {
      odd[i] = Number(value)
    })
    '1 0 5 7 9 13 15 17 19 21 2 4 18 20 11 3 6 8 12 14 16 10 22 25 24 23'
      .split(' ')
      .forEach((value, i) => {
        odd[String.fromCharCode(65 + i)] = Number(value)
      })
    const sum = [...body].reduce(
      (all, c, i) => all + (i % 2 === 0 ? odd[c]! : c >= 'A' ? c.charCodeAt(0) - 65 : Number(c)),
      0,
    )
    return body + String.fromCharCode(65 + (sum % 26))
  },
  'in-aadhaar'(r) {
    const whole = completed(`${2 + r.int(8)}${digits(r, 10)}`, isVerhoeff)
    return grouped(whole, [4, 4, 4], pick(r, [' ', '-']))
  },
  'url-password': (r) =>
    `${pick(r, ['postgres', 'https', 'redis', 'mongodb+srv', 'amqp', 'mysql'])}://${letters(r, 5, 'abcdefgh')}:${letters(r, 12, `${BASE62}!$&*.~%-`).replace(/^[$*]/, 'x')}@${letters(r, 6, 'abcdefgh')}.example.com:${1000 + r.int(9000)}/db`,
}

/** D5 by composing the group's permutation, rather than by its table of checks. */
function isVerhoeff(text: string): boolean {
  const multiply = (a: number, b: number) =>
    a < 5
      ? b < 5
        ? (a + b) % 5
        : ((a + (b - 5)) % 5) + 5
      : b < 5
        ? ((a - 5 - b + 5) % 5) + 5
        : (a - b + 5) % 5
  const step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
  const permuted = (digit: number, times: number) => {
    let result = digit
    for (let i = 0; i < times; i++) result = step[result]!
    return result
  }
  return (
    [...text].reverse().reduce((sum, c, i) => multiply(sum, permuted(Number(c), i % 8)), 0) === 0
  )
}

const HEX = '0123456789abcdef'
const UPPER32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const URLSAFE = `${BASE62}_-`
const safe = (r: Random, length: number) => `${letters(r, length - 1, URLSAFE)}x`

/** One of each issuer, as its documentation shows them. */
export const TOKENS: Record<string, (r: Random) => string> = {
  'AWS access key': (r) => `${pick(r, ['AKIA', 'ASIA'])}${letters(r, 16, UPPER32)}`,
  'AWS secret key': (r) => `aws_secret_access_key = ${letters(r, 40, `${BASE62}/+`)}`,
  'Azure storage key': (r) => `AccountKey=${letters(r, 86, `${BASE62}/+`)}==`,
  GitHub: (r) => `${pick(r, ['ghp_', 'gho_', 'ghs_', 'ghu_', 'ghr_'])}${letters(r, 36, BASE62)}`,
  'GitHub, fine-grained': (r) => `github_pat_${letters(r, 22, BASE62)}_${letters(r, 59, BASE62)}`,
  GitLab: (r) => `${pick(r, ['glpat-', 'gldt-', 'glrt-'])}${safe(r, 20)}`,
  Slack: (r) => `xoxb-${digits(r, 12)}-${digits(r, 12)}-${letters(r, 24, BASE62)}`,
  'Slack webhook': (r) =>
    `https://hooks.slack.com/services/T${letters(r, 10, UPPER32)}/B${letters(r, 10, UPPER32)}/${letters(r, 24, BASE62)}`,
  'Discord bot': (r) =>
    `${pick(r, ['M', 'N', 'O'])}${letters(r, 23, BASE62)}.${letters(r, 6, BASE62)}.${safe(r, 27)}`,
  'Discord webhook': (r) =>
    `https://discord.com/api/webhooks/${1 + r.int(9)}${digits(r, 17)}/${safe(r, 68)}`,
  Telegram: (r) => `${1 + r.int(9)}${digits(r, 9)}:AA${safe(r, 33)}`,
  Stripe: (r) => `${pick(r, ['sk_live_', 'rk_live_', 'sk_test_'])}${letters(r, 24, BASE62)}`,
  Twilio: (r) => `${pick(r, ['AC', 'SK'])}${letters(r, 32, HEX)}`,
  SendGrid: (r) => `SG.${safe(r, 22)}.${safe(r, 43)}`,
  OpenAI: (r) => `sk-proj-${safe(r, 100)}`,
  'OpenAI, older': (r) => `sk-${letters(r, 48, BASE62)}`,
  Anthropic: (r) => `sk-ant-api03-${safe(r, 93)}AA`,
  'Hugging Face': (r) => `hf_${letters(r, 34, BASE62)}`,
  Google: (r) => `AIza${safe(r, 35)}`,
  npm: (r) => `npm_${letters(r, 36, BASE62)}`,
  PyPI: (r) => `pypi-AgEIcHlwaS5vcmc${safe(r, 130)}`,
  Shopify: (r) => `shpat_${letters(r, 32, HEX)}`,
  Vault: (r) => `hvs.${safe(r, 90)}`,
  DigitalOcean: (r) => `dop_v1_${letters(r, 64, HEX)}`,
  Databricks: (r) => `dapi${letters(r, 32, HEX)}`,
  Docker: (r) => `dckr_pat_${safe(r, 27)}`,
  Figma: (r) => `figd_${safe(r, 40)}`,
  Grafana: (r) => `glsa_${letters(r, 32, BASE62)}_${letters(r, 8, HEX)}`,
  Groq: (r) => `gsk_${letters(r, 52, BASE62)}`,
  Linear: (r) => `lin_api_${letters(r, 40, BASE62)}`,
  Notion: (r) => `ntn_${letters(r, 46, BASE62)}`,
  Tailscale: (r) => `tskey-auth-${letters(r, 12, BASE62)}-${letters(r, 32, BASE62)}`,
  Vercel: (r) => `vcp_${letters(r, 40, BASE62)}`,
  '1Password': (r) => `ops_ey${letters(r, 200, BASE62)}`,
  Postman: (r) => `PMAK-${letters(r, 24, HEX)}-${letters(r, 34, HEX)}`,
  age: (r) => `AGE-SECRET-KEY-1${letters(r, 58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L')}`,
}

/** What is found in a column of a name that says so, and nowhere else. */
export const HINTED: Record<string, { column: string; make: (r: Random) => string }> = {
  'us-ssn': {
    column: 'ssn',
    make: (r) =>
      `${String(1 + r.int(665)).padStart(3, '0')}${String(1 + r.int(99)).padStart(2, '0')}${String(1 + r.int(9999)).padStart(4, '0')}`,
  },
  'de-tax-id': {
    column: 'steuer_id',
    make(r) {
      // Ten digits of which one comes twice and one not at all.
      const some = [...'0123456789']
      for (let i = 9; i > 0; i--) {
        const j = r.int(i + 1)
        ;[some[i], some[j]] = [some[j]!, some[i]!]
      }
      some[9] = some[r.int(9)]!
      if (some[0] === '0') [some[0], some[1]] = [some[1]!, some[0]!]
      const ten = some[0] === '0' ? `1${some.slice(1).join('')}` : some.join('')
      if (new Set(ten).size !== 9) return this.make(r)
      let product = 10
      for (const c of ten) {
        const sum = (Number(c) + product) % 10
        product = ((sum === 0 ? 10 : sum) * 2) % 11
      }
      return `${ten}${(11 - product) % 10}`
    },
  },
  'nl-bsn': {
    column: 'bsn',
    make(r) {
      for (;;) {
        const nine = `${1 + r.int(9)}${digits(r, 8)}`
        const sum = [...nine].reduce((all, c, i) => all + Number(c) * (i === 8 ? -1 : 9 - i), 0)
        if (sum % 11 === 0) return nine
      }
    },
  },
  'pl-pesel': {
    column: 'pesel',
    make(r) {
      const ten = `${digits(r, 2)}${String(1 + r.int(12)).padStart(2, '0')}${String(1 + r.int(28)).padStart(2, '0')}${digits(r, 4)}`
      const sum = [...ten].reduce((all, c, i) => all + Number(c) * [1, 3, 7, 9][i % 4]!, 0)
      return `${ten}${(10 - (sum % 10)) % 10}`
    },
  },
  'in-aadhaar': {
    column: 'aadhaar',
    make: (r) => completed(`${2 + r.int(8)}${digits(r, 10)}`, isVerhoeff),
  },
  'br-cpf': { column: 'cpf', make: (r) => VALID['br-cpf']!(r).replace(/\D/g, '') },
  'br-cnpj': { column: 'cnpj', make: (r) => VALID['br-cnpj']!(r).replace(/\D/g, '') },
  token: { column: 'aws_secret', make: (r) => `aA1${letters(r, 37, `${BASE62}/+`)}` },
  'birth-date': {
    column: 'date_of_birth',
    make: (r) => {
      const [y, m, d] = [1920 + r.int(100), 1 + r.int(12), 1 + r.int(28)]
      const two = (n: number) => String(n).padStart(2, '0')
      return pick(r, [
        `${y}-${two(m)}-${two(d)}`,
        `${d}.${m}.${y}`,
        `${two(m)}/${two(d)}/${y}`,
        `${y}${two(m)}${two(d)}`,
      ])
    },
  },
}

/** Found where they are asked for. */
export const OPTIONAL: Record<string, (r: Random) => string> = {
  ip: (r) =>
    pick(r, [
      () => Array.from({ length: 4 }, () => r.int(256)).join('.'),
      () => Array.from({ length: 8 }, () => r.int(65536).toString(16)).join(':'),
      () => `2001:db8::${r.int(65536).toString(16)}`,
    ])(),
  random: (r) => `${letters(r, 32, BASE62)}aB1`,
}

export const validOf = (detector: string, r: Random): string => VALID[detector]!(r)
export const VALID_KINDS: readonly string[] = Object.keys(VALID)

const WORDS =
  'the order was shipped to a customer who asked for tea and paper on monday before noon because it rained in the city where nobody waits for long trains or bread'.split(
    ' ',
  )
const STREETS = ['Calle Mayor', 'Rue de Rivoli', 'Baker Street', 'Unter den Linden', 'Main St']

const PROSE: readonly string[] = [
  'the order was shipped to a customer who asked for tea and paper on monday before noon because it rained in the city',
  'el pedido salió el lunes por la mañana hacia el almacén de la ciudad donde nadie espera los trenes largos ni el pan',
  'die Bestellung ging am Montag früh an das Lager in der Stadt wo niemand lange auf Züge oder Brot wartet und es regnete',
  'la commande est partie lundi matin vers l’entrepôt de la ville où personne n’attend ni les trains ni le pain frais',
  '注文は月曜日の朝に倉庫へ送られました 雨が降っていたので誰も待っていませんでした',
  'заказ был отправлен в понедельник утром на склад в городе где никто не ждёт поездов и хлеба',
  'تم إرسال الطلب صباح يوم الاثنين إلى المستودع في المدينة',
]
const isbn = (r: Random, prefix = '978') => {
  const twelve = `${prefix}${digits(r, 9)}`
  const sum = [...twelve].reduce((all, c, i) => all + Number(c) * (i % 2 === 0 ? 1 : 3), 0)
  return `${twelve}${(10 - (sum % 10)) % 10}`
}
const moment = (r: Random) => new Date(r.int(2 ** 31) * 1000).toISOString()

const ORDINARY: Record<string, (r: Random) => string> = {
  isbn: (r) => {
    const whole = isbn(r)
    return pick(r, [
      whole,
      grouped(whole, [3, 1, 4, 4, 1], '-'),
      `ISBN ${grouped(whole, [3, 1, 5, 3, 1], ' ')}`,
    ])
  },
  ean: (r) => isbn(r, pick(r, ['400', '541', '841', '690'])),
  imei: (r) => completed(`35${digits(r, 12)}`, (text) => luhnSum(text) % 10 === 0),
  tracking: (r) =>
    pick(r, [
      () => `1Z${letters(r, 6, UPPER32)}${digits(r, 10)}`,
      () => `JD0${digits(r, 17)}`,
      () => `94${digits(r, 20)}`,
      () => `RR${digits(r, 9)}DE`,
      () => digits(r, 12),
    ])(),
  'phone-like order': (r) =>
    pick(r, [
      () => `${digits(r, 3)}-${digits(r, 7)}-${digits(r, 7)}`,
      () => `${digits(r, 4)}-${digits(r, 3)}-${digits(r, 4)}`,
      () => `SO ${digits(r, 3)} ${digits(r, 4)}`,
      () => `${digits(r, 2)}-${digits(r, 5)}-${digits(r, 4)}`,
    ])(),
  'four-part version': (r) => `${r.int(30)}.${r.int(30)}.${r.int(3000)}.${r.int(9000)}`,
  sql: (r) =>
    pick(r, [
      () =>
        `SELECT id, total FROM orders WHERE customer_id = ${r.int(10 ** 8)} AND placed > '${moment(r).slice(0, 10)}' ORDER BY 2 LIMIT ${r.int(100)}`,
      () =>
        `UPDATE stock SET amount = amount - ${r.int(9)} WHERE sku = 'T-${digits(r, 6)}' -- by ${pick(r, WORDS)}`,
      () => `INSERT INTO t VALUES (${r.int(999)}, ${r.int(10 ** 9)}, NULL, '${pick(r, WORDS)}')`,
    ])(),
  log: (r) =>
    pick(r, [
      () =>
        `${moment(r)} INFO [worker-${r.int(16)}] served /api/orders/${r.int(10 ** 7)} in ${r.int(900)}ms trace=${letters(r, 32, HEX)}`,
      () =>
        `${moment(r).slice(0, 19).replace('T', ' ')},${digits(r, 3)} WARN o.a.k.Consumer offset ${digits(r, 10)} partition ${r.int(64)}`,
      () =>
        `Nov 21 12:00:${digits(r, 2)} host-${r.int(99)} kernel: [${digits(r, 6)}.${digits(r, 6)}] usb 1-1: new device`,
    ])(),
  'json document': (r) =>
    JSON.stringify({
      order: {
        id: r.int(10 ** 9),
        reference: `INV-${digits(r, 8)}`,
        at: moment(r),
        total: r.int(10 ** 6) / 100,
      },
      lines: Array.from({ length: 3 }, () => ({
        sku: digits(r, 8),
        ean: isbn(r),
        amount: r.int(9),
        note: pick(r, WORDS),
      })),
      trace: letters(r, 32, HEX),
    }),
  image: (r) =>
    Buffer.concat([
      Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
      Buffer.from(Array.from({ length: 200 + r.int(200) }, () => r.int(256))),
    ]).toString('base64'),
  'prose of languages': (r) => `${pick(r, PROSE)} ${r.int(2000)}`,
  'windows path': (r) =>
    `C:\\Users\\Public\\${pick(r, WORDS)}\\report-${digits(r, 8)}_v${r.int(9)}.xlsx`,
  coordinates: (r) => `${r.int(90)}.${digits(r, 6)}, -${r.int(180)}.${digits(r, 6)}`,
  commit: (r) => `${letters(r, 7, HEX)} ${pick(r, WORDS)} ${pick(r, WORDS)} (#${r.int(9999)})`,
  'docker image': (r) =>
    `registry.example.com/shop/${pick(r, WORDS)}@sha256:${letters(r, 64, HEX)}`,
  'user agent': (r) =>
    `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${100 + r.int(40)}.0.${digits(r, 4)}.${r.int(99)} Safari/537.36`,
  html: (r) => `<p class="c${r.int(99)}">${pick(r, PROSE)} &amp; ${pick(r, WORDS)} 100%</p>`,
  money: (r) =>
    `${pick(r, ['$', '€', 'EUR '])}${r.int(999)},${digits(r, 3)}.${digits(r, 2)} of ${r.int(9)} ${digits(r, 3)} ${digits(r, 3)}`,
  address: (r) =>
    `${pick(r, STREETS)} ${1 + r.int(300)}, ${digits(r, 5)} ${pick(r, ['Madrid', 'Paris', 'London NW1 6XE', 'Springfield IL'])}`,
  order: (r) =>
    pick(r, [
      () => `ORD-${2020 + r.int(7)}-${digits(r, 6)}`,
      () => `#${digits(r, 8)}`,
      () => `INV/${2020 + r.int(7)}/${digits(r, 5)}`,
      () => digits(r, 10),
      () => `PO${digits(r, 9)}`,
      () => `1${digits(r, 15)}`,
    ])(),
  hash: (r) => letters(r, pick(r, [32, 40, 64]), HEX),
  uuid: (r) =>
    `${letters(r, 8, HEX)}-${letters(r, 4, HEX)}-4${letters(r, 3, HEX)}-a${letters(r, 3, HEX)}-${letters(r, 12, HEX)}`,
  timestamp: (r) =>
    pick(r, [
      () => new Date(r.int(2 ** 31) * 1000).toISOString(),
      () => new Date(r.int(2 ** 31) * 1000).toISOString().replace('T', ' ').replace('Z', '+00'),
      () => String(1_700_000_000_000 + r.int(2 ** 31)),
      () => String(1_700_000_000 + r.int(10 ** 8)),
    ])(),
  amount: (r) =>
    pick(r, [() => `${digits(r, 4)}.${digits(r, 2)}`, () => `-${digits(r, 3)}.${digits(r, 6)}`])(),
  prose: (r) => Array.from({ length: 8 + r.int(30) }, () => pick(r, WORDS)).join(' '),
  json: (r) =>
    JSON.stringify({
      id: r.int(10 ** 9),
      sku: `T-${digits(r, 4)}`,
      tags: [pick(r, WORDS), pick(r, WORDS)],
      at: new Date(r.int(2 ** 31) * 1000),
    }),
  path: (r) => `/var/lib/app/${letters(r, 8, HEX)}/${pick(r, WORDS)}_${digits(r, 3)}.log`,
  version: (r) => `v${r.int(9)}.${r.int(40)}.${r.int(90)}-rc.${r.int(9)}`,
  base64: (r) => Buffer.from(letters(r, 24 + r.int(40), BASE62)).toString('base64'),
  url: (r) => `https://shop.example.com/p/${r.int(10 ** 6)}?ref=${letters(r, 6, BASE62)}`,
}

export const ordinaryOf = (kind: string, r: Random): string => ORDINARY[kind]!(r)
export const ORDINARY_KINDS: readonly string[] = Object.keys(ORDINARY)
