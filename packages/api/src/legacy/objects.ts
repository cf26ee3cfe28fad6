import type { Deployment } from '../schemas/deployment.ts';
import type { Execution, Task } from '../schemas/execution.ts';
import type { Schedule } from '../schemas/schedule.ts';
import type { Transfer } from '../schemas/transfer.ts';
import { legacyExecutionType, legacyTaskType } from './names.ts';

/** Objects of the current dialect as the older one has them. Pure; ids are the same in both. */

/** What the older dialect does not know of an action. */
function actionKeys<T extends Transfer | Deployment>(action: T) {
  const { clone_disks: _clone, skip_os_morphing: _skip, clustered: _clustered, ...rest } = action;
  return rest;
}

export function replicaOf(transfer: Transfer, executions: readonly Execution[]) {
  const { scenario: _scenario, options: _options, ...rest } = actionKeys(transfer);
  return { ...rest, type: 'replica', executions: executions.map(legacyExecution) };
}

export function legacyExecution(execution: Execution) {
  return { ...execution, type: legacyExecutionType(execution.type), tasks: execution.tasks.map(legacyTask) };
}

export function legacyTask(task: Task) {
  return { ...task, task_type: legacyTaskType(task.task_type) };
}

export function legacySchedule(schedule: Schedule) {
  const { transfer_id, auto_deploy: _auto, ...rest } = schedule;
  return { ...rest, replica_id: transfer_id };
}

/** A deployment of a replica: the migration of that replica. */
export function migrationOfReplica(deployment: Deployment) {
  const {
    transfer_id,
    transfer_scenario_type: _scenario,
    deployer_id: _deployer,
    trust_id: _trust,
    test: _test,
    tasks,
    executions,
    ...rest
  } = actionKeys(deployment);
  return {
    ...rest,
    type: 'migration',
    replica_id: transfer_id,
    shutdown_instances: false,
    replication_count: 0,
    ...(executions === undefined ? {} : { executions: [] }),
    ...(tasks === undefined ? {} : { tasks: tasks.map(legacyTask) }),
  };
}

/** What the runs of a direct migration have come to. */
export interface MigrationRuns {
  /** Newest deployment, none before the first execution has begun. */
  deployment: Deployment | undefined;
  /** Tasks of all runs in order; null: a list shows none. */
  tasks: readonly Task[] | null;
  shutdown: boolean;
  count: number;
}

/** A live migration, its executions and its deployment as the one object that the older dialect makes of them. */
export function directMigration(transfer: Transfer, runs: MigrationRuns) {
  const { scenario: _scenario, options: _options, executions: _executions, ...rest } = actionKeys(transfer);
  const { deployment, tasks } = runs;
  const nothingYet = tasks !== null && tasks.length === 0;
  return {
    ...rest,
    type: 'migration',
    replica_id: null,
    shutdown_instances: runs.shutdown,
    replication_count: runs.count,
    last_execution_status: migrationStatus(transfer.last_execution_status, deployment?.last_execution_status),
    transfer_result: deployment?.transfer_result ?? rest.transfer_result,
    ...(nothingYet ? { executions: [] } : {}),
    ...(tasks === null || nothingYet ? {} : { tasks: tasks.map((task, i) => ({ ...legacyTask(task), index: i + 1 })) }),
  };
}

type Status = Transfer['last_execution_status'];

/** As long as a deployment waits, the executions count; their end is not the migration's. */
export function migrationStatus(transfer: Status, deployment: Status | undefined): Status {
  if (deployment === undefined) return transfer;
  if (deployment !== 'PENDING') return deployment;
  return transfer === 'COMPLETED' || transfer === 'UNEXECUTED' ? 'RUNNING' : transfer;
}
