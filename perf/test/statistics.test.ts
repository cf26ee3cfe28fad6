import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { floorGrowth, pairedRatio, summarize } from '../statistics.ts';

test('the median and the quartiles are those of the sorted figures', () => {
  expect(summarize([5, 1, 4, 2, 3])).toEqual({ median: 3, quartiles: [2, 4], min: 1, max: 5, count: 5 });
  expect(summarize([1, 2]).median).toBe(1.5);
  expect(summarize([7]).quartiles).toEqual([7, 7]);
});

test('a paired ratio compares within rounds, so a slow round does not count twice', () => {
  expect(pairedRatio([2, 20, 4], [1, 10, 2])).toBe(2);
});

test('a leak of 1 MiB a minute is seen in ten minutes below the ups and downs of a heap of 73 MiB, and nothing without one', () => {
  // Every 2 s; collected every 22 s, with what the API was seen to make between.
  const heap = (leak: number) => Array.from({ length: 300 }, (_, nth) => 73 + (nth % 11) * 4.5 + (leak * nth) / 30);
  expect(floorGrowth(heap(1))).toBeGreaterThan(1.1);
  expect(floorGrowth(heap(0))).toBe(1);
});

test('a real process that loses 1 MiB a minute is found out by what its collections leave, and one that loses nothing is not', () => {
  const program = path.join(import.meta.dirname, 'leaking-process.ts');
  const growth = (lost: number): number => {
    // The flag with which the API runs, and less to keep: of 60 MiB the leak is 1.10 to 1.12 times, of 30 it is 1.16 to 1.19.
    const args = ['--max-semi-space-size=4', '--expose-gc', program, '30', String(lost), '10'];
    const run = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(run.status, run.stderr).toBe(0);
    const samples = run.stdout.trim().split('\n').map(Number);
    expect(samples).toHaveLength(300);
    return floorGrowth(samples);
  };
  expect(growth(1)).toBeGreaterThan(1.1);
  expect(growth(0)).toBeLessThan(1.1);
});
