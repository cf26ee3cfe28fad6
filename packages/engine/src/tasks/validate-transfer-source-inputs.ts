import type { TaskContext } from '../task-context.ts';

/** Refuses what the source cannot read. */
export default async function validateTransferSourceInputs(context: TaskContext) {
  const { context: call, source } = await context.source();
  await source.validate(call, context.task.instance, context.transfer.source_environment);
  return {};
}
