/** A home is made, recognised, and left alone when it is newer than we are. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { homeDirectory, prepareHome, readStatus, writeFileAtomic } from './home'
import { freePort, listen } from './ports'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-home-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('is made with its format, and its secrets are the owner’s alone', () => {
  const home = prepareHome(join(directory, 'home'))
  expect(JSON.parse(readFileSync(join(home.directory, 'home.json'), 'utf8'))).toEqual({
    formatVersion: 1,
  })
  expect(statSync(home.keys).mode & 0o777).toBe(0o700)
  expect(statSync(home.run).mode & 0o777).toBe(0o700)
  prepareHome(home.directory)
})

test('of a newer version is refused, and stays as it is', () => {
  writeFileSync(join(directory, 'home.json'), '{"formatVersion":2}')
  expect(() => prepareHome(directory)).toThrow(
    expect.objectContaining({
      code: 'CUSTODY-HOME-001',
      message: expect.stringContaining('format 2'),
    }),
  )
  expect(() => statSync(join(directory, 'log'))).toThrow(/ENOENT/)
})

test('that cannot be read is refused', () => {
  writeFileSync(join(directory, 'home.json'), 'not json')
  expect(() => prepareHome(directory)).toThrow(
    expect.objectContaining({ code: 'CUSTODY-HOME-003' }),
  )
  writeFileSync(join(directory, 'file'), '')
  expect(() => prepareHome(join(directory, 'file'))).toThrow(
    expect.objectContaining({ code: 'CUSTODY-HOME-003' }),
  )
})

test('is where the environment says', () => {
  expect(homeDirectory({}, '/work')).toBe('/work/.custody')
  expect(homeDirectory({ CUSTODY_HOME: 'state' }, '/work')).toBe('/work/state')
  expect(homeDirectory({ CUSTODY_HOME: '/var/custody' }, '/work')).toBe('/var/custody')
})

test('its status is read whole or not at all', () => {
  const home = prepareHome(directory)
  expect(readStatus(home)).toBeUndefined()
  writeFileAtomic(home.statusFile, '{"pid":1}')
  expect(readStatus(home)).toEqual({ pid: 1 })
  writeFileAtomic(home.statusFile, '{')
  expect(readStatus(home)).toBeUndefined()
})

test('a taken port names the setting that changes it', async () => {
  const first = createServer()
  const port = await listen(first, { host: '127.0.0.1', port: 0, setting: 'listen.postgres' })
  expect(await freePort()).not.toBe(port)
  await expect(
    listen(createServer(), {
      host: '127.0.0.1',
      port,
      setting: 'listen.postgres',
      variable: 'CUSTODY_PORT_POSTGRES',
    }),
  ).rejects.toMatchObject({
    code: 'CUSTODY-LISTEN-001',
    message: `port ${port} on 127.0.0.1 is taken by another program; change it with listen.postgres or CUSTODY_PORT_POSTGRES`,
  })
  await new Promise((resolve) => first.close(resolve))
})
