import { buildCommand, buildRouteMap } from '@stricli/core';
import { endpointFields, instancesCell, jsonCell, mappingFields } from '../action-view.ts';
import { type ApiObject, listOf, objectOf, textAt } from '../api.ts';
import type { Row } from '../cell.ts';
import type { CliContext } from '../context.ts';
import { tasksCell } from '../execution-view.ts';
import {
  args,
  docs,
  idArgument,
  isGiven,
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
import { followExecution } from '../follow.ts';
import { printList, printObject, requirePrintable } from '../print.ts';
import {
  type PoolFlags,
  poolFlags,
  poolMappings,
  type ScriptFlags,
  scriptFlags,
  userScripts,
} from './action-options.ts';

const deploymentArgument = args(idArgument('DEPLOYMENT', 'Id of the deployment'));

const create = buildCommand<
  ShowFlags &
    WaitFlags &
    ScriptFlags &
    PoolFlags & { force: boolean; dontCloneDisks: boolean; skipOsMorphing: boolean; test: boolean },
  [string],
  CliContext
>({
  docs: docs(
    'Turn the disks of a transfer into instances at the destination and boot them',
    ['godwit deployment create 2c9e... --wait', 'godwit deployment create 2c9e... --test --wait'],
    'With --test the instances run from clones in an isolated network while replication goes on; "godwit deployment\ndelete" removes them again.',
  ),
  parameters: {
    flags: {
      force: toggle('Even when the last execution failed'),
      dontCloneDisks: toggle('Use the disks themselves; replication ends'),
      skipOsMorphing: toggle('Leave the guest as it is'),
      test: toggle('Test failover: clones in an isolated network'),
      ...poolFlags,
      ...scriptFlags,
      ...waitFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: args(idArgument('TRANSFER', 'Id of the transfer')),
  },
  async func(flags, transferId) {
    requirePrintable(flags, detail({}));
    const pools = poolMappings(flags);
    const body: ApiObject = {
      transfer_id: transferId,
      clone_disks: !flags.dontCloneDisks,
      force: flags.force,
      skip_os_morphing: flags.skipOsMorphing,
      // Unsaid, those of the transfer count.
      ...(isGiven(flags.userScriptGlobal) || isGiven(flags.userScriptInstance)
        ? { user_scripts: userScripts(flags) }
        : {}),
      ...(Object.keys(pools).length === 0 ? {} : { instance_osmorphing_minion_pool_mappings: pools }),
      ...(flags.test ? { test: true } : {}),
    };
    const api = await this.connect();
    const deployment = objectOf(await api.post('/deployments', { deployment: body }), 'deployment');
    const id = textAt(deployment, 'id');
    if (flags.wait && !(await followExecution(this, api, { kind: 'deployment', actionId: id }))) return;
    const complete = flags.wait || deployment.tasks === undefined;
    const shown = complete ? objectOf(await api.get(`/deployments/${id}`), 'deployment') : deployment;
    await printObject(this, flags, detail(shown));
  },
});

const LIST_COLUMNS = ['ID', 'Transfer ID', 'Status', 'Instances', 'Notes', 'Created'];

const list = buildCommand<ListFlags & PagingFlags, [], CliContext>({
  docs: docs('List the deployments', ['godwit deployment list', 'godwit deployment list --status RUNNING']),
  parameters: { flags: { ...pagingFlags('deployments'), ...listFlags }, aliases: outputAliases },
  async func(flags) {
    const query = pagingQuery(flags);
    const api = await this.connect();
    const rows = listOf(await api.get('/deployments', query), 'deployments').map(
      (deployment): Row => ({
        ID: deployment.id ?? null,
        'Transfer ID': deployment.transfer_id ?? null,
        Status: deployment.last_execution_status ?? null,
        Instances: instancesCell(deployment),
        Notes: deployment.notes ?? null,
        Created: deployment.created_at ?? null,
      }),
    );
    await printList(this, flags, LIST_COLUMNS, rows);
  },
});

const show = buildCommand<ShowFlags & WaitFlags & { showInstancesData: boolean }, [string], CliContext>({
  docs: docs('Show a deployment with its tasks', [
    'godwit deployment show 5b1a...',
    'godwit deployment show 5b1a... --wait',
  ]),
  parameters: {
    flags: {
      showInstancesData: toggle('Add what the tasks found out about each instance'),
      ...waitFlags,
      ...showFlags,
    },
    aliases: outputAliases,
    positional: deploymentArgument,
  },
  async func(flags, id) {
    requirePrintable(flags, { ...detail({}), ...(flags.showInstancesData ? { instances_data: null } : {}) });
    const api = await this.connect();
    if (flags.wait && !(await followExecution(this, api, { kind: 'deployment', actionId: id }))) return;
    const query = flags.showInstancesData ? { include_task_info: 'true' } : {};
    const deployment = objectOf(await api.get(`/deployments/${id}`, query), 'deployment');
    const row = detail(deployment);
    if (flags.showInstancesData) row.instances_data = jsonCell(deployment.info);
    await printObject(this, flags, row);
  },
});

const cancel = buildCommand<WaitFlags & { force: boolean }, [string], CliContext>({
  docs: docs('Cancel a running deployment', ['godwit deployment cancel 5b1a... --wait']),
  parameters: {
    flags: { force: toggle('Do not wait for running steps'), ...waitFlags },
    positional: deploymentArgument,
  },
  async func(flags, id) {
    const api = await this.connect();
    await api.post(`/deployments/${id}/actions`, { cancel: { force: flags.force } });
    if (flags.wait) await followExecution(this, api, { kind: 'deployment', actionId: id, expect: 'CANCELED' });
  },
});

const remove = buildCommand<Record<never, never>, [string], CliContext>({
  docs: docs('Delete a deployment; that of a test failover takes its instances with it', [
    'godwit deployment delete 5b1a...',
  ]),
  parameters: { positional: deploymentArgument },
  async func(_flags, id) {
    const api = await this.connect();
    await api.delete(`/deployments/${id}`);
  },
});

export const routes = buildRouteMap<string, CliContext>({
  docs: { brief: 'Transferred disks turned into instances' },
  routes: { create, list, show, cancel, delete: remove },
});

function detail(deployment: ApiObject): Row {
  return {
    id: deployment.id ?? null,
    status: deployment.last_execution_status ?? null,
    created: deployment.created_at ?? null,
    last_updated: deployment.updated_at ?? null,
    transfer_id: deployment.transfer_id ?? null,
    transfer_scenario_type: deployment.transfer_scenario_type ?? null,
    reservation_id: deployment.reservation_id ?? null,
    instances: instancesCell(deployment),
    notes: deployment.notes ?? null,
    ...endpointFields(deployment),
    shutdown_instances: deployment.shutdown_instances ?? false,
    ...mappingFields(deployment),
    tasks: tasksCell(listOf(deployment, 'tasks')),
    transfer_result: jsonCell(deployment.transfer_result ?? {}),
  };
}
