import { expect, it } from 'vitest';
import { GroupCache } from '../src/copy-group-cache.ts';
import { changeLeaf, LEAF_SIZE, LeafLayout } from '../src/index.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom } from './volatile-disk.ts';

const GROUP = 1_024;
const layout = new LeafLayout(4 * GROUP * LEAF_SIZE);
const digest = (value: number) => new Uint8Array(32).fill(value);

it('a group that was changed, committed and let go is read anew, not taken from the batch it came with', async () => {
  const table = new StoredTable();
  const store = new DoomedStore(table, new Doom(Number.POSITIVE_INFINITY), Math.random);
  const cache = new GroupCache(store, layout, 0);
  const first = await cache.load(0, [0, 1, 2, 3]);
  const held = cache.hold(0, first);
  changeLeaf(held, 5, digest(7), 1, 0);
  table.groups.set(0, structuredClone(held));
  cache.release(0);
  const again = await cache.load(0, [0, 1, 2, 3]);
  expect(again?.leaves.subarray(5 * 32, 6 * 32)).toEqual(digest(7));
});

it('a group that is held while a batch is read is read anew once it was let go', async () => {
  const table = new StoredTable();
  const store = new DoomedStore(table, new Doom(Number.POSITIVE_INFINITY), Math.random);
  const cache = new GroupCache(store, layout, 0);
  const held = cache.hold(1, null);
  changeLeaf(held, 9, digest(3), 1, 0);
  await cache.load(0, [0, 1, 2, 3]);
  table.groups.set(1, structuredClone(held));
  cache.release(1);
  expect((await cache.load(1, [0, 1, 2, 3]))?.leaves.subarray(9 * 32, 10 * 32)).toEqual(digest(3));
});

it('items of one group share one object for as long as any of them is under way', async () => {
  const table = new StoredTable();
  const store = new DoomedStore(table, new Doom(Number.POSITIVE_INFINITY), Math.random);
  const cache = new GroupCache(store, layout, 0);
  const one = cache.hold(2, await cache.load(2, [0, 1, 2, 3]));
  const two = cache.hold(2, await cache.load(2, [0, 1, 2, 3]));
  expect(two).toBe(one);
  cache.release(2);
  expect(await cache.load(2, [0, 1, 2, 3])).toBe(one);
});
