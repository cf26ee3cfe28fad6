import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidatesOf, isSampled, SAMPLE_PERIOD } from '../src/candidates.ts';
import { zeroRuns } from '../src/copy-planner.ts';
import { GROUP_LEAVES, LEAF_SIZE, type LeafRun, type Range } from '../src/index.ts';
import { runsHave, runsOfRanges, subtractRuns, uniteRuns } from '../src/leaf-runs.ts';

const setOf = (runs: readonly LeafRun[]) =>
  new Set(runs.flatMap((run) => Array.from({ length: run.count }, (_, i) => run.first + i)));

const sorted = (set: Set<number>) => [...set].sort((a, b) => a - b);

const anyRuns = fc.array(fc.tuple(fc.nat(6), fc.integer({ min: 1, max: 5 })), { maxLength: 12 }).map((parts) => {
  const runs: LeafRun[] = [];
  let at = 0;
  for (const [gap, count] of parts) {
    runs.push({ first: at + gap, count });
    at += gap + count;
  }
  return runs;
});

describe('runs of leaves', () => {
  it('unite, subtract and are searched as sets of leaves are', () => {
    fc.assert(
      fc.property(anyRuns, anyRuns, (a, b) => {
        const [setA, setB] = [setOf(a), setOf(b)];
        expect(sorted(setOf(uniteRuns(a, b)))).toEqual(sorted(new Set([...setA, ...setB])));
        expect(sorted(setOf(subtractRuns(a, b)))).toEqual(sorted(setA).filter((leaf) => !setB.has(leaf)));
        for (let leaf = 0; leaf < 80; leaf++) expect(runsHave(a, leaf)).toBe(setA.has(leaf));
      }),
    );
  });

  it('hold every leaf that a range touches, even when ranges come out of order or overlap', () => {
    const anyRange = fc.record({ offset: fc.nat(40 * LEAF_SIZE), length: fc.nat(3 * LEAF_SIZE) });
    fc.assert(
      fc.property(fc.array(anyRange, { maxLength: 10 }), (ranges: Range[]) => {
        const expected = new Set<number>();
        for (const { offset, length } of ranges) {
          for (let at = offset; at < offset + length; at += 4_096) expected.add(Math.floor(at / LEAF_SIZE));
          if (length > 0) expected.add(Math.floor((offset + length - 1) / LEAF_SIZE));
        }
        const runs = runsOfRanges(ranges, 2, 37);
        expect(sorted(setOf(runs))).toEqual(sorted(expected).filter((leaf) => leaf >= 2 && leaf < 37));
      }),
    );
  });

  it('are taken for zero only where ordered, adjoining extents say so', () => {
    const data = { offset: 0, length: LEAF_SIZE + 1, kind: 'data' as const };
    const hole = { offset: LEAF_SIZE + 1, length: 3 * LEAF_SIZE - 1, kind: 'hole' as const };
    expect(zeroRuns([data, hole], 0, 4, 4 * LEAF_SIZE)).toEqual([{ first: 2, count: 2 }]);
    expect(zeroRuns([hole], 0, 4, 4 * LEAF_SIZE)).toEqual([]);
    expect(zeroRuns([hole, data], 0, 4, 4 * LEAF_SIZE)).toEqual([]);
    expect(zeroRuns([data, { ...hole, length: LEAF_SIZE }], 0, 4, 4 * LEAF_SIZE)).toEqual([]);
  });
});

describe('candidates', () => {
  const rules = { touched: [], completeSize: 1e12, audit: 'none' as const, executionNumber: 3 };

  it('are what the tracker names, rounded out to leaves, and all of the groups that an aborted run touched', () => {
    const { listed, audited } = candidatesOf(
      { ...rules, touched: [1, 9] },
      [{ offset: 3 * LEAF_SIZE - 1, length: 2 }],
      0,
      2 * GROUP_LEAVES + 50,
    );
    expect(listed).toEqual([
      { first: 2, count: 2 },
      { first: GROUP_LEAVES, count: GROUP_LEAVES },
    ]);
    expect(audited).toEqual([]);
  });

  it('are all leaves beyond the last complete size, its last leaf included when that was short', () => {
    const { listed } = candidatesOf({ ...rules, completeSize: 10 * LEAF_SIZE + 5 }, [], 0, 20);
    expect(listed).toEqual([{ first: 10, count: 10 }]);
  });

  it('are audited in every group once within as many executions as the sample has parts', () => {
    for (let group = 0; group < 40; group++) {
      const seen = Array.from({ length: SAMPLE_PERIOD }, (_, i) => isSampled(group, 7 + i)).filter(Boolean);
      expect(seen).toHaveLength(1);
    }
    const to = 40 * GROUP_LEAVES;
    const { listed, audited } = candidatesOf({ ...rules, audit: 'sample' }, [{ offset: 0, length: 1 }], 0, to);
    expect(listed).toEqual([{ first: 0, count: 1 }]);
    expect(audited.map((run) => [run.first / GROUP_LEAVES, run.count])).toEqual([
      [3, GROUP_LEAVES],
      [19, GROUP_LEAVES],
      [35, GROUP_LEAVES],
    ]);
    const whole = candidatesOf({ ...rules, audit: 'whole' }, [{ offset: 0, length: 1 }], 0, to);
    expect(whole.audited).toEqual([{ first: 1, count: to - 1 }]);
  });
});
