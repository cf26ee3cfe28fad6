import { buildCommand, buildRouteMap } from '@stricli/core';
import { instancesCell, jsonCell } from '../action-view.ts';
import { type Api, type ApiObject, listOf, numberAt, objectOf } from '../api.ts';
import { cell, type Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { executionDetail } from '../execution-view.ts';
import {
  args,
  docs,
  idArgument,
  type ListFlags,
  listFlags,
  outputAliases,
  type PagingFlags,
  pagingFlags,
  pagingQuery,
  type ShowFlags,
  showFlags,
  toggle,
  type WaitFlags,
  waitFlags,
} from '../flags.ts';
import { renderList } from '../output.ts';
import { printList, printObject, requirePrintable } from '../print.ts';
import { formatBytes } from '../quantity.ts';
import { transferLimits } from './limits.ts';
import { executionRoutes } from './transfer-execution.ts';
import { scheduleRoutes } from './transfer-schedule.ts';
import { create, update } from './transfer-settings.ts';
import { finishExecution, type ProofFlags, proofBody, proofFlags, transferDetail } from './transfer-view.ts';

const transferArgument = args(idArgument('TRANSFER', 'Id of the transfer'));

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
    const row = transferDetail(transfer, executions);
    if (flags.showInstancesData) row['instances-data'] = jsonCell(transfer.info);
    await printObject(this, flags, row);
  },
});

const DISK_COLUMNS = ['Instance', 'Disk', 'Size', 'Complete In', 'Tracked'];

async function disksOf(api: Api, id: string): Promise<Row[]> {
  return listOf(await api.get(`/transfers/${id}/disks`), 'disks').map((disk) => ({
    Instance: disk.instance ?? null,
    Disk: disk.disk_id ?? null,
    Size: cell(disk.size ?? null, formatBytes(numberAt(disk, 'size'))),
    'Complete In':
      disk.complete_number === 0 ? null : cell(disk.complete_number ?? null, `execution ${disk.complete_number}`),
    Tracked: disk.tracked ?? null,
  }));
}

interface DryRunFlags {
  dryRun: boolean;
}

const dryRunFlags = { dryRun: toggle('List the replica disks that would go, and delete nothing') };

async function tellDisks(context: CliContext, api: Api, id: string): Promise<void> {
  context.print(await renderList(DISK_COLUMNS, await disksOf(api, id), { format: 'table' }));
  context.warn('Nothing was deleted (--dry-run).');
}

const remove = buildCommand<DryRunFlags, [string], CliContext>({
  docs: docs(
    'Delete a transfer with its replica disks at the destination',
    ['godwit transfer delete 2c9e... --dry-run', 'godwit transfer delete 2c9e...'],
    'Its replica disks, snapshots and change tokens are removed from both platforms; instances deployed from it stay.\n' +
      'Refused while an execution or deployment of it runs.',
  ),
  parameters: { flags: dryRunFlags, positional: transferArgument },
  async func(flags, id) {
    const api = await this.connect();
    if (flags.dryRun) await tellDisks(this, api, id);
    else await api.delete(`/transfers/${id}`);
  },
});

const deleteDisks = buildCommand<ShowFlags & WaitFlags & DryRunFlags, [string], CliContext>({
  docs: docs('Delete the disks of a transfer at the destination', [
    'godwit transfer disks delete 2c9e... --dry-run',
    'godwit transfer disks delete 2c9e... --wait',
  ]),
  parameters: {
    flags: { ...dryRunFlags, ...waitFlags, ...showFlags },
    aliases: outputAliases,
    positional: transferArgument,
  },
  async func(flags, id) {
    requirePrintable(flags, executionDetail({}));
    const api = await this.connect();
    if (flags.dryRun) return tellDisks(this, api, id);
    const execution = objectOf(await api.post(`/transfers/${id}/actions`, { 'delete-disks': null }), 'execution');
    await finishExecution(this, api, flags, id, execution);
  },
});

const listDisks = buildCommand<ListFlags, [string], CliContext>({
  docs: docs('List the disks of a transfer at the destination and how far each is', [
    'godwit transfer disks list 2c9e...',
  ]),
  parameters: { flags: listFlags, aliases: outputAliases, positional: transferArgument },
  async func(flags, id) {
    const api = await this.connect();
    await printList(this, flags, DISK_COLUMNS, await disksOf(api, id));
  },
});

const execute = buildCommand<
  ShowFlags &
    WaitFlags & {
      shutdownInstances: boolean;
      autoDeploy: boolean;
    } & ProofFlags,
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
      ...proofFlags,
      ...waitFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: transferArgument,
  },
  async func(flags, id) {
    requirePrintable(flags, executionDetail({}));
    const api = await this.connect();
    const body: ApiObject = {
      shutdown_instances: flags.shutdownInstances,
      auto_deploy: flags.autoDeploy,
      ...proofBody(flags),
    };
    const execution = objectOf(await api.post(`/transfers/${id}/executions`, { execution: body }), 'execution');
    await finishExecution(this, api, flags, id, execution);
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
    limits: transferLimits,
    execution: executionRoutes,
    schedule: scheduleRoutes,
  },
});
