import { buildCommand, buildRouteMap } from '@stricli/core';
import { type ApiObject, listOf, objectOf } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import {
  args,
  argument,
  docs,
  idArgument,
  outputAliases,
  requiredText,
  type ShowFlags,
  showFlags,
  text,
  toggle,
  type WaitFlags,
  waitFlags,
  wholeNumber,
} from '../flags.ts';
import { followPool } from '../follow-pool.ts';
import { jsonOption } from '../json-option.ts';
import { endpointId } from '../lookup.ts';
import { printObject, requirePrintable } from '../print.ts';
import { UsageError } from '../usage-error.ts';
import { commandsOf, inApi } from './noun.ts';

interface SharedFlags {
  environmentOptions?: string;
  environmentOptionsFile?: string;
  minimumMinions?: number;
  maximumMinions?: number;
  minionMaxIdleTime?: number;
  minionRetentionStrategy?: 'delete' | 'poweroff';
  notes?: string;
}

const number = (brief: string) =>
  ({ kind: 'parsed', parse: wholeNumber, optional: true, placeholder: 'NUMBER', brief }) as const;

const sharedFlags = {
  environmentOptions: text('Options of the machines as JSON', 'JSON'),
  environmentOptionsFile: text('File that holds them; - is standard input', 'PATH'),
  minimumMinions: number('Machines at least'),
  maximumMinions: number('Machines at most; default: as many as at least'),
  minionMaxIdleTime: number('Seconds after which an idle machine beyond the minimum goes'),
  minionRetentionStrategy: {
    kind: 'enum',
    values: ['delete', 'poweroff'],
    optional: true,
    brief: 'What happens to it then; default delete',
  },
  notes: text('Notes', 'TEXT'),
} as const;

async function sharedBody(context: CliContext, flags: SharedFlags): Promise<ApiObject> {
  const options = await jsonOption(
    context,
    'environment-options',
    flags.environmentOptions,
    flags.environmentOptionsFile,
  );
  const body = {
    environment_options: options,
    minimum_minions: flags.minimumMinions,
    maximum_minions: flags.maximumMinions,
    minion_max_idle_time: flags.minionMaxIdleTime,
    minion_retention_strategy: flags.minionRetentionStrategy,
    notes: flags.notes,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as ApiObject;
}

const pool = idArgument('POOL', 'Id of the pool');

const create = buildCommand<
  ShowFlags &
    WaitFlags &
    SharedFlags & { osType: string; platform: 'source' | 'destination'; endpointId: string; skipAllocation: boolean },
  [string],
  CliContext
>({
  docs: docs('Keep helper machines ready', [
    'godwit minion pool create helpers --endpoint-id cloud --platform destination --os-type linux --environment-options \'{"minion_flavor": "m1.small"}\' --minimum-minions 2',
  ]),
  parameters: {
    flags: {
      osType: requiredText('Operating system of the machines; sources need linux', 'OS'),
      platform: { kind: 'enum', values: ['source', 'destination'], brief: 'Side that they serve' },
      endpointId: requiredText('Endpoint (id or name) that they are made at', 'ENDPOINT'),
      skipAllocation: toggle('Make no machines yet'),
      ...sharedFlags,
      ...waitFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(argument('NAME', 'Name')),
  },
  async func(flags, name) {
    requirePrintable(flags, detail({}));
    const shared = await sharedBody(this, flags);
    const api = await this.connect();
    const body: ApiObject = {
      environment_options: {},
      ...shared,
      name,
      endpoint_id: await endpointId(api, flags.endpointId),
      os_type: flags.osType,
      platform: flags.platform,
      skip_allocation: flags.skipAllocation,
    };
    const made = objectOf(await api.post('/minion_pools', { minion_pool: body }), 'minion_pool');
    const shown = flags.wait && !flags.skipAllocation ? await followPool(this, api, made, 'ALLOCATED') : made;
    if (shown !== undefined) await printObject(this, flags, detail(shown));
  },
});

const update = buildCommand<ShowFlags & SharedFlags & { name?: string; osType?: string }, [string], CliContext>({
  docs: docs('Change a pool that has no machines', ['godwit minion pool update 51aa... --maximum-minions 4']),
  parameters: {
    flags: { name: text('New name', 'NAME'), osType: text('Operating system', 'OS'), ...sharedFlags, ...showFlags },
    aliases: outputAliases,
    positional: args(pool),
  },
  async func(flags, id) {
    requirePrintable(flags, detail({}));
    const body: ApiObject = {
      ...(await sharedBody(this, flags)),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.osType === undefined ? {} : { os_type: flags.osType }),
    };
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    const answer = await api.put(`/minion_pools/${id}`, { minion_pool: body });
    await printObject(this, flags, detail(objectOf(answer, 'minion_pool')));
  },
});

const COLUMNS = [
  'ID',
  'Pool Name',
  'Endpoint',
  'Pool Platform',
  'OS Type',
  'Notes',
  'Pool Status',
  'Minions (Min - Max)',
];

const {
  list,
  show,
  delete: remove,
} = commandsOf({
  place: inApi('minion_pool'),
  argument: pool,
  columns: COLUMNS,
  row,
  detail,
  list: docs('List the pools', ['godwit minion pool list']),
  show: docs('Show a pool with its machines', ['godwit minion pool show 51aa...']),
  delete: docs('Delete a pool that has no machines', ['godwit minion pool delete 51aa...']),
});

function act(action: 'allocate' | 'refresh', brief: string) {
  return buildCommand<ShowFlags & WaitFlags, [string], CliContext>({
    docs: docs(brief, [`godwit minion pool ${action} 51aa... --wait`]),
    parameters: { flags: { ...waitFlags, ...showFlags }, aliases: outputAliases, positional: args(pool) },
    async func(flags, id) {
      requirePrintable(flags, detail({}));
      const api = await this.connect();
      const begun = objectOf(await api.post(`/minion_pools/${id}/actions`, { [action]: null }), 'minion_pool');
      const shown = flags.wait ? await followPool(this, api, begun, 'ALLOCATED') : begun;
      if (shown !== undefined) await printObject(this, flags, detail(shown));
    },
  });
}

const deallocate = buildCommand<ShowFlags & WaitFlags & { force: boolean }, [string], CliContext>({
  docs: docs('Remove the machines of a pool', ['godwit minion pool deallocate 51aa... --wait']),
  parameters: {
    flags: { force: toggle('From any state, also machines in use'), ...waitFlags, ...showFlags },
    aliases: outputAliases,
    positional: args(pool),
  },
  async func(flags, id) {
    requirePrintable(flags, detail({}));
    const api = await this.connect();
    const body = { deallocate: { force: flags.force } };
    const begun = objectOf(await api.post(`/minion_pools/${id}/actions`, body), 'minion_pool');
    const shown = flags.wait ? await followPool(this, api, begun, 'DEALLOCATED') : begun;
    if (shown !== undefined) await printObject(this, flags, detail(shown));
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Temporary helper machines' },
  routes: {
    pool: buildRouteMap({
      docs: { brief: 'Helper machines kept ready' },
      routes: {
        create,
        list,
        show,
        update,
        delete: remove,
        allocate: act('allocate', 'Make the machines of a pool'),
        refresh: act('refresh', 'Check the machines of a pool and trim those that idle'),
        deallocate,
      },
    }),
  },
});

function row(object: ApiObject): Row {
  return {
    ID: object.id ?? null,
    'Pool Name': object.name ?? null,
    Endpoint: object.endpoint_id ?? null,
    'Pool Platform': object.platform ?? null,
    'OS Type': object.os_type ?? null,
    Notes: object.notes ?? null,
    'Pool Status': object.status ?? null,
    'Minions (Min - Max)': `${String(object.minimum_minions ?? '')} - ${String(object.maximum_minions ?? '')}`,
  };
}

function detail(object: ApiObject): Row {
  const events = listOf(object, 'events');
  return {
    ID: object.id ?? null,
    'Pool Name': object.name ?? null,
    Endpoint: object.endpoint_id ?? null,
    'Pool Platform': object.platform ?? null,
    'OS Type': object.os_type ?? null,
    'Pool Status': object.status ?? null,
    Notes: object.notes ?? null,
    'Created At': object.created_at ?? null,
    'Updated At': object.updated_at ?? null,
    'Minimum Minions': object.minimum_minions ?? null,
    'Maximum Minions': object.maximum_minions ?? null,
    'Minion Max Idle Time': object.minion_max_idle_time ?? null,
    'Minion Retention Strategy': object.minion_retention_strategy ?? null,
    'Environment Options': object.environment_options ?? {},
    'Shared Resources': object.shared_resources ?? null,
    Events: cell(events, events.map((event) => `${event.level} ${event.created_at} ${event.message}`).join('\n')),
    'Minion Machines': object.minion_machines ?? [],
  };
}
