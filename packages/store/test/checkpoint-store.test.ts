import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type LeafGroup, nothingDone, type ReplicaProgress } from '@godwit/disk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  claimReplicaDisk,
  claimTask,
  completeReplicaDisk,
  connect,
  type Db,
  deleteReplicaDisks,
  insertExecution,
  insertTasks,
  listReplicaDisks,
  migrate,
  PostgresCheckpointStore,
  putReplicaDisk,
  startPostgres,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeTransfer } from './rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const SIZE = 3 * 64 * 1024 * 1024;

async function makeDisk(db: Db): Promise<{ diskId: string; taskId: string; transferId: string }> {
  const { id: transferId } = await makeTransfer(db);
  const disk = await putReplicaDisk(db, {
    transferId,
    instance: 'web01',
    diskId: 'vda',
    size: SIZE,
    target: { id: 'vda' },
    zeroed: true,
  });
  const execution = await insertExecution(db, {
    actionId: transferId,
    actionType: 'transfer',
    type: 'transfer_execution',
  });
  const [task] = await insertTasks(db, execution.id, [{ instance: 'web01', taskType: 'REPLICATE_DISKS', index: 1 }]);
  return { diskId: disk.id, taskId: task!.id, transferId };
}

async function claim(db: Db, disk: { diskId: string; taskId: string }): Promise<number> {
  const task = await claimTask(db, disk.taskId, { host: 'here', processId: 1 });
  const claimed = await claimReplicaDisk(db, disk.diskId, { taskId: disk.taskId, attempt: task!.attempt });
  return claimed.fence;
}

/** Claims task and disk as a worker does before it copies. */
async function own(db: Db, disk: { diskId: string; taskId: string }): Promise<PostgresCheckpointStore> {
  return new PostgresCheckpointStore(db, disk.diskId, await claim(db, disk));
}

const progress = (lowWater: number): ReplicaProgress => ({
  size: SIZE,
  zeroedEnd: SIZE,
  executionNumber: 1,
  snapshotKey: 'snap',
  pass: 'compare',
  trackerLied: null,
  lowWater,
  intent: [{ first: lowWater, count: 64 }],
  counters: { ...nothingDone(), bytesSent: lowWater * 65_536 },
});

const group = (number: number, fill: number, changedNo = 1): LeafGroup => ({
  group: number,
  leaves: new Uint8Array(1024 * 32).fill(fill),
  changedNo,
  changedMask: new Uint8Array(128).fill(0xff),
});

const plain = (groups: LeafGroup[]) =>
  groups.map(({ group: number, leaves, changedNo, changedMask }) => ({
    number,
    changedNo,
    leaves: Buffer.from(leaves).equals(Buffer.alloc(leaves.length, leaves[0])) ? leaves[0] : 'mixed',
    length: leaves.length,
    mask: changedMask.length,
  }));

describe('the checkpoint store', () => {
  it('gives back what was committed, and nothing before the first commit', async () => {
    const disk = await makeDisk(database.db);
    const store = await own(database.db, disk);
    expect(await store.load()).toBeNull();
    await store.commit(progress(0), []);
    expect(await store.load()).toEqual({ complete: null, progress: progress(0) });
    await store.commit(progress(1024), [group(0, 1), group(2, 3)]);
    await store.commit(progress(2048), [group(1, 2, 2), group(2, 4, 2)]);
    expect(await store.load()).toEqual({ complete: null, progress: progress(2048) });
    const expected = [
      { number: 0, changedNo: 1, leaves: 1, length: 32_768, mask: 128 },
      { number: 1, changedNo: 2, leaves: 2, length: 32_768, mask: 128 },
      { number: 2, changedNo: 2, leaves: 4, length: 32_768, mask: 128 },
    ];
    expect(plain(await store.readGroups(0, 10))).toEqual(expected);
    expect(plain(await store.readGroups(1, 1))).toEqual([expected[1]]);
    expect(await store.changedGroups(0)).toEqual([0, 1, 2]);
    expect(await store.changedGroups(1)).toEqual([1, 2]);
    expect(await store.changedGroups(2)).toEqual([]);
  });

  it('takes 256 groups in one commit', async () => {
    const store = await own(database.db, await makeDisk(database.db));
    await store.commit(
      progress(0),
      Array.from({ length: 256 }, (_, i) => group(i, i & 0xff)),
    );
    expect(await store.readGroups(0, 1000)).toHaveLength(256);
  });

  it('refuses an owner that was superseded, and keeps nothing of what it tried to commit', async () => {
    const disk = await makeDisk(database.db);
    const zombie = await own(database.db, disk);
    await zombie.commit(progress(10), [group(0, 1)]);
    const successor = await own(database.db, disk);
    const fenced = { code: 'FENCED' };
    await expect(zombie.commit(progress(99), [group(0, 9), group(1, 9)])).rejects.toMatchObject(fenced);
    await expect(zombie.commit(progress(99), [])).rejects.toMatchObject(fenced);
    await expect(zombie.load()).rejects.toMatchObject(fenced);
    expect(await successor.load()).toEqual({ complete: null, progress: progress(10) });
    expect(plain(await successor.readGroups(0, 9))).toMatchObject([{ number: 0, leaves: 1 }]);
  });

  it('lets a commit that the network held up undo nothing that was committed since', async () => {
    const disk = await makeDisk(database.db);
    const fence = await claim(database.db, disk);
    const store = new PostgresCheckpointStore(database.db, disk.diskId, fence);
    const first = progress(10);
    await store.commit(first, [group(0, 1)]);
    // Its answer was lost: it is repeated, which is harmless.
    await store.commit(first, [group(0, 1)]);
    await store.commit(progress(20), [group(0, 2)]);
    // The same statement as the first one, arriving only now: its sender has long gone on.
    const late = new PostgresCheckpointStore(database.db, disk.diskId, fence);
    await expect(late.commit(progress(10), [group(0, 1)])).rejects.toMatchObject({ code: 'FENCED' });
    expect((await store.load())?.progress?.lowWater).toBe(20);
    expect(plain(await store.readGroups(0, 1))).toMatchObject([{ leaves: 2 }]);
    // A new owner counts from the beginning.
    const next = await own(database.db, disk);
    await next.commit(progress(30), [group(0, 3)]);
    expect((await next.load())?.progress?.lowWater).toBe(30);
  });

  it('gives a disk to nobody whose attempt of the task is past, in whatever order they come', async () => {
    const disk = await makeDisk(database.db);
    const worker = { host: 'here', processId: 1 };
    const first = await claimTask(database.db, disk.taskId, worker);
    await claimTask(database.db, disk.taskId, worker);
    await expect(
      claimReplicaDisk(database.db, disk.diskId, { taskId: disk.taskId, attempt: first!.attempt }),
    ).rejects.toMatchObject({ code: 'FENCED' });
    // Attempts begin at 1 again in the next execution; the disk's fence does not.
    const before = (await listReplicaDisks(database.db, disk.transferId))[0]!.fence;
    const store = await own(database.db, disk);
    await store.commit(progress(1), []);
    expect((await listReplicaDisks(database.db, disk.transferId))[0]!.fence).toBe(before + 1);
  });

  it('remembers the last complete run, which only the owner can set', async () => {
    const disk = await makeDisk(database.db);
    const store = await own(database.db, disk);
    const { fence } = (await listReplicaDisks(database.db, disk.transferId))[0]!;
    const run = { number: 4, size: SIZE, token: 'token-4', snapshot: 'key-4' };
    await expect(completeReplicaDisk(database.db, disk.diskId, fence - 1, run)).rejects.toMatchObject({
      code: 'FENCED',
    });
    await completeReplicaDisk(database.db, disk.diskId, fence, run);
    expect(await store.load()).toEqual({ complete: { number: 4, size: SIZE }, progress: null });
    expect(await listReplicaDisks(database.db, disk.transferId)).toMatchObject([
      { token: 'token-4', complete_snapshot: 'key-4' },
    ]);
  });

  it('loses its leaves with the disk', async () => {
    const disk = await makeDisk(database.db);
    const store = await own(database.db, disk);
    await store.commit(progress(0), [group(0, 1)]);
    expect(await deleteReplicaDisks(database.db, disk.transferId)).toHaveLength(1);
    await expect(store.commit(progress(0), [group(0, 1)])).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const left = await database.pool.query('select 1 from leaf_group where replica_disk_id = $1', [disk.diskId]);
    expect(left.rowCount).toBe(0);
  });

  it('has every commit that it confirmed, whole, after Postgres was killed', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'gwc-'));
    const first = await startPostgres(folder);
    let connection = connect(first.url('postgres'));
    await migrate(connection);
    const disk = await makeDisk(connection.db);
    const store = await own(connection.db, disk);
    let confirmed = -1;
    const copying = (async () => {
      for (let i = 0; ; i++) {
        await store.commit(progress(i), [group(0, i & 0xff), group(1, i & 0xff)]);
        confirmed = i;
        if (i === 25) process.kill(first.pid, 'SIGKILL');
      }
    })();
    await expect(copying).rejects.toThrow();
    await first.exited;
    await connection.close();
    const second = await startPostgres(folder);
    connection = connect(second.url('postgres'));
    const next = await own(connection.db, disk);
    const { lowWater } = (await next.load())!.progress!;
    // The commit under way may have happened, the confirmed ones must have.
    expect([confirmed, confirmed + 1]).toContain(lowWater);
    expect(plain(await next.readGroups(0, 9))).toMatchObject([
      { leaves: lowWater & 0xff },
      { leaves: lowWater & 0xff },
    ]);
    await connection.close();
    await second.stop();
    rmSync(folder, { recursive: true, force: true });
  });
});

describe('the leaf table', () => {
  it('stays below 0.06 % of the disk, however often it is written anew', async () => {
    // A server of its own, without automatic vacuum: the store's must be enough, and the server's holds it up when it comes.
    const folder = mkdtempSync(path.join(tmpdir(), 'gwc-'));
    const server = await startPostgres(folder);
    const connection = connect(server.url('postgres'));
    const { db, pool } = connection;
    await migrate(connection);
    await pool.query('alter system set autovacuum = off');
    await pool.query('select pg_reload_conf()');
    const automatic = `select 1 from pg_stat_activity where backend_type like 'autovacuum%'`;
    await expect.poll(async () => (await pool.query(automatic)).rowCount, { timeout: 30_000 }).toBe(0);

    const store = await own(db, await makeDisk(db));
    const groups = 256;
    const size = groups * 64 * 1024 * 1024;
    for (let written = 0; written < 4; written++) {
      for (let number = 0; number < groups; number++) {
        const leaves = randomBytes(32_768);
        const changedMask = randomBytes(128);
        const changedNo = written + 1;
        await store.commit({ ...progress(number), size }, [{ group: number, leaves, changedNo, changedMask }]);
      }
      const { rows } = await pool.query<{ bytes: number }>(`select pg_total_relation_size('leaf_group') as bytes`);
      expect(rows[0]!.bytes).toBeLessThanOrEqual(size * 0.0006);
    }
    expect(await store.readGroups(0, groups)).toHaveLength(groups);
    await connection.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
});
