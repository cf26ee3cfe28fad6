import { randomUUID } from 'node:crypto';
import {
  type ExecutionStatus,
  type ExecutionType,
  type JsonObject,
  type MinionUse,
  type PlannedTask,
  planDeployment,
  planDisksDelete,
  planTransferExecution,
  planTransferUpdate,
  usesOfDeployment,
  usesOfTransfer,
} from '@godwit/domain';
import {
  type ActionType,
  type Database,
  type Deployment,
  type Execution,
  type ExecutionOptions,
  insertExecution,
  insertNextExecution,
  insertTasks,
  type NewDeployment,
  type NewExecution,
  setExecutionStatus,
  type Task,
  type Transfer,
  type TransferChange,
  together,
  toJson,
} from '@godwit/store';
import type { Transaction } from 'kysely';
import {
  CONTROL_QUEUE,
  EXECUTION_WORKFLOW,
  executionWorkflowId,
  regionQueue,
  TASK_WORKFLOW,
  taskWorkflowId,
} from './contract.ts';
import { enqueueWorkflow } from './enqueue.ts';
import { News } from './news.ts';
import type { QueuePlace } from './queue-place.ts';

/** Where something is begun: with the transaction, or not at all. */
export interface StartPlace {
  trx: Transaction<Database>;
  /** See `transact`; absent: more may follow in the same transaction. */
  commit?: () => Promise<void>;
}

export interface StartRequest {
  actionType: ActionType;
  action: { id: string; project_id: string };
  type: ExecutionType;
  plan: PlannedTask[];
  options?: ExecutionOptions;
  /** Machines of pools: it begins when it holds all of them. */
  minions?: MinionUse[];
  /** Where it stands in the queue; default: before all that have one. */
  turn?: QueuePlace | undefined;
  /** The action's row as this transaction locked it, known to have no active execution: what is written then goes out at once. */
  locked?: { last_execution_number: number };
}

/** An execution and its tasks as they were written. */
export interface BegunExecution extends Execution {
  /** In order of index. */
  tasks: Task[];
}

/** Writes an execution, its tasks, the event and its workflow. All of it happens with the commit, or none. */
export async function startExecution(place: StartPlace, request: StartRequest): Promise<BegunExecution> {
  const { trx } = place;
  const { action, actionType, locked, minions = [], type, plan } = request;
  const wanted: NewExecution & { id: string; status: ExecutionStatus } = {
    id: randomUUID(),
    actionId: action.id,
    actionType,
    type,
    // A run that follows another one has its options, and machines of its own.
    options: { ...withoutMinions(request.options), ...(minions.length > 0 && { minions }) },
    status: minions.length > 0 ? 'AWAITING_MINION_ALLOCATIONS' : 'RUNNING',
  };
  const ids = new Map(plan.map((task) => [task.key, randomUUID() as string]));
  const id = (key: string): string => ids.get(key) ?? key;
  // Postgres takes 65,535 parameters a statement; a task has eight.
  const batches: PlannedTask[][] = [];
  for (let first = 0; first < plan.length; first += 4_000) batches.push(plan.slice(first, first + 4_000));
  // The order in which they are given is the order in which they are done.
  const begun = locked === undefined ? await insertExecution(trx, wanted) : insertNextExecution(trx, locked, wanted);
  const number = locked === undefined ? (await begun).number : locked.last_execution_number + 1;
  const news = new News(action.project_id);
  sayExecution(news, { ...wanted, action_id: action.id, action_type: actionType, number });
  const [execution, tasks] = await together([
    begun,
    together(
      batches.map((batch) =>
        insertTasks(
          trx,
          wanted.id,
          batch.map((task) => ({
            id: id(task.key),
            instance: task.instance,
            taskType: task.type,
            status: task.status,
            index: task.index,
            onError: task.onError,
            ...(task.dependsOn.length > 0 && { dependsOn: task.dependsOn.map(id) }),
          })),
        ),
      ),
    ),
    news.write(trx),
    enqueueExecution(place, wanted.id, request.turn),
  ]);
  return { ...execution, tasks: tasks.flat().sort((a, b) => a.index - b.index) };
}

function withoutMinions({ minions: _, ...options }: ExecutionOptions = {}): ExecutionOptions {
  return options;
}

function enqueueExecution({ trx }: StartPlace, executionId: string, turn: QueuePlace | undefined): Promise<void> {
  return enqueueWorkflow(trx, {
    workflow: EXECUTION_WORKFLOW,
    id: executionWorkflowId(executionId),
    queue: CONTROL_QUEUE,
    args: [executionId],
    ...(turn !== undefined && { party: turn.party, priority: turn.place }),
  });
}

/** Hands a task to the workers of a region, counted against the limit of the endpoint. */
export function enqueueTask({ trx }: StartPlace, taskId: string, region: string, endpoint: string): Promise<void> {
  return enqueueWorkflow(trx, {
    workflow: TASK_WORKFLOW,
    id: taskWorkflowId(taskId),
    queue: regionQueue(region),
    args: [taskId],
    party: endpoint,
  });
}

/** @param request its `locked` only when no execution of the transfer is active */
export function startTransfer(
  place: StartPlace,
  transfer: Transfer,
  options: ExecutionOptions,
  request: Pick<StartRequest, 'locked' | 'turn'> = {},
): Promise<BegunExecution> {
  const minions = usesOfTransfer(transfer);
  return startExecution(place, {
    actionType: 'transfer',
    action: transfer,
    type: 'transfer_execution',
    plan: planTransferExecution(transfer.instances, options.shutdown_instances === true, minions),
    options,
    minions,
    ...request,
  });
}

/** New settings wait in the execution until both ends have agreed to them. */
export function startUpdate(place: StartPlace, transfer: Transfer, change: TransferChange): Promise<BegunExecution> {
  return startExecution(place, {
    actionType: 'transfer',
    action: transfer,
    type: 'transfer_update',
    plan: planTransferUpdate(transfer.instances),
    options: { change: change as JsonObject },
  });
}

export function startDisksDelete(place: StartPlace, transfer: Transfer, instances: string[]): Promise<BegunExecution> {
  return startExecution(place, {
    actionType: 'transfer',
    action: transfer,
    type: 'transfer_disks_delete',
    plan: planDisksDelete(instances),
  });
}

export function startDeployment(place: StartPlace, deployment: Deployment): Promise<BegunExecution> {
  const minions = usesOfDeployment(deployment);
  return startExecution(place, {
    actionType: 'deployment',
    action: deployment,
    type: 'deployment',
    plan: planDeployment(deployment.instances, deployment.clone_disks, minions),
    minions,
  });
}

/** A deployment takes over what its transfer says, except what the request says. */
export function deploymentOf(
  transfer: Transfer,
  change: Pick<NewDeployment, 'user_id'> & Partial<NewDeployment>,
): Omit<NewDeployment, 'id'> {
  return {
    project_id: transfer.project_id,
    transfer_id: transfer.id,
    transfer_scenario: transfer.scenario,
    instances: toJson(transfer.instances),
    origin_endpoint_id: transfer.origin_endpoint_id,
    destination_endpoint_id: transfer.destination_endpoint_id,
    source_environment: toJson(transfer.source_environment),
    destination_environment: toJson(transfer.destination_environment),
    network_map: toJson(transfer.network_map),
    storage_mappings: toJson(transfer.storage_mappings),
    notes: transfer.notes,
    user_scripts: toJson(transfer.user_scripts),
    clone_disks: transfer.clone_disks,
    skip_os_morphing: transfer.skip_os_morphing,
    clustered: transfer.clustered,
    origin_minion_pool_id: transfer.origin_minion_pool_id,
    destination_minion_pool_id: transfer.destination_minion_pool_id,
    instance_osmorphing_minion_pool_mappings: toJson(transfer.instance_osmorphing_minion_pool_mappings),
    ...change,
  };
}

/** Sets an execution's status (and its action's) and tells the readers of events. */
export async function becomeExecution(
  trx: Transaction<Database>,
  news: News,
  executionId: string,
  status: ExecutionStatus,
): Promise<Execution | undefined> {
  const execution = await setExecutionStatus(trx, executionId, status);
  if (execution !== undefined) sayExecution(news, execution);
  return execution;
}

function sayExecution(
  news: News,
  execution: Pick<Execution, 'id' | 'action_id' | 'action_type' | 'number' | 'status' | 'type'>,
): void {
  const { id, action_id, action_type, number, status, type } = execution;
  news.add('execution.updated', 'execution', id, { action_id, action_type, number, type, status });
  news.add(`${action_type}.updated`, action_type, action_id, { last_execution_status: status, execution_id: id });
}
