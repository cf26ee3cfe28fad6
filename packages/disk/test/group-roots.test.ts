import { describe, expect, it } from 'vitest';
import { GroupRoots } from '../src/group-roots.ts';
import { GROUP_LEAVES, LEAF_SIZE, type LeafGroup, LeafLayout, merkleRoot } from '../src/index.ts';

const GROUP_BYTES = GROUP_LEAVES * LEAF_SIZE;

function row(group: number, count = GROUP_LEAVES): LeafGroup {
  const leaves = new Uint8Array(count * 32);
  for (let i = 0; i < leaves.length; i++) leaves[i] = ((i >> 5) * 7 + group + i) % 251;
  return { group, leaves, changedNo: 1, changedMask: new Uint8Array(count / 8) };
}

function store(rows: LeafGroup[], onRead: (first: number) => void = () => undefined) {
  return {
    load: async () => null,
    changedGroups: async () => [],
    commit: async () => undefined,
    readGroups: async (first: number, count: number) => {
      onRead(first);
      return rows.filter(({ group }) => group >= first && group < first + count);
    },
  };
}

describe('the roots of groups', () => {
  it('are those of their digests; a group that is short, absent or not wholly known has none', async () => {
    const rows = [row(0), row(1), row(3), row(4, 8)];
    rows[1]!.leaves.fill(0, 500 * 32, 501 * 32);
    const roots = new GroupRoots(store(rows), new LeafLayout(4 * GROUP_BYTES + 8 * LEAF_SIZE), []);
    await roots.gather();
    expect(roots.get(0)).toEqual(merkleRoot(rows[0]!.leaves));
    expect(roots.get(3)).toEqual(merkleRoot(rows[2]!.leaves));
    for (const group of [1, 2, 4]) expect(roots.get(group)).toBeUndefined();
    for (const { group } of rows) expect(roots.isAbsent(group)).toBe(false);
    expect(roots.isAbsent(2)).toBe(true);
    roots.forget(2);
    expect(roots.isAbsent(2)).toBe(false);
  });

  it('are forgotten for ever when a group is changed before, while or after it is read', async () => {
    const rows = Array.from({ length: 20 }, (_, group) => row(group));
    const roots: GroupRoots = new GroupRoots(
      store(rows, (first) => first === 16 && roots.forget(17)),
      new LeafLayout(20 * GROUP_BYTES),
      [2],
    );
    roots.forget(5);
    await roots.gather();
    roots.forget(9);
    for (const group of [2, 5, 9, 17]) expect(roots.get(group)).toBeUndefined();
    for (const group of [0, 8, 16, 19]) expect(roots.get(group)).toBeDefined();
  });

  it('are known of a changed group when it was foreseen and became just that', async () => {
    const rows = [row(0), row(1), row(2), row(3, 8)];
    const roots = new GroupRoots(store([]), new LeafLayout(3 * GROUP_BYTES + 8 * LEAF_SIZE), []);
    await roots.foresee(rows.map(({ group, leaves }) => ({ group, leaves: new Uint8Array(leaves) })));
    for (const { group } of rows) expect(roots.now(group)).toBeUndefined();
    rows[1]!.leaves[77]! ^= 1;
    for (const { group, leaves } of rows) {
      roots.forget(group);
      roots.settle(group, leaves);
    }
    expect(roots.now(0)).toEqual(merkleRoot(rows[0]!.leaves));
    for (const group of [1, 3]) expect(roots.now(group)).toBeUndefined();
    // It was changed all the same: what was written there may have to be read again.
    for (const { group } of rows) expect(roots.get(group)).toBeUndefined();
    roots.forget(0);
    expect(roots.now(0)).toBeUndefined();
  });

  it('are computed of finished groups while there is time, but not of those that change again or are not whole', async () => {
    const rows = [row(0), row(1), row(2), row(3, 8), row(4)];
    rows[2]!.leaves.fill(0, 500 * 32, 501 * 32);
    const layout = new LeafLayout(5 * GROUP_BYTES);
    const finish = async (roots: GroupRoots) => {
      for (const { group, leaves } of rows) {
        roots.forget(group);
        roots.finish(group, leaves);
      }
      roots.forget(1);
      for (let turns = 0; turns < 2 * rows.length; turns++) await new Promise((resolve) => setImmediate(resolve));
    };
    const roots = new GroupRoots(store([]), layout, [], true);
    await finish(roots);
    for (const index of [0, 4]) expect(roots.now(index)).toEqual(merkleRoot(rows[index]!.leaves));
    for (const group of [1, 2, 3]) expect(roots.now(group)).toBeUndefined();
    roots.finish(1, rows[1]!.leaves);
    roots.stop();
    for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(roots.now(1)).toBeUndefined();
    // Who re-reads what was changed has no use for them.
    const few = new GroupRoots(store([]), layout, []);
    await finish(few);
    for (const { group } of rows) expect(few.now(group)).toBeUndefined();
  });

  it('are left out when the store fails, and when they are no longer wanted', async () => {
    const rows = Array.from({ length: 40 }, (_, group) => row(group));
    const failing = store(rows, (first) => {
      if (first > 0) throw new Error('away');
    });
    const roots = new GroupRoots(failing, new LeafLayout(40 * GROUP_BYTES), []);
    await roots.gather();
    expect(roots.get(15)).toBeDefined();
    expect(roots.get(16)).toBeUndefined();
    const stopped = new GroupRoots(store(rows), new LeafLayout(40 * GROUP_BYTES), []);
    const gathering = stopped.gather();
    stopped.stop();
    await gathering;
    expect(stopped.get(20)).toBeUndefined();
  });
});
