import { expect, test } from 'vitest';
import { pairedRatio, summarize } from '../statistics.ts';

test('the median and the quartiles are those of the sorted figures', () => {
  expect(summarize([5, 1, 4, 2, 3])).toEqual({ median: 3, quartiles: [2, 4], min: 1, max: 5, count: 5 });
  expect(summarize([1, 2]).median).toBe(1.5);
  expect(summarize([7]).quartiles).toEqual([7, 7]);
});

test('a paired ratio compares within rounds, so a slow round does not count twice', () => {
  expect(pairedRatio([2, 20, 4], [1, 10, 2])).toBe(2);
});
