import type { TaskContext } from '../task-context.ts';
import { note, recall, replicaDisks, targetRequest, transferKey } from './blackboard.ts';

/** Refuses new settings with which nothing can be built at the target. Disks that were made stay where they are. */
export default async function updateDestinationTransfer(context: TaskContext) {
  const { context: call, target } = await context.target();
  await target.validate(call, targetRequest(context, recall(context, 'update_info'), transferKey(context)));
  const { change } = context.execution.options;
  const moves = change?.storage_mappings !== undefined || change?.destination_environment !== undefined;
  const disks = moves ? (await replicaDisks(context)).length : 0;
  if (disks > 0) {
    context.event('INFO', `${disks} replica disk(s) stay where they are; delete the disks to have them made anew.`);
  }
  return note({ update_info: null });
}
