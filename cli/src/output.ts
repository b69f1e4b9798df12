/**
 * Where the command writes: people's text or one JSON object a line on standard output, remarks on standard error.
 */

export interface Output {
  readonly json: boolean
  /** Width of the terminal; Infinity where there is none. */
  readonly columns: number
  line(text?: string): void
  lines(texts: readonly string[]): void
  object(value: unknown): void
  /** As it is: for what draws on the terminal itself. */
  raw(text: string): void
  remark(text: string): void
  /** Resolves when the reader has taken what was written, so that a slow one makes us wait and not grow. */
  drained(): Promise<void>
  dim(text: string): string
  bold(text: string): string
  red(text: string): string
  yellow(text: string): string
}

export interface Streams {
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number }
  stderr: NodeJS.WritableStream
  environment: NodeJS.ProcessEnv
}

export function createOutput(json: boolean, { stdout, stderr, environment }: Streams): Output {
  const colours = stdout.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb'
  const paint = (code: number) => (text: string) =>
    colours ? `\u001b[${code}m${text}\u001b[0m` : text
  return {
    json,
    columns: stdout.isTTY ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY,
    line: (text = '') => void stdout.write(`${text}\n`),
    lines: (texts) => {
      for (const text of texts) stdout.write(`${text}\n`)
    },
    object: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    raw: (text) => void stdout.write(text),
    remark: (text) => void stderr.write(`${text}\n`),
    drained: () =>
      (stdout as { writableNeedDrain?: boolean }).writableNeedDrain
        ? new Promise((resolve) => stdout.once('drain', () => resolve()))
        : Promise.resolve(),
    dim: paint(2),
    bold: paint(1),
    red: paint(31),
    yellow: paint(33),
  }
}
