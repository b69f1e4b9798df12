/** `npm run canary`: prints what leaked and where, and as its last line the counts. Exit code 1 for any, or a way that proves nothing. */
import { runSuite } from '@custody/test-support'
import { PROTOCOLS, runCanary } from './canary'
import { PEERS, runPeers } from './peers'
import { GATEWAY_MASKS, PROFILES, type Profile } from './profiles'

runSuite({
  name: 'canary',
  protocols: PROTOCOLS,
  usage: `[--only <part of a name>] [--profile ${PROFILES.join('|')}] [--peer all|<name>] [--thorough] [--limits] [--masking|--no-masking]`,
  about:
    'Plants unmistakable values in a real PostgreSQL or MariaDB, reads them back through Custody in every way the protocol has, and\nsearches every byte that reached the client or that Custody kept. Each way is proven to work without Custody.',
  options: {
    only: { type: 'string' },
    profile: { type: 'string', default: 'redact' },
    peer: { type: 'string' },
    thorough: { type: 'boolean', default: false },
    limits: { type: 'boolean', default: false },
    masking: { type: 'boolean', default: false },
    'no-masking': { type: 'boolean', default: false },
  },
  wrong(given) {
    const [profile, peer] = [given.text('profile'), given.text('peer')]
    if (!PROFILES.includes(profile as Profile))
      return `--profile ${profile}: ${PROFILES.join(', ')}`
    if (peer !== undefined && !['all', ...PEERS].includes(peer))
      return `--peer ${peer}: all, ${PEERS.join(', ')}`
    return undefined
  },
  async run(given, progress) {
    const only = given.text('only') || undefined
    const peer = given.text('peer')
    if (peer !== undefined) {
      const { rows, missing } = await runPeers({ only, peer, progress })
      for (const name of missing) progress(`not installed here: ${name}`)
      return {
        holds: rows.length > 0,
        findings: rows.map((row) => `${row.peer}: ${row.leaks} of ${row.paths} ways show a value`),
        summary: rows.map((row) => `${row.peer} ${row.leaks}/${row.paths}`).join(', '),
        counts: { peers: rows, missing },
      }
    }
    const { groups, byPlace, bytesSearched, ...result } = await runCanary({
      protocol: given.text('protocol'),
      server: given.server,
      only,
      profile: given.text('profile') as Profile,
      thorough: given.has('thorough'),
      limits: given.has('limits'),
      masking: given.has('masking') || (GATEWAY_MASKS && !given.has('no-masking')),
      progress,
    })
    for (const [group, { paths, leaking }] of Object.entries(groups))
      progress(`${group}: ${paths} ways, ${leaking} let the client see`)
    for (const [place, count] of Object.entries(byPlace)) progress(`${count} found in ${place}`)
    progress(`${Math.round(bytesSearched / 1e6)} MB searched`)
    const { paths, places, leaks, unproven, elsewhere, findings } = result
    if (given.has('limits'))
      return {
        holds: paths > 0,
        findings: [],
        summary: `${paths} ways that detectors are known to miss; ${byPlace['what the client got'] ?? 0} of them show a value to the client`,
        counts: { paths, shown: byPlace['what the client got'] ?? 0 },
      }
    return {
      holds: leaks + unproven === 0 && paths > 0,
      findings,
      summary: `${paths} ways to read, ${places} kinds of places, ${leaks} leaks, ${unproven} not proven${elsewhere > 0 ? `, ${elsewhere} that are none at this server` : ''}`,
      counts: { paths, places, leaks, unproven, elsewhere, findings },
    }
  },
})
