import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chooseChanges, LEAF, layOut, makeDisk, rewrite } from '../disk-maker.ts';
import { chunkBytes, joinedBytes } from '../scenarios/tracked-changes.ts';

const MIB = 1_048_576;
const recipe = { seed: 'test', size: 64 * MIB, data: 8 * MIB };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'godwit-perf-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('a made disk', () => {
  test('is the same for the same seed and another for another', async () => {
    const paths = ['a', 'b', 'c'].map((name) => join(folder, name));
    const [a = '', b = '', c = ''] = paths;
    await makeDisk(a, recipe);
    await makeDisk(b, recipe);
    await makeDisk(c, { ...recipe, seed: 'other' });
    expect(digestOf(a)).toBe(digestOf(b));
    expect(digestOf(a)).not.toBe(digestOf(c));
  });

  test('holds as much data as asked for, in runs that stay within it and never overlap', () => {
    for (const seed of ['1', '2', '3', '4', '5']) {
      const runs = layOut({ ...recipe, seed });
      expect(runs.reduce((sum, run) => sum + run.length, 0)).toBe(recipe.data);
      let end = 0;
      for (const run of runs) {
        expect(run.offset % LEAF).toBe(0);
        expect(run.offset).toBeGreaterThanOrEqual(end);
        end = run.offset + run.length;
      }
      expect(end).toBeLessThanOrEqual(recipe.size);
    }
  });

  test('is sparse, and no leaf of its data is zero', async () => {
    const path = join(folder, 'sparse');
    const runs = await makeDisk(path, recipe);
    expect(statSync(path).blocks * 512).toBeLessThan(recipe.data * 1.5);
    const bytes = readFileSync(path);
    for (const run of runs) {
      for (let at = run.offset; at < run.offset + run.length; at += LEAF) {
        expect(bytes.subarray(at, at + LEAF).some((byte) => byte !== 0)).toBe(true);
      }
    }
  });
});

describe('changes', () => {
  test.each(['uniform', 'zipf', 'log'] as const)('%s: as many leaves as asked for, within the data', (pattern) => {
    const runs = layOut(recipe);
    const changes = chooseChanges(runs, 20, pattern, 'seed');
    expect(changes.reduce((sum, run) => sum + run.length, 0)).toBe(20 * LEAF);
    for (const change of changes) {
      expect(
        Array.from({ length: change.length / LEAF }, (_, leaf) => change.offset + leaf * LEAF).every((offset) =>
          runs.some((run) => offset >= run.offset && offset < run.offset + run.length),
        ),
      ).toBe(true);
    }
    expect(changes).toEqual(chooseChanges(runs, 20, pattern, 'seed'));
  });

  test('change every byte range they name and nothing else', async () => {
    const path = join(folder, 'changed');
    const runs = await makeDisk(path, recipe);
    const before = readFileSync(path);
    const changes = chooseChanges(runs, 10, 'uniform', 'seed');
    await rewrite(path, changes, 'new');
    const after = readFileSync(path);
    const differing = new Set<number>();
    for (let leaf = 0; leaf < recipe.size / LEAF; leaf += 1) {
      const [from, to] = [leaf * LEAF, (leaf + 1) * LEAF];
      if (!before.subarray(from, to).equals(after.subarray(from, to))) differing.add(leaf);
    }
    const named = changes.flatMap((run) => Array.from({ length: run.length / LEAF }, (_, i) => run.offset / LEAF + i));
    expect([...differing]).toEqual(named);
  });
});

describe('the models of coarser tools', () => {
  const changes = [
    { offset: 0, length: LEAF },
    { offset: 5 * MIB, length: LEAF },
    { offset: 40 * MIB, length: LEAF },
  ];

  test('count what lies between joined changes', () => {
    expect(joinedBytes(changes, 0)).toBe(3 * LEAF);
    expect(joinedBytes(changes, 16 * MIB)).toBe(5 * MIB + LEAF + LEAF);
  });

  test('count whole chunks once', () => {
    expect(chunkBytes(changes, 10 * MIB)).toBe(20 * MIB);
  });
});
