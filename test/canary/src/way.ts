/** What a way to read is, whatever the protocol. */
export interface Way<Connections> {
  name: string
  group: string
  run(to: Connections): Promise<void>
  /** Changes what it finds: it is given a database of its own. */
  fresh?: boolean
  /** The client knows the value, since it says it: only what Custody keeps is searched. */
  told?: boolean
  /**
   * What the query makes of a value that no rule names, so that no detector knows it any more: documented, and asked about by
   * itself (`--limits`).
   */
  limit?: string
  /** Not on servers before this version. */
  since?: number
}
