import { LEAF_SIZE, type Range } from './disk.ts';
import type { LeafRun } from './leaf-table.ts';

/** Appends a run to an ordered list, growing its last run where they meet. */
export function pushRun(runs: LeafRun[], first: number, count: number): void {
  const last = runs.at(-1);
  if (last && last.first + last.count === first) last.count += count;
  else runs.push({ first, count });
}

/**
 * The runs rounded out from byte ranges, clipped to leaves `from` to `to`, merged. Ranges should come ordered; where somebody
 * breaks that promise they are put in order, for a dropped range would be a lost write.
 */
export function runsOfRanges(ranges: readonly Range[], from: number, to: number): LeafRun[] {
  const runs: LeafRun[] = [];
  let next = from;
  for (const range of isOrdered(ranges) ? ranges : ranges.toSorted((a, b) => a.offset - b.offset)) {
    if (range.length <= 0) continue;
    const first = Math.max(next, Math.floor(range.offset / LEAF_SIZE));
    const end = Math.min(to, Math.ceil((range.offset + range.length) / LEAF_SIZE));
    if (end <= first) continue;
    pushRun(runs, first, end - first);
    next = end;
  }
  return runs;
}

function isOrdered(ranges: readonly Range[]): boolean {
  for (let i = 1; i < ranges.length; i++) if (ranges[i]!.offset < ranges[i - 1]!.offset) return false;
  return true;
}

/** Union of two ordered lists of runs; overlaps allowed. */
export function uniteRuns(a: readonly LeafRun[], b: readonly LeafRun[]): LeafRun[] {
  const out: LeafRun[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const takeA = j >= b.length || (i < a.length && a[i]!.first <= b[j]!.first);
    const run = takeA ? a[i++]! : b[j++]!;
    const last = out.at(-1);
    if (last && run.first <= last.first + last.count) {
      last.count = Math.max(last.count, run.first + run.count - last.first);
    } else {
      out.push({ ...run });
    }
  }
  return out;
}

/** The parts of `a` that are not in `b`; both ordered, without overlaps. */
export function subtractRuns(a: readonly LeafRun[], b: readonly LeafRun[]): LeafRun[] {
  const out: LeafRun[] = [];
  let j = 0;
  for (const run of a) {
    let at = run.first;
    const end = run.first + run.count;
    while (j < b.length && b[j]!.first + b[j]!.count <= at) j++;
    for (let k = j; at < end; k++) {
      const hole = b[k];
      if (!hole || hole.first >= end) {
        pushRun(out, at, end - at);
        break;
      }
      if (hole.first > at) pushRun(out, at, hole.first - at);
      at = Math.max(at, hole.first + hole.count);
    }
  }
  return out;
}

/** True when a leaf is in one of the ordered runs. */
export function runsHave(runs: readonly LeafRun[], leaf: number): boolean {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const run = runs[middle]!;
    if (run.first + run.count <= leaf) low = middle + 1;
    else high = middle;
  }
  const run = runs[low];
  return run !== undefined && run.first <= leaf;
}
