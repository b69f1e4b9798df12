/** versitygw, an S3-compatible store on a directory; objects are read as files, not through what wrote them. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { freePort } from '@custody/kit'
import { temporaryDirectory } from '@custody/test-support'
import { parquetReadObjects } from 'hyparquet'
import { CACHE, Program, type Receiver } from './receiver'

const ACCESS = 'tester'
const SECRET = 'a secret of the tests alone'

export async function startS3(container: 'jsonl.gz' | 'parquet'): Promise<Receiver> {
  const directory = temporaryDirectory('siem-s3')
  const files = join(directory.path, 'files')
  mkdirSync(join(files, 'evidence'), { recursive: true })
  const port = await freePort()
  const program = new Program(
    join(CACHE, 'versitygw/versitygw'),
    ['--port', `127.0.0.1:${port}`, '--access', ACCESS, '--secret', SECRET, 'posix', files],
    { port, log: join(directory.path, 'log') },
  )
  await program.start()

  const settings = (reachedAt: number) => ({
    type: 's3',
    format: 'ocsf',
    endpoint: `http://127.0.0.1:${reachedAt}`,
    bucket: 'evidence',
    container,
    accessKeyId: { literal: ACCESS },
    secretAccessKey: { literal: SECRET },
  })

  return {
    what: `versitygw 1.8.0 (${container})`,
    isReal: true,
    // In an object events are in order; between objects their names say it.
    ordered: true,
    port,
    directory: join(files, 'evidence'),
    settings,
    async received() {
      const root = join(files, 'evidence/custody')
      if (!existsSync(root)) return []
      const objects = (readdirSync(root, { recursive: true }) as string[])
        .filter((name) => name.endsWith(container))
        .map((name) => ({ name, at: statSync(join(root, name)).mtimeMs }))
        .sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))
      const ids: string[] = []
      for (const { name } of objects) {
        const bytes = readFileSync(join(root, name))
        if (container === 'parquet') {
          const file = new Uint8Array(bytes).buffer
          for (const { id, record } of (await parquetReadObjects({ file })) as {
            id: string
            record: string
          }[]) {
            if (JSON.parse(record).metadata.uid !== id)
              throw new Error(`${name}: ${id} is not in its record`)
            ids.push(id)
          }
        } else
          for (const line of gunzipSync(bytes).toString().trimEnd().split('\n'))
            ids.push(JSON.parse(line).metadata.uid)
      }
      return ids
    },
    kill: () => program.end('SIGKILL'),
    restart: () => program.start(),
    async stop() {
      await program.end('SIGTERM')
      await directory.remove()
    },
  }
}
