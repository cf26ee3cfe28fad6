import { readyMachine } from '../pools/task-machine.ts';
import type { TaskContext } from '../task-context.ts';

/** Brings up the machine that this execution holds: made, switched on, checked, or replaced. */
export default async function validateDestinationMinionPoolCompatibility(context: TaskContext) {
  await readyMachine(context, 'destination');
  return {};
}
