import { styleText } from 'node:util'

type Style = 'green' | 'red' | 'yellow' | 'cyan' | 'dim' | 'bold'

/** Where a command writes: results on standard output, the rest on standard error. */
export interface Terminal {
  /** A line of the result. */
  print(line: string): void
  /** A line for people about what happens. */
  tell(line: string): void
  /** Replaces the transient progress line; shown on a terminal only. */
  progress(text: string): void
  style(style: Style, text: string): string
}

/** A terminal on the process's own streams: colours and progress only where they are a TTY and NO_COLOR is not set. */
export function processTerminal(): Terminal {
  const live = process.stderr.isTTY === true && process.env['TERM'] !== 'dumb'
  let shown = false
  const clear = (): void => {
    if (shown) process.stderr.write('\r\x1b[K')
    shown = false
  }
  return {
    print: (line) => {
      clear()
      process.stdout.write(`${line}\n`)
    },
    tell: (line) => {
      clear()
      process.stderr.write(`${line}\n`)
    },
    progress: (text) => {
      clear()
      if (!live || text === '') return
      process.stderr.write(text.slice(0, (process.stderr.columns || 80) - 1))
      shown = true
    },
    style: (style, text) => styleText(style, text, { stream: process.stdout.isTTY ? process.stdout : process.stderr }),
  }
}

/** Rows as aligned columns under their headings; nothing is cut. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('   ')
      .trimEnd()
  return all.map(line).join('\n')
}
