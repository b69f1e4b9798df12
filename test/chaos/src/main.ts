/** `npm run chaos`: breaks everything it can for a while, and prints what is left. Exit code 1 where a promise is broken. */
import { runSuite } from '@custody/test-support'
import { keeps, runChaos } from './chaos'
import type { Form } from './system'
import { tables } from './table'

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stopped.abort(new Error(`ended by ${signal}`)))

runSuite({
  name: 'chaos',
  usage:
    '[--faults 30] [--seconds n] [--seed n] [--form cluster|embedded] [--without kinds] [--keep]',
  about:
    'Kills and stops processes, fills disks and breaks networks under load, heals everything, and compares the target’s own\nstatement log and what clients saw with what was recorded, queued and stored.',
  options: {
    faults: { type: 'string', default: '30' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    form: { type: 'string', default: 'cluster' },
    without: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
  },
  wrong(given) {
    for (const name of ['faults', 'seconds', 'seed'])
      if (given.text(name) !== undefined && !/^\d{1,9}$/.test(given.text(name)!))
        return `--${name} takes a number`
    return ['embedded', 'cluster'].includes(given.text('form')!)
      ? undefined
      : '--form is embedded or cluster'
  },
  async run(given, progress) {
    const result = await runChaos({
      faults: Number(given.text('faults')),
      ...(given.text('seconds') && { seconds: Number(given.text('seconds')) }),
      seed: Number(given.text('seed')),
      form: given.text('form') as Form,
      without: given.text('without')!.split(',').filter(Boolean),
      keep: given.has('keep'),
      signal: stopped.signal,
      progress,
    })
    for (const line of tables(result)) process.stderr.write(`${line}\n`)
    return {
      holds: keeps(result),
      findings: result.findings.map((finding) => `chaos: ${finding}`),
      summary: `faults ${result.faults}, kinds ${result.kinds}, events ${result.events}, lost ${result.lost}, duplicated ${result.duplicated}, reordered ${result.reordered}, duplicated in Kafka ${result.duplicatedInKafka}`,
      counts: result,
    }
  },
})
