import type { TaskContext } from '../task-context.ts';
import { recall, targetRequest, transferKey } from './blackboard.ts';

/** Refuses what cannot be built at the target. */
export default async function validateTransferDestinationInputs(context: TaskContext) {
  const { context: call, target } = await context.target();
  await target.validate(call, targetRequest(context, recall(context, 'export_info'), transferKey(context)));
  return {};
}
