import type { TaskContext } from '../task-context.ts';
import { deployRequest, note, recall } from './blackboard.ts';

/** Boots the instance and tells what it has become. */
export default async function finalizeInstanceDeployment(context: TaskContext) {
  const { context: call, target } = await context.target();
  const became = await target.finalizeInstance(call, deployRequest(context), recall(context, 'deployed'));
  context.say(`${became.name} ${became.running ? 'runs' : 'is ready'} at the target`);
  return note({ transfer_result: became });
}
