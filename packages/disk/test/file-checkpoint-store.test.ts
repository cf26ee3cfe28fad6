import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileCheckpointStore, type LeafGroup, nothingDone, type ReplicaProgress } from '../src/index.ts';
import { scratch } from './nbdkit.ts';

function progress(lowWater: number): ReplicaProgress {
  return {
    size: 1e9,
    zeroedEnd: 1e9,
    executionNumber: 1,
    snapshotKey: 's1',
    pass: 'compare',
    trackerLied: null,
    lowWater,
    intent: [{ first: lowWater, count: 3 }],
    counters: nothingDone(),
  };
}

function group(number: number, fill: number, changedNo = 1): LeafGroup {
  return {
    group: number,
    leaves: new Uint8Array(1_024 * 32).fill(fill),
    changedNo,
    changedMask: new Uint8Array(128).fill(fill),
  };
}

const plain = (groups: LeafGroup[]) =>
  groups.map((one) => [one.group, one.leaves[0], one.changedNo, one.changedMask[0]]);

describe('a checkpoint store in a file', () => {
  it('gives back after reopening what was committed last', async () => {
    await using folder = await scratch();
    const path = join(folder.path, 'store');
    const store = await FileCheckpointStore.open(path);
    expect(await store.load()).toBe(null);
    await store.commit(progress(1), [group(0, 1), group(7, 2)]);
    await store.commit(progress(2), [group(7, 3, 2)]);
    await store.complete({ number: 1, size: 1e9 });
    await store.close();
    const again = await FileCheckpointStore.open(path);
    expect(await again.load()).toEqual({ complete: { number: 1, size: 1e9 }, progress: progress(2) });
    expect(plain(await again.readGroups(0, 8))).toEqual([
      [0, 1, 1, 1],
      [7, 3, 2, 3],
    ]);
    expect(await again.changedGroups(1)).toEqual([7]);
    await again.close();
  });

  it('holds either all or nothing of a commit that was torn at any byte', async () => {
    await using folder = await scratch();
    const path = join(folder.path, 'store');
    const store = await FileCheckpointStore.open(path);
    await store.commit(progress(1), [group(0, 1)]);
    const before = (await stat(path)).size;
    await store.commit(progress(2), [group(0, 2)]);
    await store.close();
    const whole = await readFile(path);
    for (let size = before; size < whole.length; size += 1 + Math.floor((whole.length - before) / 40)) {
      const torn = join(folder.path, `torn-${size}`);
      await writeFile(torn, whole);
      await truncate(torn, size);
      if (size % 2 === 0) await appendFile(torn, Buffer.alloc(whole.length - size));
      const again = await FileCheckpointStore.open(torn);
      expect((await again.load())?.progress?.lowWater).toBe(1);
      expect(plain(await again.readGroups(0, 1))).toEqual([[0, 1, 1, 1]]);
      await again.close();
    }
  });

  it('shuts out the former owner, who cannot commit any more', async () => {
    await using folder = await scratch();
    const path = join(folder.path, 'store');
    const first = await FileCheckpointStore.open(path, 1);
    await first.commit(progress(1), []);
    const second = await FileCheckpointStore.open(path, 2);
    await expect(first.commit(progress(9), [])).rejects.toMatchObject({ code: 'FENCED' });
    await second.commit(progress(2), []);
    await expect(FileCheckpointStore.open(path, 1)).rejects.toMatchObject({ code: 'FENCED' });
    expect((await second.load())?.progress?.lowWater).toBe(2);
    await first.close();
    await second.close();
  });

  it('stays within a few times what lives in it, and loses nothing by being rewritten', async () => {
    await using folder = await scratch();
    const path = join(folder.path, 'store');
    const store = await FileCheckpointStore.open(path);
    for (let i = 1; i <= 300; i++) await store.commit(progress(i), [group(i % 5, i % 251)]);
    expect((await stat(path)).size).toBeLessThan(6 * 1_048_576);
    await store.close();
    const again = await FileCheckpointStore.open(path);
    expect((await again.load())?.progress?.lowWater).toBe(300);
    expect(plain(await again.readGroups(0, 5)).map((row) => row[1])).toEqual([
      300 % 251,
      296 % 251,
      297 % 251,
      298 % 251,
      299 % 251,
    ]);
    await again.close();
  });
});
