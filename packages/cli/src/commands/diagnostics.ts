import { buildCommand, buildRouteMap } from '@stricli/core';
import { listOf } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { docs, type ListFlags, listFlags, outputAliases } from '../flags.ts';
import { printList } from '../print.ts';

const COLUMNS = ['Application', 'Hostname', 'IP addresses', 'Packages', 'OS info'];

const get = buildCommand<ListFlags, [], CliContext>({
  docs: docs('Versions and hosts of every process of this installation', ['godwit diagnostics get -f yaml']),
  parameters: { flags: listFlags, aliases: outputAliases },
  async func(flags) {
    const api = await this.connect();
    const rows = listOf(await api.get('/diagnostics'), 'diagnostics').map(
      (entry): Row => ({
        Application: entry.application ?? null,
        Hostname: entry.hostname ?? null,
        'IP addresses': entry.ip_addresses ?? [],
        Packages: entry.packages ?? [],
        'OS info': entry.os_info ?? {},
      }),
    );
    await printList(this, flags, COLUMNS, rows);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Versions and hosts of this installation' },
  routes: { get },
});
