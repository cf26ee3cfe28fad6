import stringWidth from 'string-width';
import { visible } from './visible.ts';

/** How a table is drawn. */
export interface TableOptions {
  /** Columns of the terminal that it may take; 0: as wide as it gets. Default 0. */
  maxWidth?: number;
}

/** Columns are not shrunk below this, else nothing can be read. */
const NARROWEST_COLUMN = 8;

/**
 * Draws the grid of the openstack command: `+----+`, one space of padding, numbers to the right, several lines per cell.
 *
 * @param header names of the columns
 * @param rows as many cells as there are columns; a number is set to the right, text to the left
 * @returns the lines, without a line feed at the end of each
 */
export function drawTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  options: TableOptions = {},
): string[] {
  const cells = rows.map((row) => row.map((cell) => visible(String(cell)).replaceAll('\t', '    ').split('\n')));
  const natural = header.map((name, column) =>
    Math.max(stringWidth(name), ...cells.map((row) => widest(row[column] ?? ['']))),
  );
  const widths = shrink(natural, options.maxWidth ?? 0);
  const right = header.map((_, column) => typeof rows[0]?.[column] === 'number');
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const lines = [rule];
  lines.push(...drawRow(wrapRow(header.map((name) => [name]) as string[][], widths), widths, right));
  lines.push(rule);
  for (const row of cells) lines.push(...drawRow(wrapRow(row, widths), widths, right));
  lines.push(rule);
  return lines;
}

function widest(lines: readonly string[]): number {
  return Math.max(0, ...lines.map((line) => stringWidth(line)));
}

/** Takes from the widest columns until the table fits; narrow ones keep their width. */
function shrink(natural: readonly number[], maxWidth: number): number[] {
  const widths = [...natural];
  if (maxWidth <= 0) return widths;
  const usable = maxWidth - 3 * widths.length - 1;
  const total = (): number => widths.reduce((sum, width) => sum + width, 0);
  while (total() > usable) {
    const max = Math.max(...widths);
    if (max <= NARROWEST_COLUMN) break;
    const second = Math.max(NARROWEST_COLUMN, ...widths.filter((width) => width < max));
    const wide = widths.filter((width) => width === max).length;
    const target = Math.max(second, max - Math.ceil((total() - usable) / wide));
    for (const [column, width] of widths.entries()) if (width === max) widths[column] = Math.min(max - 1, target);
  }
  return widths;
}

function wrapRow(row: readonly (readonly string[])[], widths: readonly number[]): string[][] {
  return widths.map((width, column) => (row[column] ?? ['']).flatMap((line) => wrap(line, width)));
}

/** Breaks at spaces, and inside a word that is longer than the line. */
function wrap(line: string, width: number): string[] {
  if (stringWidth(line) <= width) return [line];
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(/(?<= )/)) {
    if (stringWidth((current + word).trimEnd()) <= width) {
      current += word;
      continue;
    }
    if (current.trim() !== '') lines.push(current.trimEnd());
    current = word;
    while (stringWidth(current.trimEnd()) > width) {
      const head = headOf(current, width);
      lines.push(head);
      current = current.slice(head.length);
    }
  }
  if (current.trim() !== '' || lines.length === 0) lines.push(current.trimEnd());
  return lines;
}

/** As many whole characters as fit; at least one, so that wrapping ends. */
function headOf(text: string, width: number): string {
  let head = '';
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (head !== '' && stringWidth(head + segment) > width) break;
    head += segment;
  }
  return head;
}

function drawRow(
  cells: readonly (readonly string[])[],
  widths: readonly number[],
  right: readonly boolean[],
): string[] {
  const height = Math.max(1, ...cells.map((cell) => cell.length));
  return Array.from({ length: height }, (_, line) => {
    const parts = widths.map((width, column) => {
      const text = cells[column]?.[line] ?? '';
      const padding = ' '.repeat(Math.max(0, width - stringWidth(text)));
      return right[column] ? ` ${padding}${text} ` : ` ${text}${padding} `;
    });
    return `|${parts.join('|')}|`;
  });
}
