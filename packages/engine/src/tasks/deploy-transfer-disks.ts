import { GodwitError } from '@godwit/domain';
import { forgetLentReplicaDisks } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { keepReplicaDisk, recall, replicaDisks, targetRequest, transferKey } from './blackboard.ts';

/** Creates the replica disks, or finds those of earlier executions. */
export default async function deployTransferDisks(context: TaskContext) {
  const { retry, task, transfer, worker } = context;
  const { context: call, target } = await context.target();
  const info = recall(context, 'export_info');
  const lost = await whileDatabaseIsAway(retry, () => forgetLentReplicaDisks(worker.db, transfer.id, task.instance));
  if (lost.length > 0) {
    context.event(
      'WARNING',
      `A deployment took ${lost.length} replica disk(s) and never gave them back: what they hold is not known, so they are copied in full.`,
    );
  }
  const existing = await replicaDisks(context);
  const disks = await target.createDisks(
    call,
    targetRequest(context, info, transferKey(context)),
    existing.map((disk) => disk.target),
  );
  for (const { id, size_bytes: size } of info.devices.disks) {
    const disk = disks.find((one) => one.id === id);
    if (disk === undefined) {
      throw new GodwitError('INTERNAL', `disk ${id} of ${task.instance}`, { reason: 'the target made no disk for it' });
    }
    if (disk.size < size) {
      throw new GodwitError('TARGET_TOO_SMALL', `disk ${id} of ${task.instance}`, {
        needed: size,
        available: disk.size,
      });
    }
    await keepReplicaDisk(context, size, disk);
  }
  const made = disks.length - existing.length;
  if (made > 0) context.say(`Created ${made} disk(s) at the target`);
  return {};
}
