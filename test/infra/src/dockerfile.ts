/** What must hold of the Dockerfile: a pure function of what BuildKit's own parser made of it. */
export interface Instruction {
  line: number
  name: string
  flags?: string[]
  words: string[]
  json?: boolean
}

export interface Stage {
  name: string
  base: string
  instructions: Instruction[]
}

export interface Dockerfile {
  arguments: Instruction[]
  stages: Stage[]
  warnings: string[]
}

/** `ARG NAME=value` before the first stage. */
export function argumentsOf(file: Dockerfile): Record<string, string> {
  return Object.fromEntries(
    file.arguments.flatMap(({ words }) =>
      words.map((word) => {
        const at = word.indexOf('=')
        return [word.slice(0, at), word.slice(at + 1)]
      }),
    ),
  )
}

/** What a container of this stage begins with. */
export function processOf(file: Dockerfile, stage: string) {
  const { instructions } = file.stages.find(({ name }) => name === stage)!
  const last = (name: string) => instructions.filter((one) => one.name === name).at(-1)
  const environment: Record<string, string> = {}
  // Name, value and what stood between them, over and over.
  for (const { words } of instructions.filter(({ name }) => name === 'ENV'))
    for (let i = 0; i < words.length; i += 3)
      environment[words[i]!] = words[i + 1]!.replace(/^"(.*)"$/, '$1')
  return {
    environment,
    user: last('USER')?.words[0] ?? 'root',
    directory: last('WORKDIR')?.words[0] ?? '/',
    entrypoint: last('ENTRYPOINT')?.words ?? [],
    command: last('CMD')?.words ?? [],
    /** Source in the build context to place in the image. */
    copied: instructions
      .filter(({ name, flags }) => name === 'COPY' && !flags?.some((f) => f.startsWith('--from')))
      .flatMap(({ words }) => words.slice(0, -1).map((source) => [source, words.at(-1)!] as const)),
  }
}

export function breachesOf(file: Dockerfile): string[] {
  const found = [...file.warnings]
  const say = (line: number, what: string) => found.push(`line ${line}: ${what}`)
  const given = argumentsOf(file)
  const names = file.stages.map(({ name }) => name)
  for (const { name, base, instructions } of file.stages) {
    const image = base.replace(/^\$\{(\w+)\}$/, (_, variable: string) => given[variable] ?? '')
    const isPinned = /@sha256:[0-9a-f]{64}$|:v?\d+\.\d+(\.\d+)*(-[\w.-]+)?$/.test(image)
    if (!isPinned && !names.includes(base)) found.push(`${name}: ${base} is not pinned`)
    const user = instructions.filter((one) => one.name === 'USER').at(-1)?.words[0]
    if (name !== 'build' && (!user || !/^[1-9]\d*(:\d+)?$/.test(user)))
      found.push(`${name}: does not end as a user other than root, by number`)
    for (const { line, name: instruction, flags = [], words, json } of instructions) {
      if (instruction === 'ADD') say(line, 'ADD may fetch and unpack; COPY does not')
      if (/^(ENTRYPOINT|CMD)$/.test(instruction) && !json) say(line, 'runs a shell around it')
      if (
        instruction === 'RUN' &&
        /(^|&&|;|\||\()\s*(curl|wget|apt-get|apk|npm install|npx)\b/.test(words[0]!)
      )
        say(line, 'fetches what no lock file pins')
      for (const flag of flags)
        if (flag.startsWith('--from=') && !names.includes(flag.slice(7)))
          say(line, `copies from ${flag.slice(7)}, which is no stage`)
      if (instruction === 'ENV' && words.some((word) => /PASSWORD|SECRET|TOKEN/.test(word)))
        say(line, 'has a secret in the environment')
    }
  }
  if (names.at(-1) !== 'custody')
    found.push('the last stage, which is built by default, is not custody')
  return found
}
