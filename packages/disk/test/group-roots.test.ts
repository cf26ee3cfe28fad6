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

describe('the roots of groups that a run leaves alone', () => {
  it('are those of their digests; a group that is short, absent or not wholly known has none', async () => {
    const rows = [row(0), row(1), row(3), row(4, 8)];
    rows[1]!.leaves.fill(0, 500 * 32, 501 * 32);
    const roots = new GroupRoots(store(rows), new LeafLayout(4 * GROUP_BYTES + 8 * LEAF_SIZE), []);
    await roots.gather();
    expect(roots.get(0)).toEqual(merkleRoot(rows[0]!.leaves));
    expect(roots.get(3)).toEqual(merkleRoot(rows[2]!.leaves));
    for (const group of [1, 2, 4]) expect(roots.get(group)).toBeUndefined();
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
