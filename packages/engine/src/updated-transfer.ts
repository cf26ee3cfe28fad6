import type { Execution, Transfer } from '@godwit/store';

/** Columns that a change holds as JSON text, as the driver wants them. */
const JSON_COLUMNS: ReadonlySet<string> = new Set<keyof Transfer>([
  'source_environment',
  'destination_environment',
  'network_map',
  'storage_mappings',
  'user_scripts',
  'instance_osmorphing_minion_pool_mappings',
  'options',
]);

/** The transfer as the tasks of an execution see it: in an update, as it would become. */
export function transferIn(execution: Execution, transfer: Transfer): Transfer {
  const { change } = execution.options;
  return execution.type === 'transfer_update' && change !== undefined ? withChange(transfer, change) : transfer;
}

/** The transfer as a change would make it. */
export function withChange(transfer: Transfer, change: object): Transfer {
  const entries = Object.entries(change).map(([column, value]: [string, unknown]) => [
    column,
    JSON_COLUMNS.has(column) && typeof value === 'string' ? (JSON.parse(value) as unknown) : value,
  ]);
  return { ...transfer, ...Object.fromEntries(entries) };
}
