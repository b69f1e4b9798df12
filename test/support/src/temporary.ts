/**
 * Directories that tests fill and throw away. Refuses to hand out one that already holds something.
 */
import { chmodSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new empty directory; `open` lets other accounts pass through it, as a server that may not run as root must. */
export function temporaryDirectory(
  name: string,
  o: { open?: boolean; in?: string } = {},
): { path: string; remove(): Promise<void> } {
  const path = mkdtempSync(join(o.in ?? tmpdir(), `custody-${name}-`))
  if (o.open) chmodSync(path, 0o755)
  // What was just stopped may still be writing its last.
  const settings = { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }
  return { path, remove: () => rm(path, settings) }
}
