/**
 * The sample database `shop`: an online shop with the things that make access to production delicate, such as customers,
 * cards, payments, salaries and keys. All of it is made up: names are combined from lists, mail addresses are below
 * example.*, phone numbers lie in ranges kept for fiction, national ids in a range never issued, card numbers in the card
 * networks' test ranges (with a right check digit). The same rows come out every time. Refuses to touch a database: it
 * only writes SQL text.
 */

const tables = `
CREATE TABLE customers (
  id integer PRIMARY KEY, full_name text NOT NULL, email text NOT NULL UNIQUE, phone text,
  national_id text, date_of_birth date, city text, country char(2) NOT NULL,
  marketing_consent boolean NOT NULL DEFAULT false, created_at timestamptz NOT NULL);
COMMENT ON TABLE customers IS 'People who bought at least once';
COMMENT ON COLUMN customers.email IS 'Personal data: e-mail address';
COMMENT ON COLUMN customers.phone IS 'Personal data: telephone number';
COMMENT ON COLUMN customers.national_id IS 'Personal data: national identification number';

CREATE TABLE addresses (
  id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers, line1 text NOT NULL,
  postcode text NOT NULL, city text NOT NULL, country char(2) NOT NULL);

CREATE TABLE cards (
  id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers, brand text NOT NULL,
  number text NOT NULL, holder text NOT NULL, expires date NOT NULL);
COMMENT ON COLUMN cards.number IS 'Cardholder data: full card number (test ranges only)';

CREATE TABLE products (
  id integer PRIMARY KEY, name text NOT NULL, category text NOT NULL, price numeric(10,2) NOT NULL,
  attributes jsonb NOT NULL DEFAULT '{}');

CREATE TABLE orders (
  id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers, status text NOT NULL,
  placed_at timestamptz NOT NULL, total numeric(10,2) NOT NULL DEFAULT 0);

CREATE TABLE order_items (
  order_id integer NOT NULL REFERENCES orders, line integer NOT NULL,
  product_id integer NOT NULL REFERENCES products, quantity integer NOT NULL,
  unit_price numeric(10,2) NOT NULL, PRIMARY KEY (order_id, line));

CREATE TABLE payments (
  id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders,
  card_id integer REFERENCES cards, amount numeric(10,2) NOT NULL, currency char(3) NOT NULL,
  status text NOT NULL, risk_score smallint NOT NULL, ip inet, paid_at timestamptz NOT NULL);

CREATE TABLE refunds (
  id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, payment_id integer NOT NULL REFERENCES payments,
  amount numeric(10,2) NOT NULL, reason text, refunded_by text NOT NULL DEFAULT current_user,
  refunded_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE support_tickets (
  id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers, subject text NOT NULL,
  body text NOT NULL, state text NOT NULL, opened_at timestamptz NOT NULL);
COMMENT ON COLUMN support_tickets.body IS 'Free text: customers write addresses, numbers and worse in here';

CREATE TABLE employees (
  id integer PRIMARY KEY, full_name text NOT NULL, email text NOT NULL UNIQUE, title text NOT NULL,
  department text NOT NULL, manager_id integer REFERENCES employees, salary numeric(10,2) NOT NULL,
  iban text NOT NULL, hired_on date NOT NULL);
COMMENT ON COLUMN employees.salary IS 'Confidential: yearly salary';

CREATE TABLE api_keys (
  id integer PRIMARY KEY, owner text NOT NULL, key text NOT NULL UNIQUE, scopes text[] NOT NULL,
  created_at timestamptz NOT NULL, last_used_at timestamptz);
COMMENT ON COLUMN api_keys.key IS 'Secret: grants access to the shop''s interface';
`

const afterwards = `
UPDATE orders o SET total = t.total
  FROM (SELECT order_id, sum(quantity * unit_price) AS total FROM order_items GROUP BY order_id) t
  WHERE t.order_id = o.id;
UPDATE payments p SET amount = o.total FROM orders o WHERE o.id = p.order_id;

CREATE INDEX ON orders (customer_id);
CREATE INDEX ON payments (order_id);
CREATE INDEX ON cards (customer_id);

CREATE VIEW customer_overview AS
  SELECT c.id, c.full_name, c.email, c.country, count(o.id) AS orders,
         coalesce(sum(o.total), 0) AS spent, max(o.placed_at) AS last_order
  FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id;
CREATE VIEW revenue_by_month AS
  SELECT date_trunc('month', paid_at)::date AS month, currency, count(*) AS payments, sum(amount) AS revenue
  FROM payments WHERE status = 'captured' GROUP BY 1, 2 ORDER BY 1, 2;
CREATE VIEW suspicious_payments AS
  SELECT p.id, p.amount, p.currency, p.risk_score, p.ip, c.full_name, c.email
  FROM payments p JOIN orders o ON o.id = p.order_id JOIN customers c ON c.id = o.customer_id
  WHERE p.risk_score >= 90;
COMMENT ON VIEW customer_overview IS 'One line per customer, as support sees it';

CREATE FUNCTION luhn_valid(number text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT sum(CASE WHEN i % 2 = 0 THEN d / 5 + d * 2 % 10 ELSE d END) % 10 = 0
  FROM (SELECT i, substr(reverse(number), i, 1)::integer AS d
        FROM generate_series(1, length(number)) AS i) AS digits
$$;
COMMENT ON FUNCTION luhn_valid(text) IS 'Whether the check digit of a card number is right';

CREATE FUNCTION customer_by_email(wanted text) RETURNS SETOF customers LANGUAGE sql STABLE AS $$
  SELECT * FROM customers WHERE lower(email) = lower(wanted)
$$;

CREATE FUNCTION refund_payment(payment integer, refund numeric, why text DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  paid numeric;
  made integer;
BEGIN
  SELECT amount INTO paid FROM payments WHERE id = payment AND status = 'captured' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'payment % is not captured', payment USING ERRCODE = 'no_data_found';
  END IF;
  IF refund > paid THEN
    RAISE EXCEPTION 'refund % is more than was paid (%)', refund, paid;
  END IF;
  INSERT INTO refunds (payment_id, amount, reason) VALUES (payment, refund, why) RETURNING id INTO made;
  RAISE NOTICE 'refund % of % for payment %', made, refund, payment;
  RETURN made;
END $$;
COMMENT ON FUNCTION refund_payment(integer, numeric, text) IS 'Pays money back; at most what was paid';
ANALYZE;
`

const counts = {
  customers: 2_000,
  products: 48,
  orders: 3_500,
  tickets: 400,
  employees: 60,
  apiKeys: 24,
} as const

const firstNames =
  'Ada Amara Anders Ayla Bao Carlos Chiara Daniel Elif Emma Farid Grace Hana Hugo Ines Ivan Jonas Julia Kofi Lena Liam Lucia Mateo Mei Nadia Noah Olga Omar Priya Rafael Rosa Samir Sofia Tariq Tomas Uma Vera Wei Yara Zoe'.split(
    ' ',
  )
const lastNames =
  'Abara Andersen Bauer Becker Bianchi Castro Chen Costa Dubois Eriksen Fischer Garcia Haddad Hansen Ito Jansen Kaya Keller Kim Kowalski Larsen Lopez Martin Mensah Moreau Nakamura Novak Okafor Olsen Patel Petrov Rossi Sato Schmidt Silva Singh Tanaka Weber Yilmaz Zhang'.split(
    ' ',
  )
const places = [
  ['Berlin', 'DE', 'EUR'],
  ['Lyon', 'FR', 'EUR'],
  ['Leeds', 'GB', 'GBP'],
  ['Austin', 'US', 'USD'],
  ['Turin', 'IT', 'EUR'],
  ['Porto', 'PT', 'EUR'],
  ['Denver', 'US', 'USD'],
  ['Utrecht', 'NL', 'EUR'],
] as const
const streets = ['Mill Lane', 'Station Road', 'Linden Street', 'Harbour Way', 'Park Avenue']
const wares = ['Kettle', 'Lamp', 'Backpack', 'Teapot', 'Notebook', 'Headphones', 'Blanket', 'Clock']
const makes = ['Classic', 'Travel', 'Mini', 'Pro', 'Eco', 'Studio']
const categories = ['kitchen', 'living', 'travel', 'kitchen', 'office', 'audio', 'living', 'office']

/** Everything the database holds, as one script that is run once as its owner. */
export function sampleSql(): string {
  const random = generator(20_240_229)
  const people = Array.from({ length: counts.customers }, (_, i) => {
    const first = firstNames[i % firstNames.length] as string
    const last = lastNames[Math.floor(random() * lastNames.length)] as string
    const place = pick(random, places)
    return { id: i + 1, first, last, place, since: day(random, '2021-01-01', 1_400) }
  })

  const customers = people.map(({ id, first, last, place, since }) => [
    id,
    `${first} ${last}`,
    `${first}.${last}${id}@example.${pick(random, ['com', 'org', 'net'])}`.toLowerCase(),
    phone(random, place[1]),
    // 9xx is a range of social security numbers that is never issued.
    `9${digits(random, 2)}-${10 + whole(random, 60)}-${digits(random, 4)}`,
    day(random, '1950-01-01', 20_000),
    place[0],
    place[1],
    random() < 0.4,
    `${since} ${clock(random)}+00`,
  ])
  const addresses = people.map(({ id, place }) => [
    id,
    id,
    `${1 + whole(random, 180)} ${pick(random, streets)}`,
    digits(random, 5),
    place[0],
    place[1],
  ])
  const cards = people.flatMap((person, i) =>
    Array.from({ length: i % 5 === 0 ? 2 : 1 }, () => {
      const [brand, prefix, length] = pick(random, [
        ['visa', '424242', 16],
        ['visa', '400005', 16],
        ['mastercard', '555555', 16],
        ['amex', '378282', 15],
      ] as const)
      const number = withCheckDigit(prefix + digits(random, length - 1 - prefix.length))
      const expires = `20${27 + whole(random, 4)}-${two(1 + whole(random, 12))}-01`
      return [person.id, brand, number, `${person.first} ${person.last}`.toUpperCase(), expires]
    }),
  )
  const cardOf = new Map(cards.map((card, i) => [card[0] as number, i + 1]))
  const products = Array.from({ length: counts.products }, (_, i) => [
    i + 1,
    `${makes[i % makes.length]} ${wares[Math.floor(i / makes.length)]}`,
    categories[Math.floor(i / makes.length)],
    (5 + whole(random, 19_500) / 100).toFixed(2),
    JSON.stringify({ weightGrams: 80 + whole(random, 3_000), fragile: random() < 0.2 }),
  ])
  const orders: unknown[][] = []
  const items: unknown[][] = []
  const payments: unknown[][] = []
  for (let id = 1; id <= counts.orders; id++) {
    const person = pick(random, people)
    const state = pick(random, [
      'delivered',
      'delivered',
      'delivered',
      'shipped',
      'open',
      'cancelled',
    ])
    const placed = `${day(random, '2024-01-01', 690)} ${clock(random)}+00`
    orders.push([id, person.id, state, placed])
    for (let line = 1; line <= 1 + whole(random, 3); line++) {
      const product = pick(random, products)
      items.push([id, line, product[0], 1 + whole(random, 3), product[3]])
    }
    if (state === 'open') continue
    const risk = random() < 0.02 ? 90 + whole(random, 10) : whole(random, 70)
    const status = state === 'cancelled' ? 'voided' : risk >= 97 ? 'blocked' : 'captured'
    // Addresses kept for documentation.
    const ip = `${pick(random, ['192.0.2', '198.51.100', '203.0.113'])}.${1 + whole(random, 254)}`
    payments.push([
      payments.length + 1,
      id,
      cardOf.get(person.id),
      0,
      person.place[2],
      status,
      risk,
      ip,
      placed,
    ])
  }
  const tickets = Array.from({ length: counts.tickets }, (_, i) => {
    const person = pick(random, people)
    const customer = customers[person.id - 1] as unknown[]
    const [subject, body] = pick(random, [
      ['Where is my parcel?', `Please call me on ${customer[3]}, it should have come last week.`],
      [
        'Change my address',
        `I moved to ${1 + whole(random, 90)} ${pick(random, streets)}, ${person.place[0]}.`,
      ],
      [
        'Charged twice',
        `My card ending ${digits(random, 4)} was charged twice. Write to ${customer[2]}.`,
      ],
      ['Delete my data', `I am ${customer[1]}, born ${customer[5]}. Please delete everything.`],
      [
        'Password',
        `I cannot sign in as ${customer[2]} any more, the old one was ${pick(random, wares)}${digits(random, 3)}!`,
      ],
    ] as const)
    const state = pick(random, ['open', 'waiting', 'closed', 'closed'])
    return [
      i + 1,
      person.id,
      subject,
      body,
      state,
      `${day(random, '2025-01-01', 320)} ${clock(random)}+00`,
    ]
  })
  const titles = [
    ['Engineer', 'Engineering', 68_000],
    ['Support agent', 'Support', 39_000],
    ['Accountant', 'Finance', 52_000],
    ['Data analyst', 'Data', 61_000],
    ['Warehouse lead', 'Logistics', 44_000],
  ] as const
  const employees = Array.from({ length: counts.employees }, (_, i) => {
    const first = firstNames[(i * 7) % firstNames.length] as string
    const last = lastNames[(i * 11) % lastNames.length] as string
    const [title, department, base] = pick(random, titles)
    const head = i < 6
    return [
      i + 1,
      `${first} ${last}`,
      `${first}.${last}.${i + 1}@shop.example.com`.toLowerCase(),
      i === 0 ? 'Managing director' : head ? `Head of ${department}` : title,
      i === 0 ? 'Management' : department,
      i === 0 ? null : head ? 1 : 2 + whole(random, 5),
      (i === 0 ? 210_000 : head ? base * 1.8 : base + whole(random, 18_000)).toFixed(2),
      iban(random),
      day(random, '2015-01-01', 3_600),
    ]
  })
  const keys = Array.from({ length: counts.apiKeys }, (_, i) => [
    i + 1,
    pick(random, ['mobile-app', 'warehouse-sync', 'partner-feed', 'reporting', 'checkout']),
    `shop_${i % 4 === 0 ? 'test' : 'live'}_${letters(random, 32)}`,
    i % 3 === 0 ? '{orders:read,orders:write,payments:refund}' : '{orders:read}',
    `${day(random, '2023-01-01', 900)} ${clock(random)}+00`,
    i % 5 === 0 ? null : `${day(random, '2025-06-01', 160)} ${clock(random)}+00`,
  ])

  return [
    tables,
    insert('customers', '', customers),
    insert('addresses', '', addresses),
    insert(
      'cards',
      '',
      cards.map((card, i) => [i + 1, ...card]),
    ),
    insert('products', '', products),
    insert('orders', '(id, customer_id, status, placed_at)', orders),
    insert('order_items', '', items),
    insert('payments', '', payments),
    insert('support_tickets', '', tickets),
    insert('employees', '', employees),
    insert('api_keys', '', keys),
    afterwards,
  ].join('\n')
}

function insert(table: string, columns: string, rows: readonly (readonly unknown[])[]): string {
  const statements: string[] = []
  for (let from = 0; from < rows.length; from += 500) {
    const values = rows.slice(from, from + 500).map((row) => `(${row.map(literal).join(',')})`)
    statements.push(`INSERT INTO ${table} ${columns} VALUES\n${values.join(',\n')};`)
  }
  return statements.join('\n')
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return `'${String(value).replaceAll("'", "''")}'`
}

type Random = () => number

/** Mulberry32: small, even enough, and the same everywhere. */
function generator(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function whole(random: Random, below: number): number {
  return Math.floor(random() * below)
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[whole(random, list.length)] as T
}

function digits(random: Random, count: number): string {
  return Array.from({ length: count }, () => whole(random, 10)).join('')
}

function letters(random: Random, count: number): string {
  const alphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'
  return Array.from({ length: count }, () => alphabet[whole(random, alphabet.length)]).join('')
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

function day(random: Random, from: string, days: number): string {
  return new Date(Date.parse(from) + whole(random, days) * 86_400_000).toISOString().slice(0, 10)
}

function clock(random: Random): string {
  return `${two(whole(random, 24))}:${two(whole(random, 60))}:${two(whole(random, 60))}`
}

/** Ranges that the regulators keep for fiction. */
function phone(random: Random, country: string): string {
  if (country === 'US') return `+1 ${200 + whole(random, 700)} 555 01${digits(random, 2)}`
  if (country === 'GB') return `+44 7700 900${digits(random, 3)}`
  return `+49 30 23125 ${digits(random, 3)}`
}

/** A German account number with right check digits, at a bank code that no bank has. */
function iban(random: Random): string {
  const account = `00000000${digits(random, 10)}`
  // D and E count as 13 and 14, and the check digits as 00 while they are being made.
  const check = 98n - (BigInt(`${account}131400`) % 97n)
  return `DE${two(Number(check))}${account}`
}

/** Appends the Luhn digit. */
export function withCheckDigit(body: string): string {
  let sum = 0
  for (let i = 0; i < body.length; i++) {
    const digit = Number(body[body.length - 1 - i])
    sum += i % 2 === 0 ? Math.floor(digit / 5) + ((digit * 2) % 10) : digit
  }
  return body + ((10 - (sum % 10)) % 10)
}
