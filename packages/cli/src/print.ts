import type { Row } from './cell.ts';
import type { CliContext } from './context.ts';
import type { ListFlags, ShowFlags } from './flags.ts';
import { renderList, renderObject } from './output.ts';
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

/** Prints one object in the format asked for. */
export async function printObject(context: CliContext, flags: ShowFlags, row: Row): Promise<void> {
  context.print(await renderObject(row, flags));
}
