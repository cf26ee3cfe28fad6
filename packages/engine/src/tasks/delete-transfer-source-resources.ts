import type { TaskContext } from '../task-context.ts';
import { releaseSnapshot, snapshotOn } from './source-snapshot.ts';

/** Ends the snapshot of this execution, and the tokens that no later run needs. */
export default async function deleteTransferSourceResources(context: TaskContext) {
  const snapshot = snapshotOn(context.info);
  return snapshot === undefined ? {} : releaseSnapshot(context, context.info, snapshot);
}
