/**
 * What Docker Compose, BuildKit and Helm themselves make of our files (tools/main.go), and where things are. Set-up builds
 * them; without it nothing here answers.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(__dirname, '../../..')
export const compose = join(root, 'infra/docker-compose')
export const chart = join(root, 'infra/helm/custody')
const place = join(root, 'node_modules/.cache/custody-infra')

export class ToolError extends Error {}

/** Rejects with what the program said against it. */
export function read<T>(what: string, ...args: string[]): T {
  const program = join(place, 'programs/infra-tools')
  if (!existsSync(program)) throw new Error('they are not built: node scripts/setup.mjs --infra')
  // Nothing of this machine may get into what is read.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME }
  const { status, stdout, stderr, error } = spawnSync(program, [what, ...args], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env,
  })
  if (error) throw error
  if (status !== 0) throw new ToolError(stderr.trim())
  return JSON.parse(stdout) as T
}

/** The directory of a Kubernetes version's schemas, as published. */
export const kubernetesSchemas = (version: string) =>
  join(place, `kubernetes/kubernetes_validate/kubernetes-json-schema/v${version}-local-strict`)

/** The Node.js that the image has. */
export const nodeOfImage = join(
  place,
  `node/node_modules/node-${process.platform}-${process.arch}/bin/node`,
)
