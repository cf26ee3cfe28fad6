import type { TaskContext } from '../task-context.ts';
import { deployRequest, note } from './blackboard.ts';

/** Makes the instance at the target, powered off. */
export default async function deployInstanceResources(context: TaskContext) {
  const { context: call, target } = await context.target();
  const deployed = await target.deployInstance(call, deployRequest(context));
  context.say(`Created instance ${deployed.name}`);
  return note({ deployed });
}
