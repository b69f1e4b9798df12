import { CommandsUnderWay } from './commands'
import { createFormat } from './index'
import { sampleOf } from './testing/samples'

const under = (n: number, sample: string) => {
  const event = sampleOf(sample)
  event.command!.writeUInt32BE(n, 0)
  return event
}

describe('commands under way', () => {
  test('a command that completes has its text, once', () => {
    const commands = new CommandsUnderWay()
    const start = under(1, 'sql-grant')
    expect(commands.follow(start)).toBe(start)
    const end = under(1, 'sql-completed')
    const joined = commands.follow(end)
    expect(joined).toEqual({ ...end, statement: start.statement, decision: start.decision })
    expect(end.statement).toBeNull()
    expect(JSON.parse(createFormat('ocsf').text(joined)!)).toMatchObject({
      class_uid: 3005,
      status_id: 1,
      metadata: { uid: JSON.parse(createFormat('ocsf').text(end)!).metadata.uid },
    })
    expect(commands.follow(end)).toBe(end)
    expect(commands.size).toBe(0)
  })

  test('a portal that was suspended keeps it', () => {
    const commands = new CommandsUnderWay()
    commands.follow(under(1, 'sql-select'))
    const part = under(1, 'sql-completed')
    part.response!.status = 'suspended'
    expect(commands.follow(part).statement).not.toBeNull()
    expect(commands.follow(under(1, 'sql-completed')).statement).not.toBeNull()
    expect(commands.size).toBe(0)
  })

  test('what has no room is forgotten, oldest first, and counted', () => {
    const commands = new CommandsUnderWay(10)
    for (let i = 0; i < 25; i++) commands.follow(under(i, 'sql-select'))
    expect([commands.size, commands.forgotten]).toEqual([10, 15])
    expect(commands.follow(under(3, 'sql-completed')).statement).toBeNull()
    expect(commands.follow(under(24, 'sql-completed')).statement).not.toBeNull()
    const few = new CommandsUnderWay(10, 100)
    for (let i = 0; i < 5; i++) few.follow(under(i, 'sql-select'))
    expect(few.size).toBeLessThan(4)
  })

  test('other events are themselves', () => {
    const commands = new CommandsUnderWay()
    for (const name of ['ssh-output', 'sign-in', 'command-blocked', 'ssh-exec-completed']) {
      const event = sampleOf(name)
      expect(commands.follow(event)).toBe(event)
    }
  })
})
