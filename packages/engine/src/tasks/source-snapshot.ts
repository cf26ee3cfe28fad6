import type { JsonObject } from '@godwit/domain';
import type { Snapshot } from '@godwit/provider';
import { disownReplicaDisks, getInfo, listReplicaDisks, mergeInfo, type ReplicaDisk } from '@godwit/store';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { note, platformKey } from './blackboard.ts';

/**
 * The frozen disks of this execution: the same ones after an interruption. It stands on the blackboard before anything is
 * read from it, so that whatever comes, it will be released.
 *
 * @throws GodwitError SNAPSHOT_LOST when it was there and is gone
 */
export async function takeSnapshot(context: TaskContext): Promise<Snapshot> {
  const { task, transfer } = context;
  const board = await context.reread();
  const retakes = retakesOf(context, board);
  const key = platformKey(context, retakes === 0 ? '' : String(retakes));
  const before = snapshotOn(board);
  // An execution that was canceled by force has left its own: two at once are more than most platforms bear.
  if (before !== undefined && before.key !== key) await context.write(await releaseSnapshot(context, board, before));
  const { context: call, source } = await context.source();
  const snapshot = await source.snapshot(call, {
    key,
    instance: task.instance,
    environment: transfer.source_environment,
    tokens: Object.fromEntries((await rowsOf(context)).map((row) => [row.disk_id, row.token])),
    resume: before?.key === key,
  });
  await context.worker.reach('REPLICATE_DISKS:frozen');
  // Its tokens too: should this execution end without cleaning up, the next one drops those that nobody needs.
  const tokens = new Set([...tokensOn(await context.reread()), ...tokensOf(snapshot)]);
  await context.write({ ...note({ snapshot }), tokens: [...tokens] });
  return snapshot;
}

const tokensOf = (snapshot: Snapshot): string[] =>
  snapshot.disks.flatMap(({ token }) => (token === null ? [] : [token]));

/** The snapshot that stands on the blackboard. */
export function snapshotOn(board: JsonObject): Snapshot | undefined {
  return board.snapshot as unknown as Snapshot | undefined;
}

/**
 * Ends a snapshot. Its change token is kept when a disk's next run will build on it; tokens that no disk needs any more are
 * dropped. Returns what changes on the blackboard.
 */
export async function releaseSnapshot(
  context: TaskContext,
  board: JsonObject,
  snapshot: Snapshot,
): Promise<JsonObject> {
  const { context: call, source } = await context.source();
  const needed = new Set((await rowsOf(context)).flatMap((row) => (row.token === null ? [] : [row.token])));
  const made = tokensOf(snapshot);
  await source.release(
    call,
    snapshot,
    made.some((token) => needed.has(token)),
  );
  await context.worker.reach(`${context.task.type}:released`);
  for (const token of new Set([...tokensOn(board), ...made])) {
    if (!needed.has(token)) await source.dropToken(call, snapshot.instance, token);
  }
  return { ...note({ snapshot: null }), tokens: [...needed] };
}

/** Change tokens that the platform may still hold for this instance of the transfer. */
export const tokensOn = (board: JsonObject): string[] => (Array.isArray(board.tokens) ? board.tokens.map(String) : []);

/**
 * Gives up a snapshot that was lost. What was already proven from it does not fit the next one: those disks count as not
 * complete again, and are compared whole. Returns how often this execution's snapshot has now been lost.
 *
 * @throws GodwitError FENCED when another attempt owns the task: what stands on the blackboard may be its snapshot by now
 */
export async function forgetSnapshot(context: TaskContext): Promise<number> {
  const { execution, task, transfer, worker } = context;
  const board = await context.owning((trx) => getInfo(trx, execution.action_id, task.instance));
  const lost = snapshotOn(board);
  if (lost !== undefined) {
    const { context: call, source } = await context.source();
    await source.release(call, lost, false);
  }
  const count = retakesOf(context, board) + 1;
  await context.owning(async (trx) => {
    await disownReplicaDisks(trx, transfer.id, task.instance, execution);
    const change = { ...note({ snapshot: null }), snapshot_retakes: { execution: execution.id, count } };
    await mergeInfo(trx, execution.action_id, task.instance, change);
  });
  await worker.reach('REPLICATE_DISKS:forgotten');
  return count;
}

function retakesOf({ execution }: TaskContext, board: JsonObject): number {
  const retakes = board.snapshot_retakes as { execution: string; count: number } | undefined;
  return retakes?.execution === execution.id ? retakes.count : 0;
}

async function rowsOf({ retry, task, transfer, worker }: TaskContext): Promise<ReplicaDisk[]> {
  return whileDatabaseIsAway(retry, () => listReplicaDisks(worker.db, transfer.id, task.instance));
}
