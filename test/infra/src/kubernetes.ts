/** Objects as Helm renders them, what Kubernetes' published schemas say of each, and the rules that no schema has. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ValidateFunction } from 'ajv'
import Ajv from 'ajv/dist/2020'
import { parseAllDocuments } from 'yaml'
import { kubernetesSchemas } from './tools'

// biome-ignore lint/suspicious/noExplicitAny: objects of many kinds, checked by their schemas
export type KubernetesObject = any

export function objectsOf(manifest: string): KubernetesObject[] {
  return parseAllDocuments(manifest)
    .map((document) => {
      if (document.errors[0]) throw document.errors[0]
      return document.toJS()
    })
    .filter((object) => object !== null)
}

/** Of other makers: Prometheus' operator publishes its own. */
const FOREIGN = new Set(['monitoring.coreos.com/v1 ServiceMonitor'])

/** Of a version, by file: what is read and compiled is kept, since it takes seconds. */
const compiled = new Map<string, { ajv: Ajv; validators: Map<string, ValidateFunction> }>()

function schemasOf(version: string, load: (name: string) => object) {
  const known = compiled.get(version)
  if (known) return known
  const ajv = new Ajv({ strict: false, allErrors: true, logger: false })
  ajv.addSchema(load('_definitions.json'), '/api/_definitions.json')
  const made = { ajv, validators: new Map<string, ValidateFunction>() }
  compiled.set(version, made)
  return made
}

export function schemaBreachesOf(objects: KubernetesObject[], version: string): string[] {
  const directory = kubernetesSchemas(version)
  const load = (name: string) => JSON.parse(readFileSync(join(directory, name), 'utf8'))
  const { ajv, validators } = schemasOf(version, load)
  return objects.flatMap((object) => {
    const kind = `${object.apiVersion} ${object.kind}`
    const at = `${object.kind} ${object.metadata?.name}`
    if (FOREIGN.has(kind)) return []
    const [group, of] = object.apiVersion.includes('/')
      ? [`${object.apiVersion.split('/')[0].split('.')[0]}-`, object.apiVersion.split('/')[1]]
      : ['', object.apiVersion]
    const file = `${object.kind.toLowerCase()}-${group}${of}.json`
    if (!existsSync(join(directory, file))) return [`${at}: Kubernetes ${version} has no ${kind}`]
    const validate = validators.get(file) ?? ajv.compile(load(file))
    validators.set(file, validate)
    if (validate(object)) return []
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) =>
        `${at}: ${instancePath} ${message} ${JSON.stringify(params)}`,
    )
  })
}

/** The restricted Pod Security Standard, and what belongs together. */
export function breachesOf(objects: KubernetesObject[]): string[] {
  const found: string[] = []
  const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
  const seen = new Set<string>()
  for (const object of objects) {
    const at = `${object.kind} ${object.metadata.name}`
    if (seen.has(at)) found.push(`${at}: is there twice`)
    seen.add(at)
    if (object.kind === 'Secret') found.push(`${at}: secrets come by reference`)
    if (object.kind === 'Service') {
      const pods = podsOf(objects).find(({ labels }) => matches(object.spec.selector, labels))
      if (!pods) found.push(`${at}: selects no pod`)
      const names = pods?.spec.containers.flatMap((one: KubernetesObject) =>
        one.ports.map(({ name }: { name: string }) => name),
      )
      for (const { targetPort } of object.spec.ports)
        if (pods && !names.includes(targetPort)) found.push(`${at}: no container has ${targetPort}`)
    }
  }
  for (const { at, labels, spec } of podsOf(objects)) {
    const say = (what: string) => found.push(`${at}: ${what}`)
    const { securityContext: pod = {} } = spec
    if (pod.runAsNonRoot !== true || !(pod.runAsUser > 0)) say('may run as root')
    if (pod.seccompProfile?.type !== 'RuntimeDefault') say('has no seccomp profile')
    if (spec.automountServiceAccountToken !== false) say('gets a token of the cluster')
    if (spec.hostNetwork || spec.hostPID || spec.hostIPC) say('shares a namespace of the node')
    const volumes = new Set(spec.volumes?.map(({ name }: { name: string }) => name))
    for (const volume of spec.volumes ?? []) if (volume.hostPath) say('has a path of the node')
    for (const claim of claimsOf(objects, at)) volumes.add(claim)
    for (const container of spec.containers) {
      const { securityContext: own = {}, resources, image } = container
      if (own.allowPrivilegeEscalation !== false) say('may gain privileges')
      if (own.readOnlyRootFilesystem !== true) say('can write to its own file system')
      if (!own.capabilities?.drop?.includes('ALL') || own.capabilities.add) say('has capabilities')
      if (!resources?.requests?.memory || !resources.limits?.memory) say('has no bound of memory')
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'])
        if (!container[probe]) say(`has no ${probe}`)
      if (!/@sha256:[0-9a-f]{64}$|:\d+\.\d+/.test(image)) say(`${image} is not pinned`)
      for (const { name } of container.volumeMounts)
        if (!volumes.has(name)) say(`mounts ${name}, which there is not`)
      for (const { name, value } of container.env ?? [])
        if (value !== undefined && /PASSWORD|SECRET|TOKEN/.test(name)) say(`${name} is a value`)
    }
    const own = policies.filter(({ spec: { podSelector } }) =>
      matches(podSelector.matchLabels, labels),
    )
    if (own.length !== 1 || own[0].spec.policyTypes.length !== 2)
      say('is not held by one network policy, both ways')
  }
  return found
}

function podsOf(objects: KubernetesObject[]) {
  return objects
    .filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind))
    .map(({ kind, metadata, spec }) => ({
      at: `${kind} ${metadata.name}`,
      labels: spec.template.metadata.labels,
      spec: spec.template.spec,
    }))
}

function claimsOf(objects: KubernetesObject[], at: string): string[] {
  const found = objects.find(({ kind, metadata }) => `${kind} ${metadata.name}` === at)
  return (found?.spec.volumeClaimTemplates ?? []).map(
    ({ metadata }: KubernetesObject) => metadata.name,
  )
}

function matches(selector: Record<string, string>, labels: Record<string, string>): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value)
}
