/** OpenSearch, one node in a Java process, into an index or a data stream. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import { temporaryDirectory } from '@custody/test-support'
import { CACHE, Program, type Receiver } from './receiver'

const PLACE = join(CACHE, 'opensearch')

export async function startOpenSearch(o: { dataStream?: boolean } = {}): Promise<Receiver> {
  const directory = temporaryDirectory('siem-opensearch')
  mkdirSync(join(directory.path, 'config'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const target = o.dataStream ? 'logs-custody-default' : 'custody'
  const program = new Program(
    'java',
    [
      ...['-Xms384m', '-Xmx384m', '-Djava.security.manager=allow', '-XX:+UseSerialGC'],
      ...['-cp', `${PLACE}:${PLACE}/*`, 'OpenSearchForTests', directory.path, String(port)],
    ],
    { port, log: join(directory.path, 'log') },
  )
  await program.start()
  await ready().catch(async (error) => {
    await program.end('SIGKILL')
    throw error
  })

  let hasIndex = false

  async function ready(): Promise<void> {
    await ask('GET', '/_cluster/health?wait_for_status=yellow&timeout=60s')
    if (o.dataStream) {
      await ask('PUT', '/_index_template/custody', {
        index_patterns: ['logs-custody-*'],
        data_stream: {},
        template: SETTINGS,
      })
      return
    }
    await ask('PUT', '/_template/custody', { index_patterns: ['custody*'], ...SETTINGS })
  }

  async function ask(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    if (!response.ok)
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }

  return {
    what: `OpenSearch 2.19.4 (${o.dataStream ? 'data stream' : 'index'})`,
    isReal: true,
    ordered: false,
    port,
    settings: (reachedAt) => ({
      type: 'elasticsearch',
      format: 'ecs',
      urls: [`http://127.0.0.1:${reachedAt}`],
      ...(o.dataStream ? { dataStream: target } : { index: target }),
    }),
    async received() {
      // Made by the first event.
      hasIndex ||= (await fetch(`${url}/${target}`, { method: 'HEAD' })).ok
      if (!hasIndex) return []
      await ask('POST', `/${target}/_refresh`)
      const ids: string[] = []
      type Page = {
        _scroll_id: string
        hits: { hits: { _id: string; _source: { event: { id: string } } }[] }
      }
      let page = (await ask('POST', `/${target}/_search?scroll=1m`, {
        size: 5000,
        _source: ['event.id'],
        sort: ['_doc'],
      })) as Page
      while (page.hits.hits.length > 0) {
        // What is in the document, not only what it is called.
        for (const { _source } of page.hits.hits) ids.push(_source.event.id)
        page = (await ask('POST', '/_search/scroll', {
          scroll: '1m',
          scroll_id: page._scroll_id,
        })) as Page
      }
      await ask('DELETE', '/_search/scroll', { scroll_id: [page._scroll_id] })
      return ids
    },
    kill: () => program.end('SIGKILL'),
    async restart() {
      await program.start()
      await ask('GET', '/_cluster/health?wait_for_status=yellow&timeout=60s')
    },
    /** What a node does to its indices when its disk passes the flood stage. */
    async fill() {
      await ask('PUT', `/${target}/_settings`, { 'index.blocks.read_only_allow_delete': true })
    },
    async empty() {
      await ask('PUT', `/${target}/_settings`, { 'index.blocks.read_only_allow_delete': null })
    },
    async stop() {
      await program.end('SIGTERM')
      directory.remove()
    },
  }
}

const SETTINGS = {
  settings: {
    number_of_shards: 1,
    number_of_replicas: 0,
    'index.mapping.total_fields.limit': 2000,
  },
}
