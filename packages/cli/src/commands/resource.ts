import { buildCommand, buildRouteMap } from '@stricli/core';
import { listOf, type Query } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { docs, type ListFlags, listFlags, outputAliases, text, toggle } from '../flags.ts';
import { endpointId } from '../lookup.ts';
import { printList } from '../print.ts';

const COLUMNS = ['ID', 'Kind', 'Name', 'Endpoint ID', 'External ID', 'Migrated'];

const list = buildCommand<
  ListFlags & { kind?: 'instance' | 'volume' | 'network'; endpoint?: string; migrated: boolean; notMigrated: boolean },
  [],
  CliContext
>({
  docs: docs('List the inventory: instances as the last listing of each endpoint saw them, and which were migrated', [
    'godwit resource list --kind instance --not-migrated',
    'godwit resource list --endpoint lab -f csv',
  ]),
  parameters: {
    flags: {
      kind: {
        kind: 'enum',
        values: ['instance', 'volume', 'network'],
        optional: true,
        brief: 'Only this kind',
      },
      endpoint: text('Only of this endpoint (id or name)', 'ENDPOINT'),
      migrated: toggle('Only what has been migrated'),
      notMigrated: toggle('Only what has not'),
      ...listFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    const api = await this.connect();
    const query: Query = {
      kind: flags.kind,
      endpoint_id: flags.endpoint === undefined ? undefined : await endpointId(api, flags.endpoint),
      migrated: flags.migrated === flags.notMigrated ? undefined : flags.migrated,
    };
    const rows = listOf(await api.get('/resources', query), 'resources').map(
      (resource): Row => ({
        ID: resource.id ?? null,
        Kind: resource.kind ?? null,
        Name: resource.name ?? null,
        'Endpoint ID': resource.endpoint_id ?? null,
        'External ID': resource.external_id ?? null,
        Migrated: resource.migrated ?? false,
      }),
    );
    await printList(this, flags, COLUMNS, rows);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'The inventory of all endpoints' },
  routes: { list },
});
