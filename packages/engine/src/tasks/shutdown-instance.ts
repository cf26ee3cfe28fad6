import type { TaskContext } from '../task-context.ts';

/** Stops the instance before the last pass. */
export default async function shutdownInstance(context: TaskContext) {
  const { context: call, source } = await context.source();
  context.say(`Stopping ${context.task.instance}`);
  await source.shutdown(call, context.task.instance);
  return {};
}
