import { listReplicaDisks } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { note, recallMaybe } from './blackboard.ts';
import { tokensOn } from './source-snapshot.ts';

/**
 * Ends the snapshot of this execution. Its change token is kept when a disk's next run will build on it; tokens that no
 * disk needs any more are dropped.
 */
export default async function deleteTransferSourceResources(context: TaskContext) {
  const snapshot = recallMaybe(context, 'snapshot');
  if (snapshot === undefined) return {};
  const { retry, task, transfer, worker } = context;
  const { context: call, source } = await context.source();
  const rows = await whileDatabaseIsAway(retry, () => listReplicaDisks(worker.db, transfer.id, task.instance));
  const needed = new Set(rows.flatMap((row) => (row.token === null ? [] : [row.token])));
  const made = new Set(snapshot.disks.flatMap((disk) => (disk.token === null ? [] : [disk.token])));
  await source.release(
    call,
    snapshot,
    [...made].some((token) => needed.has(token)),
  );
  await context.worker.reach('DELETE_TRANSFER_SOURCE_RESOURCES:released');
  for (const token of new Set([...tokensOn(context.info), ...made])) {
    if (!needed.has(token)) await source.dropToken(call, snapshot.instance, token);
  }
  return { ...note({ snapshot: null }), tokens: [...needed], snapshot_retakes: null };
}
