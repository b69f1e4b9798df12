/** What a way to read is, whatever the protocol. */
export interface Way<Connections> {
  name: string
  group: string
  run(to: Connections): Promise<void>
  /** Changes what it finds: it is given a database of its own. */
  fresh?: boolean
  /** The client knows the value, since it says it: only what Custody keeps is searched. */
  told?: boolean
  /** Not on servers before this version. */
  since?: number
}
