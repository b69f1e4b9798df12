/**
 * The services of the compose file as processes of this machine: the command, environment and user that compose and the
 * Dockerfile give them, in a tree laid out by the Dockerfile's own step, with the image's own Node.js.
 * What must differ, because there are no containers, is one table (`Places`): where directories lie, and at which port of
 * loopback the name of another service is. Refuses to hand a service a secret or a configuration that compose does not.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type ComposeProject, type ComposeService, secretPaths } from './compose'
import { type Dockerfile, processOf } from './dockerfile'
import { compose, nodeOfImage, root } from './tools'

export interface Places {
  /** Everything lies below it; others must be able to pass through. */
  directory: string
  /** What ./make-secrets made. */
  secrets: string
  /** Text of custody.yaml, or of the environment, and what stands here in its place. */
  instead: readonly (readonly [inContainer: string, here: string])[]
  /** Ports of containers, which are free there and may not be here; by service and replica. */
  portOf(service: string, replica: number, port: number): number
  /** Variables that only this form has, by service: said where they are given. */
  more?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

export interface NativeService {
  readonly name: string
  said(): string
  /** The command of compose's health check. */
  health(): Promise<{ code: number | null; said: string }>
  readonly process: ChildProcess
  /** A program of the image in this service's container, as `docker exec`. */
  run(program: string, ...args: string[]): Promise<{ code: number | null; said: string }>
  /** As `docker stop`; answers the exit code. */
  stop(): Promise<number | null>
}

/** The tree that the image has: its own step of the Dockerfile, run here. */
export function layOut(file: Dockerfile, places: Places): void {
  const step = file.stages
    .find(({ name }) => name === 'build')!
    .instructions.find(({ words }) => words[0]?.startsWith('node infra/image/assemble.mjs'))!
  const [, script, to] = step.words[0]!.split(' ') as [string, string, string]
  ranWell(process.execPath, [join(root, script), imagePath(places, to)])
  const { copied } = processOf(file, 'custody')
  for (const [source, target] of copied) {
    const place = imagePath(places, target)
    mkdirSync(place, { recursive: true })
    const name = join(place, source.split('/').at(-1)!)
    copyFileSync(join(root, source), name)
    chmodSync(name, 0o755)
  }
  const bin = imagePath(places, '/usr/local/bin')
  copyFileSync(nodeOfImage, join(bin, 'node'))
  chmodSync(join(bin, 'node'), 0o755)
}

const imagePath = ({ directory }: Places, path: string) => join(directory, 'image', path)

function ranWell(program: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(stderr)
}

export function startService(
  project: ComposeProject,
  file: Dockerfile,
  name: string,
  replica: number,
  places: Places,
): NativeService {
  const service = project.services[name]!
  const image = processOf(file, service.build!.target!)
  const own = join(places.directory, `${name}-${replica}`)
  // Only root can become somebody else, as a container's engine does.
  const [uid, gid] = (service.user ?? image.user).split(':').map(Number) as [number, number]
  const isRoot = process.getuid?.() === 0
  const identity = isRoot ? { uid, gid } : {}

  const replaced = (text: string): string => {
    let result = text
    for (const [from, to] of places.instead) result = result.replaceAll(from, to)
    // All at once, since where things lie may look like a place in the container; and longer paths first.
    const mounts = new Map(mountsOf(service, own))
    const paths = [...mounts.keys()].sort((a, b) => b.length - a.length)
    const anyPath = new RegExp(paths.map((path) => path.replaceAll('.', '\\.')).join('|'), 'g')
    return result.replace(anyPath, (path) => mounts.get(path)!)
  }
  layOutOwn(project, service, own, places, replaced, isRoot ? [uid, gid] : null)

  const environment: Record<string, string> = {
    PATH: `${imagePath(places, '/usr/local/bin')}:/usr/bin:/bin`,
    ...image.environment,
    ...(service.environment as Record<string, string>),
  }
  for (const [variable, value] of Object.entries(environment))
    environment[variable] = replaced(value)
  const ports = {
    CUSTODY_PORT_POSTGRES: 15432,
    CUSTODY_PORT_CONSOLE: 15480,
    CUSTODY_PORT_HEALTH: 15490,
  }
  for (const [variable, port] of Object.entries(ports))
    if (variable in environment || variable !== 'CUSTODY_PORT_HEALTH')
      environment[variable] = String(places.portOf(name, replica, port))
  Object.assign(environment, places.more?.[name])

  const cwd = imagePath(places, image.directory)
  const command = [
    ...(service.entrypoint ?? image.entrypoint),
    ...(service.command ?? image.command),
  ]
  const child = spawn(join(imagePath(places, '/usr/local/bin'), command[0]!), command.slice(1), {
    cwd,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...identity,
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      said += data
    })
  const gone = once(child, 'exit')
  return {
    name,
    process: child,
    said: () => said,
    async run(program, ...args) {
      // Not to its end at once: what it asks may itself ask a server of this process.
      const child = spawn(join(imagePath(places, '/usr/local/bin'), program), args, {
        cwd,
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
        ...identity,
      })
      let answer = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (data) => {
          answer += data
        })
      const [code] = (await once(child, 'close')) as [number | null]
      return { code, said: answer.trim() }
    },
    async health() {
      const [kind, program, ...args] = service.healthcheck!.test!
      if (kind !== 'CMD') throw new Error(`${name}: a health check by ${kind}`)
      const mapped = args.map((arg) =>
        /^\d+$/.test(arg) ? String(places.portOf(name, replica, Number(arg))) : arg,
      )
      return this.run(program!, ...mapped)
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await gone
      return child.exitCode
    },
  }
}

/** Paths in the container, and where they are here. */
function* mountsOf(service: ComposeService, own: string): Generator<[string, string]> {
  for (const path of secretPaths(service)) yield [path, join(own, path)]
  for (const { target } of service.configs ?? []) yield [target!, join(own, target!)]
  for (const { target } of service.volumes ?? []) yield [target, join(own, target)]
  for (const one of service.tmpfs ?? []) yield [one.split(':')[0]!, join(own, one.split(':')[0]!)]
}

function layOutOwn(
  project: ComposeProject,
  service: ComposeService,
  own: string,
  { secrets }: Places,
  replaced: (text: string) => string,
  owner: [number, number] | null,
): void {
  if (existsSync(own)) return
  const paths = secretPaths(service)
  for (const [i, { source }] of (service.secrets ?? []).entries()) {
    const place = join(own, paths[i]!)
    mkdirSync(join(place, '..'), { recursive: true })
    // As Docker mounts a file: its own rights, whatever the directory's.
    copyFileSync(join(secrets, project.secrets![source]!.file!.split('/').at(-1)!), place)
  }
  for (const { source, target } of service.configs ?? []) {
    const place = join(own, target!)
    mkdirSync(join(place, '..'), { recursive: true })
    const { file } = project.configs![source]!
    writeFileSync(place, replaced(readFileSync(join(compose, file!.slice(compose.length)), 'utf8')))
  }
  const writable = [
    ...(service.volumes ?? []).map(({ target }) => target),
    ...(service.tmpfs ?? []).map((one) => one.split(':')[0]!),
  ]
  for (const target of writable) {
    mkdirSync(join(own, target), { recursive: true })
    chmodSync(join(own, target), 0o700)
    if (owner) chownSync(join(own, target), ...owner)
  }
}
