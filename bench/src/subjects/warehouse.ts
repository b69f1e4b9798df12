/** The embedded warehouse in a process of its own, as in stand-alone. */
import { createWarehouse } from '@custody/warehouse'

const environment = process.env as Record<string, string>
const warehouse = createWarehouse({
  directory: environment.BENCH_DIRECTORY!,
  port: Number(environment.BENCH_PORT),
  password: environment.BENCH_PASSWORD!,
  // The engine reads its file in one query, of which the stand-alone's bound would be the measure.
  ...(environment.BENCH_QUERY_MEMORY && {
    queryMemoryBytesMax: Number(environment.BENCH_QUERY_MEMORY),
  }),
})
void warehouse.start().then(() => process.send?.('ready'))
process.on('SIGTERM', () => void warehouse.stop().then(() => process.exit(0)))
process.on('disconnect', () => void warehouse.stop().then(() => process.exit(0)))
