import { buildCommand, buildRouteMap } from '@stricli/core';
import { endpointFields, instancesCell, jsonCell, mappingFields } from '../action-view.ts';
import { type Api, type ApiObject, listOf, numberAt, objectOf, textAt } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { executionDetail } from '../execution-view.ts';
import {
  args,
  argument,
  docs,
  isGiven,
  type ListFlags,
  listFlags,
  outputAliases,
  type PagingFlags,
  pagingFlags,
  pagingQuery,
  requiredText,
  type ShowFlags,
  showFlags,
  text,
  toggle,
  type WaitFlags,
  waitFlags,
} from '../flags.ts';
import { followExecution } from '../follow.ts';
import { jsonOption } from '../json-option.ts';
import { endpointId } from '../lookup.ts';
import { printList, printObject } from '../print.ts';
import { formatBytes } from '../quantity.ts';
import { UsageError } from '../usage-error.ts';
import {
  type DeployDefaultFlags,
  deployDefaultFlags,
  deployDefaults,
  type PoolFlags,
  poolFlags,
  poolMappings,
  type ScriptFlags,
  type StorageFlags,
  scriptFlags,
  storageFlags,
  storageMappings,
  userScripts,
} from './action-options.ts';
import { executionRoutes } from './transfer-execution.ts';

interface SharedFlags extends ScriptFlags, PoolFlags, StorageFlags, DeployDefaultFlags {
  notes?: string;
  destinationEnvironment?: string;
  destinationEnvironmentFile?: string;
  networkMap?: string;
  networkMapFile?: string;
  sourceEnvironment?: string;
  sourceEnvironmentFile?: string;
  originMinionPoolId?: string;
  destinationMinionPoolId?: string;
}

const sharedFlags = {
  notes: text('Notes', 'TEXT'),
  destinationEnvironment: text('Options of the destination as JSON', 'JSON'),
  destinationEnvironmentFile: text('File that holds them; - is standard input', 'PATH'),
  networkMap: text('Networks of the source to networks of the destination, as JSON', 'JSON'),
  networkMapFile: text('File that holds it; - is standard input', 'PATH'),
  sourceEnvironment: text('Options of the source as JSON', 'JSON'),
  sourceEnvironmentFile: text('File that holds them; - is standard input', 'PATH'),
  originMinionPoolId: text('Minion pool at the source; empty: none', 'POOL'),
  destinationMinionPoolId: text('Minion pool at the destination; empty: none', 'POOL'),
  ...storageFlags,
  ...poolFlags,
  ...scriptFlags,
  ...deployDefaultFlags,
};

const transferArgument = args(argument('TRANSFER', 'Id of the transfer'));

const create = buildCommand<
  ShowFlags &
    SharedFlags & {
      originEndpoint: string;
      destinationEndpoint: string;
      instance: readonly string[];
      scenario: 'replica' | 'live_migration';
    },
  [],
  CliContext
>({
  docs: docs('Say what to transfer, from where to where; nothing moves until "godwit transfer execute"', [
    'godwit transfer create --origin-endpoint lab --destination-endpoint dc2 --instance web01 --network-map \'{"default": "net0"}\'',
    'godwit transfer create --origin-endpoint lab --destination-endpoint dc2 --instance db1 --instance db2 --scenario live_migration',
  ]),
  parameters: {
    flags: {
      originEndpoint: requiredText('Endpoint (id or name) that holds the instances', 'ENDPOINT'),
      destinationEndpoint: requiredText('Endpoint (id or name) that they go to', 'ENDPOINT'),
      instance: {
        kind: 'parsed',
        parse: String,
        variadic: true,
        brief: 'Id or name of an instance; may be repeated',
        placeholder: 'INSTANCE',
      },
      scenario: {
        kind: 'enum',
        values: ['replica', 'live_migration'],
        default: 'replica',
        brief: 'replica: deploy as often as wanted; live_migration: deploy once',
      },
      ...sharedFlags,
      ...showFlags,
    },
    aliases: outputAliases,
  },
  async func(flags) {
    const shared = await sharedBody(this, flags);
    const api = await this.connect();
    const body: ApiObject = {
      origin_endpoint_id: await endpointId(api, flags.originEndpoint),
      destination_endpoint_id: await endpointId(api, flags.destinationEndpoint),
      instances: [...flags.instance],
      scenario: flags.scenario,
      source_environment: {},
      destination_environment: {},
      network_map: {},
      storage_mappings: {},
      ...shared,
      notes: flags.notes ?? null,
      user_scripts: userScripts(flags),
      ...deployDefaults(flags),
    };
    const answer = await api.post('/transfers', { transfer: body });
    await printObject(this, flags, detail(objectOf(answer, 'transfer'), []));
  },
});

const update = buildCommand<ShowFlags & SharedFlags & WaitFlags, [string], CliContext>({
  docs: docs('Change a transfer; the providers check and apply it in an execution of its own', [
    'godwit transfer update 2c9e... --notes "second wave"',
  ]),
  parameters: {
    flags: { ...sharedFlags, ...waitFlags, ...showFlags },
    aliases: outputAliases,
    positional: transferArgument,
  },
  async func(flags, id) {
    const body: ApiObject = { ...(await sharedBody(this, flags)) };
    if (flags.notes !== undefined) body.notes = flags.notes;
    if (isGiven(flags.userScriptGlobal) || isGiven(flags.userScriptInstance)) body.user_scripts = userScripts(flags);
    for (const [key, value] of Object.entries(deployDefaults(flags))) if (value !== null) body[key] = value;
    if (Object.keys(body).length === 0) throw new UsageError('Nothing to change was given.');
    const api = await this.connect();
    const execution = objectOf(await api.put(`/transfers/${id}`, { transfer: body }), 'execution');
    await finish(this, api, flags, id, execution);
  },
});

const LIST_COLUMNS = ['ID', 'Scenario', 'Instances', 'Notes', 'Last Execution Status', 'Created'];

const list = buildCommand<ListFlags & PagingFlags, [], CliContext>({
  docs: docs('List the transfers', [
    'godwit transfer list',
    'godwit transfer list --status ERROR --sort updated_at:desc -f json',
  ]),
  parameters: { flags: { ...pagingFlags('transfers'), ...listFlags }, aliases: outputAliases },
  async func(flags) {
    const query = pagingQuery(flags);
    const api = await this.connect();
    const rows = listOf(await api.get('/transfers', query), 'transfers').map(
      (transfer): Row => ({
        ID: transfer.id ?? null,
        Scenario: transfer.scenario ?? '',
        Instances: instancesCell(transfer),
        Notes: transfer.notes ?? null,
        'Last Execution Status': transfer.last_execution_status ?? null,
        Created: transfer.created_at ?? null,
      }),
    );
    await printList(this, flags, LIST_COLUMNS, rows);
  },
});

const show = buildCommand<ShowFlags & { showInstancesData: boolean }, [string], CliContext>({
  docs: docs('Show a transfer with its last ten executions', ['godwit transfer show 2c9e...']),
  parameters: {
    flags: { showInstancesData: toggle('Add what the tasks found out about each instance'), ...showFlags },
    aliases: outputAliases,
    positional: transferArgument,
  },
  async func(flags, id) {
    const api = await this.connect();
    const query = flags.showInstancesData ? { include_task_info: 'true' } : {};
    const transfer = objectOf(await api.get(`/transfers/${id}`, query), 'transfer');
    const page = { limit: 10, sort_key: 'number', sort_dir: 'desc' };
    const executions = listOf(await api.get(`/transfers/${id}/executions`, page), 'executions');
    const row = detail(transfer, executions);
    if (flags.showInstancesData) row['instances-data'] = jsonCell(transfer.info);
    await printObject(this, flags, row);
  },
});

const remove = buildCommand<Record<never, never>, [string], CliContext>({
  docs: docs('Delete a transfer; its disks at the destination stay unless deleted before', [
    'godwit transfer disks delete 2c9e... --wait',
    'godwit transfer delete 2c9e...',
  ]),
  parameters: { positional: transferArgument },
  async func(_flags, id) {
    const api = await this.connect();
    await api.delete(`/transfers/${id}`);
  },
});

const deleteDisks = buildCommand<ShowFlags & WaitFlags, [string], CliContext>({
  docs: docs('Delete the disks of a transfer at the destination', ['godwit transfer disks delete 2c9e... --wait']),
  parameters: { flags: { ...waitFlags, ...showFlags }, aliases: outputAliases, positional: transferArgument },
  async func(flags, id) {
    const api = await this.connect();
    const execution = objectOf(await api.post(`/transfers/${id}/actions`, { 'delete-disks': null }), 'execution');
    await finish(this, api, flags, id, execution);
  },
});

const DISK_COLUMNS = ['Instance', 'Disk', 'Size', 'Complete In', 'Tracked'];

const listDisks = buildCommand<ListFlags, [string], CliContext>({
  docs: docs('List the disks of a transfer at the destination and how far each is', [
    'godwit transfer disks list 2c9e...',
  ]),
  parameters: { flags: listFlags, aliases: outputAliases, positional: transferArgument },
  async func(flags, id) {
    const api = await this.connect();
    const rows = listOf(await api.get(`/transfers/${id}/disks`), 'disks').map(
      (disk): Row => ({
        Instance: disk.instance ?? null,
        Disk: disk.disk_id ?? null,
        Size: cell(disk.size ?? null, formatBytes(numberAt(disk, 'size'))),
        'Complete In':
          disk.complete_number === 0 ? null : cell(disk.complete_number ?? null, `execution ${disk.complete_number}`),
        Tracked: disk.tracked ?? null,
      }),
    );
    await printList(this, flags, DISK_COLUMNS, rows);
  },
});

const execute = buildCommand<
  ShowFlags &
    WaitFlags & {
      shutdownInstances: boolean;
      autoDeploy: boolean;
      verify?: 'changed' | 'whole';
      audit?: 'sample' | 'whole';
    },
  [string],
  CliContext
>({
  docs: docs(
    'Run a transfer: the first time everything, later what changed',
    [
      'godwit transfer execute 2c9e... --wait',
      'godwit transfer execute 2c9e... --shutdown-instances --auto-deploy --wait',
    ],
    'With --shutdown-instances the instances are stopped first and every byte at the destination is read again and proven.',
  ),
  parameters: {
    flags: {
      shutdownInstances: toggle('Stop the instances first: the last run before the cutover'),
      autoDeploy: toggle('Deploy when it has completed'),
      verify: {
        kind: 'enum',
        values: ['changed', 'whole'],
        optional: true,
        brief: 'How much of the destination is read again and proven; default changed, whole with --shutdown-instances',
      },
      audit: {
        kind: 'enum',
        values: ['sample', 'whole'],
        optional: true,
        brief: 'How much of what is said to be unchanged is compared; default sample, whole with --shutdown-instances',
      },
      ...waitFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: transferArgument,
  },
  async func(flags, id) {
    const api = await this.connect();
    const body: ApiObject = { shutdown_instances: flags.shutdownInstances, auto_deploy: flags.autoDeploy };
    if (flags.verify !== undefined) body.verify = flags.verify;
    if (flags.audit !== undefined) body.audit = flags.audit;
    const execution = objectOf(await api.post(`/transfers/${id}/executions`, { execution: body }), 'execution');
    await finish(this, api, flags, id, execution);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'What moves, from where to where' },
  routes: {
    create,
    list,
    show,
    update,
    delete: remove,
    disks: buildRouteMap({
      docs: { brief: 'Disks at the destination' },
      routes: { list: listDisks, delete: deleteDisks },
    }),
    execute,
    execution: executionRoutes,
  },
});

/** Follows an execution that was just started, if asked, then prints it as it is. */
async function finish(
  context: CliContext,
  api: Api,
  flags: ShowFlags & WaitFlags,
  transferId: string,
  execution: ApiObject,
): Promise<void> {
  const executionId = textAt(execution, 'id');
  if (!flags.wait) {
    await printObject(context, flags, executionDetail(execution));
    return;
  }
  if (!(await followExecution(context, api, { kind: 'transfer', actionId: transferId, executionId }))) return;
  const answer = await api.get(`/transfers/${transferId}/executions/${executionId}`);
  await printObject(context, flags, executionDetail(objectOf(answer, 'execution')));
}

async function sharedBody(context: CliContext, flags: SharedFlags): Promise<ApiObject> {
  const body: ApiObject = {};
  const source = await jsonOption(context, 'source-environment', flags.sourceEnvironment, flags.sourceEnvironmentFile);
  const destination = await jsonOption(
    context,
    'destination-environment',
    flags.destinationEnvironment,
    flags.destinationEnvironmentFile,
  );
  const networks = await jsonOption(context, 'network-map', flags.networkMap, flags.networkMapFile);
  const storage = storageMappings(flags);
  const pools = poolMappings(flags);
  if (source !== undefined) body.source_environment = source;
  if (destination !== undefined) body.destination_environment = destination;
  if (networks !== undefined) body.network_map = networks;
  if (Object.keys(storage).length > 0) body.storage_mappings = storage;
  if (Object.keys(pools).length > 0) body.instance_osmorphing_minion_pool_mappings = pools;
  if (flags.originMinionPoolId !== undefined) body.origin_minion_pool_id = flags.originMinionPoolId || null;
  if (flags.destinationMinionPoolId !== undefined)
    body.destination_minion_pool_id = flags.destinationMinionPoolId || null;
  return body;
}

function detail(transfer: ApiObject, executions: readonly ApiObject[]): Row {
  const oldestFirst = [...executions].sort((a, b) => textAt(a, 'created_at').localeCompare(textAt(b, 'created_at')));
  return {
    id: transfer.id ?? null,
    created: transfer.created_at ?? null,
    last_updated: transfer.updated_at ?? null,
    scenario_type: transfer.scenario ?? '',
    reservation_id: transfer.reservation_id ?? null,
    instances: instancesCell(transfer),
    notes: transfer.notes ?? null,
    ...endpointFields(transfer),
    ...mappingFields(transfer),
    clone_disks: transfer.clone_disks ?? null,
    skip_os_morphing: transfer.skip_os_morphing ?? null,
    executions: cell(
      oldestFirst.map((execution) => ({ id: execution.id ?? null, status: execution.status ?? null })),
      oldestFirst.map((execution) => `${textAt(execution, 'id')} ${textAt(execution, 'status')}`).join('\n'),
    ),
  };
}
