/**
 * A terminal that is only looked at: what its screen shows after some bytes. Emulation by @xterm/headless; here only that it
 * is written to at once and bounded. Refuses to answer the target: what a terminal would send back is dropped.
 */
import { type IBufferCell, type IBufferLine, type IMarker, Terminal } from '@xterm/headless'

/** Written at once: the library's own `write` waits for a later turn, and an answer is needed in this one. */
interface Written {
  _core: { _writeBuffer: { writeSync(data: Uint8Array): void } }
}

const COLUMNS_MIN = 2

export interface Place {
  marker: IMarker
  column: number
}

export class Screen {
  private readonly terminal: Terminal

  constructor(
    columns: number,
    rows: number,
    private readonly cellsMax: number,
    scrollbackRowsMax: number,
  ) {
    this.terminal = new Terminal({
      ...this.bounded(columns, rows),
      scrollback: scrollbackRowsMax,
      allowProposedApi: true,
      logLevel: 'off',
    })
  }

  private bounded(columns: number, rows: number): { cols: number; rows: number } {
    const cols = Math.min(Math.max(COLUMNS_MIN, columns || 80), this.cellsMax)
    return { cols, rows: Math.max(1, Math.min(rows || 24, Math.floor(this.cellsMax / cols))) }
  }

  write(bytes: Uint8Array): void {
    ;(this.terminal as unknown as Written)._core._writeBuffer.writeSync(bytes)
  }

  resize(columns: number, rows: number): void {
    const size = this.bounded(columns, rows)
    this.terminal.resize(size.cols, size.rows)
  }

  get columns(): number {
    return this.terminal.cols
  }

  private get buffer() {
    return this.terminal.buffer.active
  }

  /** Of all rows that are kept. */
  get cursorRow(): number {
    return this.buffer.baseY + this.buffer.cursorY
  }

  /** One behind the last column where the row is full. */
  get cursorColumn(): number {
    return this.buffer.cursorX
  }

  get isFullScreen(): boolean {
    return this.buffer.type === 'alternate'
  }

  /** Where the cursor is, for as long as that row is kept. */
  mark(): Place {
    return { marker: this.terminal.registerMarker(0)!, column: this.cursorColumn }
  }

  line(row: number): IBufferLine | undefined {
    return this.buffer.getLine(row)
  }

  cell(row: number, column: number): IBufferCell | undefined {
    return this.line(row)?.getCell(column)
  }

  isWrapped(row: number): boolean {
    return this.line(row)?.isWrapped ?? false
  }

  /** From `column` on, without trailing blanks. */
  text(row: number, column = 0, until?: number): string {
    return this.line(row)?.translateToString(until === undefined, column, until) ?? ''
  }

  rows(): string[] {
    const out: string[] = []
    for (let row = 0; row < this.terminal.rows; row++) out.push(this.text(this.buffer.baseY + row))
    return out
  }

  /** All that a terminal shows: characters and how they look, the cursor. For comparing two. */
  frame(): string {
    const { buffer, terminal } = this
    const out: string[] = [
      `${terminal.cols}x${terminal.rows} ${buffer.type} ${buffer.cursorX},${buffer.cursorY}`,
    ]
    for (let row = 0; row < terminal.rows; row++) {
      const line = buffer.getLine(buffer.baseY + row)
      let text = ''
      for (let column = 0; line && column < terminal.cols; column++) {
        const cell = line.getCell(column)
        if (cell)
          text += `${cell.getChars()}\u001f${cell.getFgColor()},${cell.getBgColor()},${cell.getFgColorMode()},${cell.getBgColorMode()},${cell.isBold()},${cell.isDim()},${cell.isItalic()},${cell.isUnderline()},${cell.isInverse()},${cell.isInvisible()}|`
      }
      out.push(text)
    }
    return out.join('\n')
  }

  dispose(): void {
    this.terminal.dispose()
  }
}
