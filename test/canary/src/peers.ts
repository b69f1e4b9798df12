/**
 * The same ways to read through other proxies that are installed here, measured rather than claimed: how many of them show
 * the client a value. Only what the client got is searched.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { startSubjects } from '@custody/bench/dist/subjects'
import { temporaryDirectory } from '@custody/test-support'
import { type CanaryOptions, inParallel, SHARED, selected, startServers, take } from './canary'
import { Searcher } from './search'
import { allCanaries } from './values'

export interface PeerRow {
  peer: string
  paths: number
  leaks: number
}

export const PEERS = ['pgbouncer', 'haproxy']

export async function runPeers(
  o: CanaryOptions & { peer: string },
): Promise<{ rows: PeerRow[]; missing: string[] }> {
  const { workers = 6, progress = () => {} } = o
  const ways = selected(o.only).filter(({ told }) => !told)
  const searcher = new Searcher(allCanaries())
  const servers = await startServers(ways)
  const directory = temporaryDirectory('canary-peers', { open: true })
  const rows: PeerRow[] = []
  const missing: string[] = []
  try {
    for (const { server, resource } of servers.all) {
      const own = ways.filter((way) => servers.of(way)?.server === server)
      const place = join(directory.path, resource)
      mkdirSync(place)
      const peers = await startSubjects(
        server,
        place,
        (name) => PEERS.includes(name) && ['all', name].includes(o.peer),
      )
      missing.push(...peers.missing.filter((name) => !missing.includes(name)))
      try {
        for (const { name: peer, port, user, password } of peers.all) {
          progress(`${own.length} ways through ${peer}`)
          let leaks = 0
          await inParallel(own, workers, async (way) => {
            const database = way.fresh ? await servers.fresh(server) : SHARED[0]
            const at = { port, user, password, database }
            const seen = await take(way, at, 'control', server, database, searcher, true)
            if (seen.received.length > 0) leaks++
            if (way.fresh) await servers.drop(server, database)
          })
          const row = rows.find((one) => one.peer === peer)
          if (row) {
            row.paths += own.length
            row.leaks += leaks
          } else rows.push({ peer, paths: own.length, leaks })
        }
      } finally {
        await peers.stop()
      }
    }
  } finally {
    await servers.stop()
    await directory.remove()
  }
  return { rows, missing }
}
