/**
 * Custody as `npm start` runs it, before a real PostgreSQL, with Keycloak as its OpenID provider and as its SAML identity
 * provider; and what its people have: a browser, the command line, psql, and the record to look things up in.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  Browser,
  clientProgram,
  postgresUrl,
  psql,
  runProgram,
  type Started,
  standaloneUnderTest,
  startPostgres,
  startProgram,
} from '@custody/test-support'
import { startKeycloak } from './keycloak'
import { AUDIENCE, createRealm, REALM, type Realm, SECOND_REALM } from './realm'

/** What an event says, as far as the cases look at it. */
export interface Seen {
  who: {
    subject: string
    issuer: string
    email: string | null
    groups: string[]
    method: string
    kind: string
  }
  access: { code: string; reason: string }
}

/** The providers by an end of their names, as links have them. */
const PROVIDERS = {
  oidc: `${encodeURIComponent(`/realms/${REALM}`)}&`,
  second: `${encodeURIComponent(`/realms/${SECOND_REALM}`)}&`,
  saml: 'corporate',
}

export interface World {
  realm: Realm
  base: string
  port: number
  /** The command line, of somebody who has nothing yet. */
  custody(...words: string[]): Started
  /** Its output; rejects where it fails. */
  ran(...words: string[]): Promise<string>
  /** A client without a password: psql. */
  client(user: string, sql: string): Started
  /** psql with a token as password: what it printed, or what it was told. */
  asked(user: string, password: string, sql?: string): Promise<{ answer: string; error: string }>
  /** A browser at a page of Custody's, signed in by one of its providers. */
  signedIn(account: string, provider: keyof typeof PROVIDERS, path?: string): Promise<Browser>
  last(kind: string): Promise<Seen>
  stop(): Promise<void>
}

export async function openWorld(progress: (line: string) => void): Promise<World> {
  const keycloak = await startKeycloak(progress)
  const standalone = standaloneUnderTest('keycloak', (directory) => ({
    CUSTODY_CONFIG: join(directory, 'custody.yaml'),
    CUSTODY_TOKEN: undefined,
    XDG_CONFIG_HOME: join(directory, 'config'),
  }))
  let stopServer = async () => {}
  const stop = async () => {
    await standalone.stop()
    await stopServer()
    await keycloak.stop()
  }
  try {
    progress('setting up its realm, PostgreSQL and Custody')
    const realm = await createRealm(keycloak)
    const server = await startPostgres()
    stopServer = () => server.stop()
    const { directory, environment } = standalone
    const certificates = await realm.saml.certificate()
    for (const [i, text] of certificates.entries())
      writeFileSync(join(directory, `idp-${i}.pem`), text)
    const issuer = {
      issuer: realm.issuer,
      audiences: [AUDIENCE],
      claims: { groups: 'groups' },
      clientId: 'custody',
      user: 'ci',
      rules: [
        { when: { azp: 'ci' }, groups: ['deploy'], kind: 'service' },
        { when: { azp: 'custody' } },
      ],
    }
    writeFileSync(join(directory, 'client-secret'), realm.second.clientSecret)
    const second = {
      ...{ issuer: realm.second.issuer, audiences: ['custody'], clientId: 'custody' },
      clientSecret: { file: 'client-secret' },
    }
    const saml = {
      name: 'corporate',
      entryPoint: realm.saml.entryPoint,
      idpIssuer: realm.saml.entityId,
      idpCertificates: certificates.map((_, i) => `idp-${i}.pem`),
      responseSigned: true,
    }
    writeFileSync(
      environment.CUSTODY_CONFIG!,
      JSON.stringify({
        identity: { issuers: [issuer, second], saml: [saml] },
        resources: { shop: JSON.parse(server.resource({ database: server.database })) },
      }),
    )
    await standalone.start()

    const words = (given: string[]) => [join(__dirname, '../../../cli/bin/custody.js'), ...given]
    const o = { env: environment, cwd: directory }
    const ran = async (...given: string[]) => {
      const { code, stdout, stderr } = await runProgram(process.execPath, words(given), o)
      if (code !== 0) throw new Error(`custody ${given.join(' ')}: ${stderr}`)
      return stdout
    }
    const { ports } = JSON.parse(await ran('status', '--json'))
    const base = `http://127.0.0.1:${ports.console}`
    const metadata = await fetch(`${base}/sign-in/saml/corporate/metadata`)
    await realm.registerSaml(await metadata.text())
    const at = (user: string, password: string) => ({
      ...{ host: '127.0.0.1', port: ports.postgres, user, password },
      ...{ database: 'shop', sslmode: 'require' },
    })
    return {
      realm,
      base,
      port: ports.postgres,
      custody: (...given) => startProgram(process.execPath, words(given), o),
      ran,
      client: (user, sql) =>
        startProgram(clientProgram('psql'), [
          ...['-X', '-w', '-Atc', sql],
          `postgresql://${user}@127.0.0.1:${ports.postgres}/shop?sslmode=require`,
        ]),
      async asked(user, password, sql = 'select 1') {
        const { stdout, stderr } = await psql(postgresUrl(at(user, password)), ['-Atc', sql])
        return { answer: stdout.trim(), error: stderr.trim() }
      },
      async signedIn(account, provider, path = '/approvals') {
        const browser = await new Browser().open(base + path)
        await browser.follow(PROVIDERS[provider])
        await realm.signIn(browser, account)
        return browser
      },
      async last(kind) {
        const text = await ran('events', '--kind', kind, '--since', '30m', '--json')
        return JSON.parse(text.split('\n')[0]!)
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
