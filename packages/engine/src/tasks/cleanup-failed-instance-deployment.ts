import type { TaskContext } from '../task-context.ts';
import { note, recallMaybe } from './blackboard.ts';

/** Removes the instance of a deployment that failed. What it had begun to make beside it, the ledger tells the reaper. */
export default async function cleanupFailedInstanceDeployment(context: TaskContext) {
  const deployed = recallMaybe(context, 'deployed');
  if (deployed === undefined) return {};
  const { context: call, target } = await context.target();
  await target.removeInstance(call, deployed);
  return note({ deployed: null, transfer_result: null });
}
