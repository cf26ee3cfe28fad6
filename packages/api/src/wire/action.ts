import type { JsonObject } from '@godwit/domain';
import type * as store from '@godwit/store';
import type { Deployment } from '../schemas/deployment.ts';
import type { Transfer } from '../schemas/transfer.ts';
import { tasksToWire } from './execution.ts';
import { commonKeys } from './timestamp.ts';

type ActionRow = Omit<store.Transfer, 'scenario' | 'options'>;

function actionKeys(row: ActionRow, info: Record<string, JsonObject> | undefined) {
  return {
    ...commonKeys(row),
    base_id: row.id,
    id: row.id,
    user_id: row.user_id,
    project_id: row.project_id,
    instances: row.instances,
    reservation_id: row.reservation_id,
    notes: row.notes,
    origin_endpoint_id: row.origin_endpoint_id,
    destination_endpoint_id: row.destination_endpoint_id,
    origin_minion_pool_id: row.origin_minion_pool_id,
    destination_minion_pool_id: row.destination_minion_pool_id,
    instance_osmorphing_minion_pool_mappings: row.instance_osmorphing_minion_pool_mappings as Record<string, string>,
    source_environment: row.source_environment,
    // The contract shows both maps inside the environment as well.
    destination_environment: {
      ...row.destination_environment,
      network_map: row.network_map,
      storage_mappings: row.storage_mappings,
    },
    network_map: row.network_map,
    storage_mappings: row.storage_mappings,
    transfer_result: row.transfer_result,
    last_execution_status: row.last_execution_status,
    user_scripts: row.user_scripts,
    clone_disks: row.clone_disks,
    skip_os_morphing: row.skip_os_morphing,
    clustered: row.clustered,
    ...(info !== undefined && { info }),
  };
}

/** @param info per instance, only when include_task_info was asked */
export function transferToWire(row: store.Transfer, info?: Record<string, JsonObject>): Transfer {
  return {
    ...actionKeys(row, info),
    type: 'transfer',
    scenario: row.scenario,
    // Always empty: clients page through the executions themselves.
    executions: [],
    options: row.options,
  };
}

/** The one execution of a deployment, with what the answer shows of it. */
export interface DeploymentRun {
  tasks: readonly store.ToldTask[];
}

/**
 * @param run undefined while no execution exists: `executions: []` then, and no `tasks`; null when it exists and a list
 *   does not show its tasks
 */
export function deploymentToWire(
  row: store.Deployment,
  run: DeploymentRun | null | undefined,
  info?: Record<string, JsonObject>,
): Deployment {
  return {
    ...actionKeys(row, info),
    type: 'deployment',
    transfer_id: row.transfer_id,
    transfer_scenario_type: row.transfer_scenario,
    deployer_id: row.deployer_id,
    trust_id: row.trust_id,
    test: row.test,
    ...(run === undefined ? { executions: [] } : {}),
    ...(run ? { tasks: tasksToWire(run.tasks) } : {}),
  };
}
