import { buildCommand, buildRouteMap } from '@stricli/core';
import { listOf, type Query } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { docs, type ListFlags, listFlags, outputAliases, text, toggle } from '../flags.ts';
import { endpointId } from '../lookup.ts';
import { printList } from '../print.ts';

const COLUMNS = ['ID', 'Kind', 'Name', 'State', 'Keep', 'Endpoint ID', 'Transfer ID', 'Attempts', 'Last Error'];

const list = buildCommand<
  ListFlags & {
    state?: 'intended' | 'made' | 'removing' | 'removed';
    endpoint?: string;
    transfer?: string;
    showRemoved: boolean;
  },
  [],
  CliContext
>({
  docs: docs('List what Godwit has made on the platforms, and what became of it', [
    'godwit ledger list',
    'godwit ledger list --state removing --sort-column Attempts --sort-descending',
  ]),
  parameters: {
    flags: {
      state: {
        kind: 'enum',
        values: ['intended', 'made', 'removing', 'removed'],
        optional: true,
        brief: 'Only in this state; default: all but removed',
      },
      endpoint: text('Only on this endpoint (id or name)', 'ENDPOINT'),
      transfer: text('Only for this transfer', 'ID'),
      showRemoved: toggle('Also what is gone'),
      ...listFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    const api = await this.connect();
    const query: Query = {
      state: flags.state,
      endpoint_id: flags.endpoint === undefined ? undefined : await endpointId(api, flags.endpoint),
      transfer_id: flags.transfer,
      show_removed: flags.showRemoved || flags.state === 'removed' ? true : undefined,
    };
    const rows = listOf(await api.get('/ledger', query), 'ledger').map(
      (entry): Row => ({
        ID: entry.id ?? null,
        Kind: entry.kind ?? null,
        Name: entry.name ?? null,
        State: entry.state ?? null,
        Keep: entry.keep ?? null,
        'Endpoint ID': entry.endpoint_id ?? null,
        'Transfer ID': entry.transfer_id ?? null,
        Attempts: entry.attempts ?? 0,
        'Last Error': entry.last_error ?? '',
      }),
    );
    await printList(this, flags, COLUMNS, rows);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'All that Godwit made on any platform' },
  routes: { list },
});
