import type { JsonObject } from '@godwit/domain';
import type { Snapshot, TargetDisk } from '@godwit/provider';
import type { ReplicaDisk } from '@godwit/store';
import { sql } from 'kysely';
import { whileDatabaseIsAway } from '../database-retry.ts';
import type { TaskContext } from '../task-context.ts';
import { note, platformKey, recallMaybe } from './blackboard.ts';

/**
 * The frozen disks of this execution: the same ones after an interruption. It stands on the blackboard before anything is
 * read from it, so that whatever comes, it will be released.
 *
 * @throws GodwitError SNAPSHOT_LOST when it was there and is gone
 */
export async function takeSnapshot(
  context: TaskContext,
  known: { row: ReplicaDisk; target: TargetDisk }[],
): Promise<Snapshot> {
  const { context: call, source } = await context.source();
  const board = await context.reread();
  const key = platformKey(context, retakesOf(board.snapshot_retakes));
  const before = board.snapshot as unknown as Snapshot | undefined;
  const snapshot = await source.snapshot(call, {
    key,
    instance: context.task.instance,
    environment: context.transfer.source_environment,
    tokens: Object.fromEntries(known.map(({ row }) => [row.disk_id, row.token])),
    resume: before?.key === key,
  });
  await context.worker.reach('REPLICATE_DISKS:frozen');
  // Its tokens too: should this execution end without cleaning up, the next one drops those that nobody needs.
  const tokens = new Set([
    ...tokensOn(board),
    ...snapshot.disks.flatMap(({ token }) => (token === null ? [] : [token])),
  ]);
  await context.write({ ...note({ snapshot }), tokens: [...tokens] });
  return snapshot;
}

/** Change tokens that the platform may still hold for this instance of the transfer. */
export const tokensOn = (board: JsonObject): string[] => (Array.isArray(board.tokens) ? board.tokens.map(String) : []);

const retakesOf = (value: unknown): string => (typeof value === 'number' && value > 0 ? String(value) : '');

/**
 * Gives up a snapshot that was lost. What was already proven from it does not fit the next one: those disks count as not
 * complete again, and are compared whole. Returns how often this execution's snapshot has now been lost.
 */
export async function forgetSnapshot(context: TaskContext): Promise<number> {
  const { execution, retry, task, transfer, worker } = context;
  const board = await context.reread();
  const lost = recallMaybe({ ...context, info: board }, 'snapshot');
  if (lost !== undefined) {
    const { context: call, source } = await context.source();
    await source.release(call, lost, false);
  }
  await whileDatabaseIsAway(retry, () =>
    worker.db
      .updateTable('replica_disk')
      .set((eb) => ({
        complete_no: 0,
        complete_size: 0,
        token: null,
        fence: eb('fence', '+', 1),
        updated_at: sql<Date>`now()`,
      }))
      .where('transfer_id', '=', transfer.id)
      .where('instance', '=', task.instance)
      .where('complete_no', '=', execution.number)
      .execute(),
  );
  const retakes = (typeof board.snapshot_retakes === 'number' ? board.snapshot_retakes : 0) + 1;
  await context.write({ ...note({ snapshot: null }), snapshot_retakes: retakes });
  return retakes;
}
