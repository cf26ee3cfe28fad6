import { type Cell, dataOf, type Json, plain, type Row, textOf } from './cell.ts';
import { drawTable } from './table.ts';
import { suggestion, UsageError } from './usage-error.ts';

export const OUTPUT_FORMATS = ['table', 'json', 'yaml', 'csv', 'value'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** The options of the openstack command that choose what is printed and how. */
export interface OutputOptions {
  /** Default `table`. */
  format: OutputFormat;
  /** Columns to print, in the order of the table whatever is their order here; empty or absent: all. Case does not matter. */
  column?: readonly string[];
  /** Columns to sort by, the first is the most significant. Lists only. */
  sortColumn?: readonly string[];
  /** Sort downwards. Default false. */
  sortDescending?: boolean;
  /** Columns of the terminal that a table may take. Default 0: as wide as it gets. */
  maxWidth?: number;
  /** JSON on one line. Default false. */
  noindent?: boolean;
}

/**
 * Renders a list.
 *
 * @param columns names of the columns; asked for even when there is no row
 * @param rows every row has every column
 * @returns what to print, with a final line feed
 * @throws UsageError for an unknown column
 */
export async function renderList(
  columns: readonly string[],
  rows: readonly Row[],
  options: OutputOptions,
): Promise<string> {
  const chosen = chooseColumns(columns, options.column);
  const sorted = sortRows(rows, namedColumns(columns, options.sortColumn ?? []), options.sortDescending ?? false);
  switch (options.format) {
    case 'json':
      return `${toJson(
        sorted.map((row) => pick(row, chosen)),
        options,
      )}\n`;
    case 'yaml':
      return toYaml(sorted.map((row) => pick(row, chosen)));
    case 'csv':
      return [chosen, ...sorted.map((row) => chosen.map((name) => dataOf(row[name])))].map(csvLine).join('');
    case 'value':
      return sorted.map((row) => `${chosen.map((name) => flat(row[name])).join(' ')}\n`).join('');
    case 'table': {
      if (sorted.length === 0) return '\n';
      const cells = sorted.map((row) => chosen.map((name) => textOf(row[name])));
      return `${drawTable(chosen, cells, tableOptions(options)).join('\n')}\n`;
    }
  }
}

/**
 * Renders one object: a table of fields and values.
 *
 * @param row the object
 * @throws UsageError for an unknown column
 */
export async function renderObject(row: Row, options: OutputOptions): Promise<string> {
  const chosen = chooseColumns(Object.keys(row), options.column);
  switch (options.format) {
    case 'json':
      return `${toJson(pick(row, chosen), options)}\n`;
    case 'yaml':
      return toYaml(pick(row, chosen));
    case 'csv':
      return csvLine(chosen) + csvLine(chosen.map((name) => dataOf(row[name])));
    case 'value':
      return chosen.map((name) => `${flat(row[name])}\n`).join('');
    case 'table': {
      const cells = chosen.map((name) => [name, String(textOf(row[name]))]);
      return `${drawTable(['Field', 'Value'], cells, tableOptions(options)).join('\n')}\n`;
    }
  }
}

function tableOptions(options: OutputOptions): { maxWidth: number } {
  return { maxWidth: options.maxWidth ?? 0 };
}

/**
 * Refuses what cannot be printed, before anything is done.
 *
 * @throws UsageError for an unknown column
 */
export function requireColumns(known: readonly string[], options: Pick<OutputOptions, 'column'>): void {
  chooseColumns(known, options.column);
}

/** The columns that were asked for: as with the openstack command, in the order of the table, not of the options. */
function chooseColumns(known: readonly string[], asked: readonly string[] | undefined): readonly string[] {
  if (asked === undefined || asked.length === 0) return known;
  const chosen = new Set(namedColumns(known, asked));
  return known.filter((column) => chosen.has(column));
}

function namedColumns(known: readonly string[], asked: readonly string[]): string[] {
  return asked.map((name) => {
    const found = known.find((column) => column.toLowerCase() === name.toLowerCase());
    if (found === undefined) {
      throw new UsageError(
        `There is no column "${name}".${suggestion(name, known)} Columns: ${known.map((column) => `"${column}"`).join(', ')}.`,
      );
    }
    return found;
  });
}

function sortRows(rows: readonly Row[], columns: readonly string[], descending: boolean): Row[] {
  const sorted = [...rows];
  const direction = descending ? -1 : 1;
  sorted.sort((a, b) => {
    for (const column of columns) {
      const order = compare(dataOf(a[column]), dataOf(b[column]));
      if (order !== 0) return order * direction;
    }
    return 0;
  });
  return sorted;
}

/** Numbers by value, the rest by their text; nothing sorts last. */
function compare(a: Json, b: Json): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = String(plain(a));
  const right = String(plain(b));
  return left < right ? -1 : left > right ? 1 : 0;
}

function pick(row: Row, columns: readonly string[]): Record<string, Json> {
  return Object.fromEntries(columns.map((name) => [name, dataOf(row[name])]));
}

function toJson(value: Json | Record<string, Json>[] | Record<string, Json>, options: OutputOptions): string {
  return options.noindent ? JSON.stringify(value) : JSON.stringify(value, null, 2);
}

async function toYaml(value: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(value, { lineWidth: 0 });
}

function flat(content: Json | Cell | undefined): string {
  return String(plain(dataOf(content)));
}

/** Text is quoted, numbers are not: what the openstack command calls `--quote nonnumeric`. */
function csvLine(values: readonly Json[]): string {
  return `${values
    .map((value) =>
      typeof value === 'number'
        ? String(value)
        : value === null
          ? '""'
          : `"${String(plain(value)).replaceAll('"', '""')}"`,
    )
    .join(',')}\n`;
}
