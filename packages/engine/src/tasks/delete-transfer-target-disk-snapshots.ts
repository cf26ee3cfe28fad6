import type { TaskContext } from '../task-context.ts';
import { keepReplicaDisks, note, platformKey, recallMaybe } from './blackboard.ts';

/** Forgets the point to return to. Disks that the instance took as they are belong to it already. */
export default async function deleteTransferTargetDiskSnapshots(context: TaskContext) {
  const disks = recallMaybe(context, 'deploy_disks');
  if (disks === undefined) return {};
  const { context: call, target } = await context.target();
  const left = await target.deleteDiskSnapshots(call, platformKey(context), disks);
  await context.worker.reach('DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS:deleted');
  if (context.deployment?.clone_disks === true) await keepReplicaDisks(context, left);
  return note({ deploy_disks: null });
}
