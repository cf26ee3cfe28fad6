import { deleteReplicaDisks } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { replicaDisks } from './blackboard.ts';

/** Removes the replica disks and what is known of them: the next execution is a full copy. */
export default async function deleteTransferDisks(context: TaskContext) {
  const { retry, task, transfer, worker } = context;
  const { context: call, target } = await context.target();
  const disks = await replicaDisks(context);
  if (disks.length > 0) {
    await target.deleteDisks(
      call,
      disks.map((disk) => disk.target),
    );
  }
  await context.worker.reach('DELETE_TRANSFER_DISKS:deleted');
  await whileDatabaseIsAway(retry, () => deleteReplicaDisks(worker.db, transfer.id, task.instance));
  context.say(`Deleted ${disks.length} disk(s) at the target`);
  return {};
}
