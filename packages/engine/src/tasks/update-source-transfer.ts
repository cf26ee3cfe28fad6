import type { TaskContext } from '../task-context.ts';

/** Refuses new settings with which the source cannot be read. */
export default async function updateSourceTransfer(context: TaskContext) {
  const { context: call, source } = await context.source();
  await source.validate(call, context.task.instance, context.transfer.source_environment);
  return {};
}
