import { giveBackReplicaDisks } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { keepReplicaDisks, note, platformKey, recallMaybe, replicaDisks } from './blackboard.ts';

/** Brings disks that a failed deployment may have written to back to where replication left them. */
export default async function restoreTransferDiskSnapshots(context: TaskContext) {
  const disks = recallMaybe(context, 'deploy_disks');
  if (disks === undefined) return {};
  const { retry, task, transfer, worker } = context;
  const { context: call, target } = await context.target();
  let restored = disks;
  if ((await replicaDisks(context)).some(({ row }) => row.lent_to !== null)) {
    restored = await target.restoreDisks(call, platformKey(context), disks);
    await worker.reach('RESTORE_TRANSFER_DISK_SNAPSHOTS:restored');
    await whileDatabaseIsAway(retry, () => giveBackReplicaDisks(worker.db, transfer.id, task.instance));
  }
  const left = await target.deleteDiskSnapshots(call, platformKey(context), restored);
  await keepReplicaDisks(context, left);
  return note({ deploy_disks: null });
}
