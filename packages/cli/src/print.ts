import type { Row } from './cell.ts';
import type { CliContext } from './context.ts';
import type { ListFlags, ShowFlags } from './flags.ts';
import { renderList, renderObject, requireColumns } from './output.ts';
import { UsageError } from './usage-error.ts';

/** Prints a list in the format asked for. */
export async function printList(
  context: CliContext,
  flags: ListFlags,
  columns: readonly string[],
  rows: readonly Row[],
): Promise<void> {
  if (flags.sortAscending && flags.sortDescending) {
    throw new UsageError('--sort-ascending and --sort-descending exclude each other.');
  }
  context.print(await renderList(columns, rows, flags));
}

/**
 * To be asked before a command acts: an answer that cannot be printed as asked must not come after the deed.
 *
 * @param row the object as far as it is known; only the names of its columns count
 * @throws UsageError for an unknown column
 */
export function requirePrintable(flags: ShowFlags, row: Row): void {
  requireColumns(Object.keys(row), flags);
}

/** Prints one object in the format asked for. */
export async function printObject(context: CliContext, flags: ShowFlags, row: Row): Promise<void> {
  context.print(await renderObject(row, flags));
}
