import { whileDatabaseIsAway } from '../database-retry.ts';
import { handOverDisks } from '../hand-over.ts';
import type { TaskContext } from '../task-context.ts';
import { keepReplicaDisks, note, platformKey, recallMaybe } from './blackboard.ts';

/**
 * Forgets the point to return to. Cloned disks were left alone and go on being replicas; disks that were not cloned belong
 * to the instance now, so the transfer forgets them.
 */
export default async function deleteTransferTargetDiskSnapshots(context: TaskContext) {
  const disks = recallMaybe(context, 'deploy_disks');
  const { deployment, retry, task, transfer, worker } = context;
  if (disks === undefined || deployment === null) return {};
  const { context: call, target } = await context.target();
  const left = await target.deleteDiskSnapshots(call, platformKey(context), disks);
  await context.worker.reach('DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS:deleted');
  if (deployment.clone_disks) await keepReplicaDisks(context, left);
  else await whileDatabaseIsAway(retry, () => handOverDisks(worker.db, transfer.id, task.instance));
  return note({ deploy_disks: null });
}
