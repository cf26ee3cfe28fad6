import type { TaskContext } from '../task-context.ts';
import { keepReplicaDisks, note, platformKey, recallMaybe } from './blackboard.ts';

/** Brings disks that a failed deployment may have written to back to where replication left them. */
export default async function restoreTransferDiskSnapshots(context: TaskContext) {
  const disks = recallMaybe(context, 'deploy_disks');
  if (disks === undefined) return {};
  const { context: call, target } = await context.target();
  const restored = await target.restoreDisks(call, platformKey(context), disks);
  await context.worker.reach('RESTORE_TRANSFER_DISK_SNAPSHOTS:restored');
  const left = await target.deleteDiskSnapshots(call, platformKey(context), restored);
  await keepReplicaDisks(context, left);
  return note({ deploy_disks: null });
}
