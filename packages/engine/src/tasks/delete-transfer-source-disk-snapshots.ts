import { listReplicaDisks } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { tokensOn } from './source-snapshot.ts';

/** Stops the source from tracking changes that no later run needs. */
export default async function deleteTransferSourceDiskSnapshots(context: TaskContext) {
  const { retry, task, transfer, worker } = context;
  const rows = await whileDatabaseIsAway(retry, () => listReplicaDisks(worker.db, transfer.id, task.instance));
  const { context: call, source } = await context.source();
  const used = rows.flatMap((row) => (row.token === null ? [] : [row.token]));
  for (const token of new Set([...tokensOn(context.info), ...used])) {
    await source.dropToken(call, task.instance, token);
  }
  return { tokens: null };
}
