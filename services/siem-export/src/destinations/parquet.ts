/** Records as a Parquet file: what is looked for most as columns, and the record itself. */
import type { Outgoing } from '../delivery/destination'

export function toParquet(records: readonly Outgoing[]): Buffer {
  const { parquetWriteBuffer } = require('hyparquet-writer') as typeof import('hyparquet-writer')
  const column = <T>(of: (record: Outgoing) => T) => records.map(of)
  return Buffer.from(
    parquetWriteBuffer({
      columnData: [
        { name: 'id', data: column(({ id }) => id), type: 'STRING' },
        {
          name: 'time',
          data: column(({ timeMicros }) => new Date(timeMicros / 1000)),
          type: 'TIMESTAMP',
        },
        { name: 'kind', data: column(({ kind }) => kind), type: 'STRING' },
        { name: 'severity', data: column(({ severity }) => severity), type: 'STRING' },
        { name: 'recorder', data: column(({ recorder }) => recorder), type: 'STRING' },
        { name: 'sequence', data: column(({ sequence }) => BigInt(sequence)), type: 'INT64' },
        { name: 'session', data: column(({ session }) => session), type: 'STRING' },
        { name: 'resource', data: column(({ resource }) => resource), type: 'STRING' },
        { name: 'record', data: column(({ text }) => text), type: 'STRING' },
      ],
    }),
  )
}

/** Identifiers in such a file. */
export async function fromParquet(file: Buffer): Promise<string[]> {
  const { parquetReadObjects } = require('hyparquet') as typeof import('hyparquet')
  const { buffer, byteOffset, byteLength } = file
  const rows = (await parquetReadObjects({
    file: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer,
    columns: ['id'],
  })) as { id: string }[]
  return rows.map(({ id }) => id)
}
