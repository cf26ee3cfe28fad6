import { createHash } from 'node:crypto';
import { GodwitError, type InstanceInfo, type Json, type JsonObject } from '@godwit/domain';
import type {
  DeployedInstance,
  DeployRequest,
  Snapshot,
  StorageMappings,
  TargetDisk,
  TargetRequest,
} from '@godwit/provider';
import { getInfo, listReplicaDisks, putReplicaDisk, type ReplicaDisk } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';

/**
 * What tasks write for each other, per instance. A transfer's blackboard has `export_info`, `snapshot` and, while it is updated,
 * `update_info`; a deployment's
 * has `export_info` (taken over when it began), `deploy_disks`, `deployed` and `transfer_result`.
 */
export interface Blackboard {
  export_info: InstanceInfo;
  update_info: InstanceInfo;
  snapshot: Snapshot;
  deploy_disks: TargetDisk[];
  deployed: DeployedInstance;
  transfer_result: InstanceInfo;
}

/** What an earlier task left; `INTERNAL` when it did not: a defect of the task graph. */
export function recall<K extends keyof Blackboard>(context: TaskContext, key: K): Blackboard[K] {
  const value = recallMaybe(context, key);
  if (value === undefined) {
    throw new GodwitError('INTERNAL', `task ${context.task.type}`, { reason: `the blackboard lacks ${key}` });
  }
  return value;
}

export function recallMaybe<K extends keyof Blackboard>(context: TaskContext, key: K): Blackboard[K] | undefined {
  return context.info[key] as Blackboard[K] | undefined;
}

/** Keys for the blackboard; null removes one. Providers return plain JSON by contract. */
export function note(change: { [K in keyof Blackboard]?: Blackboard[K] | null }): JsonObject {
  return change as unknown as { [key: string]: Json };
}

/** What the transfer knows of the instance: a deployment builds on it. */
export async function transferInfo(context: TaskContext): Promise<JsonObject> {
  const { retry, task, transfer, worker } = context;
  return whileDatabaseIsAway(retry, () => getInfo(worker.db, transfer.id, task.instance));
}

/**
 * Name for what a task makes on a platform: the same after a crash, different for every execution and instance, at most 40
 * characters of [a-z0-9-].
 */
export function platformKey(context: TaskContext, suffix = ''): string {
  const { execution, task } = context;
  return `gw-${digestOf(`${execution.id}/${task.instance}`)}${suffix === '' ? '' : `-${suffix}`}`;
}

/** The same for what outlives executions: the replica disks of one instance of a transfer. */
export function transferKey(context: TaskContext): string {
  const { task, transfer } = context;
  return `gw-${digestOf(`${transfer.id}/${task.instance}`)}`;
}

/** 80 bits: enough that two names of one endpoint never meet. */
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 20);

export function targetRequest(context: TaskContext, instance: InstanceInfo, key: string): TargetRequest {
  const action = context.deployment ?? context.transfer;
  return {
    key,
    transfer: context.transfer.id,
    instance,
    environment: action.destination_environment,
    networkMap: action.network_map as Record<string, string>,
    storageMappings: action.storage_mappings as StorageMappings,
  };
}

export function deployRequest(context: TaskContext): DeployRequest {
  const { deployment } = context;
  if (deployment === null) {
    throw new GodwitError('INTERNAL', `task ${context.task.type}`, { reason: 'it belongs to no deployment' });
  }
  return {
    ...targetRequest(context, recall(context, 'export_info'), platformKey(context)),
    disks: recall(context, 'deploy_disks'),
    clone: deployment.clone_disks,
    test: deployment.test,
    powerOn: true,
  };
}

/** The replica disks of the instance that exist at the target. */
export async function replicaDisks(context: TaskContext): Promise<{ row: ReplicaDisk; target: TargetDisk }[]> {
  const { retry, task, transfer, worker } = context;
  const rows = await whileDatabaseIsAway(retry, () => listReplicaDisks(worker.db, transfer.id, task.instance));
  return rows.flatMap((row) => (row.target === null ? [] : [{ row, target: row.target as unknown as TargetDisk }]));
}

/** Notes where a replica disk lies. `size`: bytes of the source disk. */
export async function keepReplicaDisk(context: TaskContext, size: number, target: TargetDisk): Promise<void> {
  const { retry, task, transfer, worker } = context;
  await whileDatabaseIsAway(retry, () =>
    putReplicaDisk(worker.db, {
      transferId: transfer.id,
      instance: task.instance,
      diskId: target.id,
      size,
      target: target as unknown as JsonObject,
      zeroed: target.zeroed,
    }),
  );
}

/** Notes what the target made of disks that are known. */
export async function keepReplicaDisks(context: TaskContext, targets: TargetDisk[]): Promise<void> {
  const rows = await replicaDisks(context);
  for (const target of targets) {
    const known = rows.find(({ row }) => row.disk_id === target.id);
    if (known !== undefined) await keepReplicaDisk(context, known.row.size, target);
  }
}
