import type { TaskContext } from '../task-context.ts';
import { note, platformKey, recall, replicaDisks } from './blackboard.ts';

/** A point to return to, before the deployment touches the disks. */
export default async function createTransferDiskSnapshots(context: TaskContext) {
  const { context: call, target } = await context.target();
  const order = recall(context, 'export_info').devices.disks.map((disk) => disk.id);
  const disks = (await replicaDisks(context))
    .map((disk) => disk.target)
    .filter((disk) => order.includes(disk.id))
    .sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  return note({ deploy_disks: await target.snapshotDisks(call, platformKey(context), disks) });
}
