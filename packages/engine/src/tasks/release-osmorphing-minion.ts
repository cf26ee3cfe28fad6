import { giveBackMachine } from '../pools/task-machine.ts';
import type { TaskContext } from '../task-context.ts';

/** Gives the machine of the pool back. */
export default async function releaseOsmorphingMinion(context: TaskContext) {
  await giveBackMachine(context, 'osmorphing');
  return {};
}
