/** `npm run keycloak`: prints what does not hold, and as its last line the counts. Exit code 1 where anything does not. */
import { runSuite } from '@custody/test-support'
import { runKeycloak } from './run'

runSuite({
  name: 'keycloak',
  usage: '[--only <part of a name>]',
  about:
    'Fetches Keycloak from Maven Central (once, about 180 MB, into ~/.cache/custody), builds and starts it on loopback, and\ntries every way in against it: OpenID Connect and SAML, with a browser, the command line, psql and libpq.',
  options: { only: { type: 'string' } },
  async run(given, progress) {
    const { findings, cases, failed } = await runKeycloak({
      only: given.text('only') || undefined,
      progress,
    })
    return {
      holds: failed === 0 && cases > 0,
      findings,
      summary: `${cases} cases, ${failed} failed`,
      counts: { cases, failed },
    }
  },
})
