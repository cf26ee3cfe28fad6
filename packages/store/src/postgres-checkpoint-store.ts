import type { CheckpointStore, LeafGroup, ReplicaProgress, StoredReplica } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import { sql } from 'kysely';
import { type Db, isUnavailable } from './database.ts';
import { type ReplicaDisk, toJson } from './tables.ts';
import { inTransaction } from './transaction.ts';

/** Bytes of a disk that one group covers. */
const GROUP_BYTES = 64 * 1024 * 1024;

/** The attempt of a task that wants to write a disk. */
export interface DiskOwner {
  taskId: string;
  /** Fencing number that `claimTask` gave. */
  attempt: number;
}

/**
 * Takes a replica disk over for an attempt and returns it with its new fence: commits of every earlier owner are refused
 * from here on. The disk's fence grows over all executions, whereas attempts begin at 1 in each.
 *
 * @throws GodwitError FENCED when a newer attempt owns the task; NOT_FOUND when the disk is gone
 */
export async function claimReplicaDisk(db: Db, id: string, owner: DiskOwner): Promise<ReplicaDisk> {
  return inTransaction(db, async (trx) => {
    // Locked: a successor's claim of the task must wait, so that its claim of the disk comes after ours.
    const task = await trx
      .selectFrom('task')
      .select('attempt')
      .where('id', '=', owner.taskId)
      .forShare()
      .executeTakeFirst();
    if (task === undefined) throw new GodwitError('NOT_FOUND', `Task with ID '${owner.taskId}'`);
    if (task.attempt !== owner.attempt) {
      throw new GodwitError('FENCED', `task ${owner.taskId}`, { owner: task.attempt, attempt: owner.attempt });
    }
    const disk = await trx
      .updateTable('replica_disk')
      .set((eb) => ({ fence: eb('fence', '+', 1), commit_no: 0, updated_at: sql<Date>`now()` }))
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst();
    if (disk === undefined) throw new GodwitError('NOT_FOUND', `Replica disk with ID '${id}'`);
    return disk;
  });
}

/**
 * Ends a run of a disk: number of the execution, key and change token of the snapshot, in the transaction that writes its
 * receipt.
 *
 * @throws GodwitError FENCED
 */
export async function completeReplicaDisk(
  db: Db,
  id: string,
  fence: number,
  run: { number: number; size: number; token: string | null; snapshot: string },
): Promise<void> {
  const result = await db
    .updateTable('replica_disk')
    .set({
      complete_no: run.number,
      complete_size: run.size,
      complete_snapshot: run.snapshot,
      token: run.token,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .executeTakeFirst();
  if (result.numUpdatedRows === 0n) throw await fencedDisk(db, id, fence);
}

async function fencedDisk(db: Db, id: string, fence: number): Promise<GodwitError> {
  const row = await db.selectFrom('replica_disk').select('fence').where('id', '=', id).executeTakeFirst();
  return row === undefined
    ? new GodwitError('NOT_FOUND', `Replica disk with ID '${id}'`)
    : new GodwitError('FENCED', `replica disk ${id}`, { owner: row.fence, attempt: fence });
}

/**
 * The leaf table and progress of one replica disk, in Postgres, for the owner of one fence.
 *
 * Each replaced group leaves 33 KiB of dead rows. The automatic vacuum comes too late for a disk that changes fast (by
 * default once a minute), and the table must stay below 0.06 % of the disks: so the store vacuums by itself, after a few
 * replaced groups. Measured: 10 ms, whatever the size of the table.
 */
export class PostgresCheckpointStore implements CheckpointStore {
  readonly #db: Db;
  readonly #id: string;
  readonly #fence: number;
  /** Groups replaced since the last vacuum. */
  #replaced = 0;
  #vacuums = true;
  #last: { progress: ReplicaProgress | null; number: number } = { progress: null, number: 0 };

  /** @param fence of the row that `claimReplicaDisk` returned */
  constructor(db: Db, replicaDiskId: string, fence: number) {
    this.#db = db;
    this.#id = replicaDiskId;
    this.#fence = fence;
  }

  async load(): Promise<StoredReplica | null> {
    const row = await this.#db
      .selectFrom('replica_disk')
      .select(['complete_no', 'complete_size', 'progress', 'fence'])
      .where('id', '=', this.#id)
      .executeTakeFirst();
    if (row === undefined || row.fence !== this.#fence) throw await fencedDisk(this.#db, this.#id, this.#fence);
    if (row.complete_no === 0 && row.progress === null) return null;
    return {
      complete: row.complete_no === 0 ? null : { number: row.complete_no, size: row.complete_size },
      progress: row.progress as ReplicaProgress | null,
    };
  }

  async readGroups(first: number, count: number): Promise<LeafGroup[]> {
    const rows = await this.#db
      .selectFrom('leaf_group')
      .select(['group_no', 'leaves', 'changed_no', 'changed_mask'])
      .where('replica_disk_id', '=', this.#id)
      .where('group_no', '>=', first)
      .where('group_no', '<', first + count)
      .orderBy('group_no')
      .execute();
    return rows.map((row) => ({
      group: row.group_no,
      leaves: row.leaves,
      changedNo: row.changed_no,
      changedMask: row.changed_mask,
    }));
  }

  async changedGroups(number: number): Promise<number[]> {
    const rows = await this.#db
      .selectFrom('leaf_group')
      .select('group_no')
      .where('replica_disk_id', '=', this.#id)
      .where('changed_no', '>', number)
      .orderBy('group_no')
      .execute();
    return rows.map((row) => row.group_no);
  }

  /**
   * One statement, so one round trip and one flush of the log; every row of it hangs on the fenced update. A commit whose
   * answer was lost is repeated with the same `progress` object. Its first copy may still be on its way, held up by the
   * network, and must not undo what was committed since: hence the number.
   */
  async commit(progress: ReplicaProgress, groups: LeafGroup[]): Promise<void> {
    if (this.#last.progress !== progress) this.#last = { progress, number: this.#last.number + 1 };
    const { number } = this.#last;
    const owned = sql`
      update replica_disk set progress = ${toJson(progress)}::jsonb, commit_no = ${number}, updated_at = now()
      where id = ${this.#id} and fence = ${this.#fence} and commit_no <= ${number}
      returning id`;
    if (groups.length === 0) {
      const { rows } = await owned.execute(this.#db);
      if (rows.length === 0) throw await fencedDisk(this.#db, this.#id, this.#fence);
      return;
    }
    const values = groups.map(
      (group) =>
        sql`(${group.group}::integer, ${asBuffer(group.leaves)}::bytea, ${group.changedNo}::integer, ${asBuffer(group.changedMask)}::bytea)`,
    );
    const { rows } = await sql<{ replaced: boolean }>`
      with owned as (${owned})
      insert into leaf_group (replica_disk_id, group_no, leaves, changed_no, changed_mask)
      select owned.id, given.* from owned, (values ${sql.join(values)}) as given (group_no, leaves, changed_no, changed_mask)
      on conflict (replica_disk_id, group_no) do update set
        leaves = excluded.leaves, changed_no = excluded.changed_no, changed_mask = excluded.changed_mask
      returning xmax <> 0 as replaced`.execute(this.#db);
    if (rows.length !== groups.length) throw await fencedDisk(this.#db, this.#id, this.#fence);
    this.#replaced += rows.filter((row) => row.replaced).length;
    const most = Math.min(16, Math.max(4, Math.floor((progress.size / GROUP_BYTES) * 0.04)));
    if (this.#vacuums && this.#replaced >= most) await this.#vacuum();
  }

  async #vacuum(): Promise<void> {
    this.#replaced = 0;
    try {
      await sql`vacuum (skip_locked, truncate off) leaf_group`.execute(this.#db);
    } catch (error) {
      // What was asked for is committed. Somebody else's database may forbid it; a lost connection shows at the next commit.
      this.#vacuums = isUnavailable(error);
    }
  }
}

/** The driver wants Buffers; no byte is copied. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
