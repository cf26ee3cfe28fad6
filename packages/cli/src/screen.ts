/** Where lines go. */
export interface LineSink {
  write(text: string): void;
}

/**
 * A block of lines at the bottom of a terminal that is rewritten in place, with ordinary lines scrolling by above it.
 * Assumes that no line is wider than the terminal, else the terminal wraps and the count of lines is wrong.
 */
export class RewrittenBlock {
  private shown = 0;
  private readonly sink: LineSink;

  constructor(sink: LineSink) {
    this.sink = sink;
  }

  /** Puts `lines` in place of those shown before. */
  show(lines: readonly string[]): void {
    this.sink.write(this.erase() + lines.map((line) => `${line}\n`).join(''));
    this.shown = lines.length;
  }

  /** Prints a line that stays, above the block, which is shown again under it. */
  print(line: string, block: readonly string[]): void {
    this.sink.write(`${this.erase()}${line}\n`);
    this.shown = 0;
    this.show(block);
  }

  private erase(): string {
    return this.shown === 0 ? '' : `\x1b[${this.shown}A\x1b[J`;
  }
}
