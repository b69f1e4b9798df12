import { languageOf, languageOfEvent, loadLanguages } from './languages'

beforeAll(loadLanguages)

test('commands are read in the language of the resource’s protocol', () => {
  expect(
    languageOf('postgres')
      .analyse('drop table a; select 1')
      .map(({ facts }) => facts.verbs),
  ).toEqual([['sql:drop'], ['sql:select']])
  const [shell] = languageOf('ssh').analyse('sudo rm -rf /')
  expect(shell!.facts.verbs).toEqual(
    expect.arrayContaining(['ssh:exec', 'shell:run', 'shell:elevate', 'shell:destroy']),
  )
  expect(() => languageOf('gopher')).toThrow('gopher')
})

test('events are read in theirs, and others left alone', () => {
  expect(languageOfEvent('shell', 'ssh')?.name).toBe('shell')
  expect(languageOfEvent('sql', 'postgres')?.name).toBe('sql')
  expect(languageOfEvent('http', 'ssh')).toBe(null)
})
