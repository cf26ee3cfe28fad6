import type { WorkerContext } from './worker-context.ts';

export { CANCEL_CHANNEL } from '@godwit/store';

/**
 * Interrupts what runs here and was canceled: one execution that was announced, or (in case a notice was lost) whatever the
 * tables say of those that run here.
 */
export async function lookForCancels(worker: WorkerContext, executionId?: string): Promise<void> {
  const here = worker.runs.executionIds;
  const ids = executionId === undefined ? here : here.filter((id) => id === executionId);
  if (ids.length === 0) return;
  try {
    const rows = await worker.db
      .selectFrom('execution')
      .select(['id', 'cancel_requested'])
      .where('id', 'in', ids)
      .where('cancel_requested', 'is not', null)
      .execute();
    for (const row of rows) {
      worker.runs.cancel(row.id, row.cancel_requested === 'force');
      worker.runs.wake(row.id);
    }
  } catch (error) {
    worker.log.debug({ err: error }, 'cannot look for cancels now');
  }
}
