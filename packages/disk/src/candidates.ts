import { LEAF_SIZE, type Range } from './disk.ts';
import { runsOfRanges, subtractRuns, uniteRuns } from './leaf-runs.ts';
import { GROUP_LEAVES, type LeafRun } from './leaf-table.ts';

/** How much is looked at beyond what the change tracker names. */
export type Audit = 'none' | 'sample' | 'whole';

/** One group in this many is looked at by an audit `sample`; after as many executions every group was. */
export const SAMPLE_PERIOD = 16;

/** What makes a leaf a candidate, apart from the tracker's own answer. */
export interface CandidateRules {
  /** Numbers of groups changed since the last complete run, ascending. */
  touched: readonly number[];
  /** Bytes of the disk in the last complete run: what lies beyond is new to the target. */
  completeSize: number;
  audit: Audit;
  executionNumber: number;
}

/** The candidates of a stretch of disk. Both lists are ordered and do not overlap. */
export interface Candidates {
  /** Somebody told that they may differ: the tracker, an aborted run, growth. */
  listed: LeafRun[];
  /** Nobody did: they are looked at to catch a tracker that misses changes. */
  audited: LeafRun[];
}

/** True when the audit `sample` of this execution looks at the group. */
export function isSampled(group: number, executionNumber: number): boolean {
  return group % SAMPLE_PERIOD === executionNumber % SAMPLE_PERIOD;
}

/**
 * The candidates among leaves `from` to `to` (exclusive).
 *
 * @param changed the tracker's answer for that stretch, bytes
 */
export function candidatesOf(rules: CandidateRules, changed: readonly Range[], from: number, to: number): Candidates {
  const listed = uniteRuns(
    uniteRuns(runsOfRanges(changed, from, to), touchedRuns(rules.touched, from, to)),
    grownRuns(rules.completeSize, from, to),
  );
  return { listed, audited: subtractRuns(auditRuns(rules, from, to), listed) };
}

function touchedRuns(touched: readonly number[], from: number, to: number): LeafRun[] {
  let low = 0;
  let high = touched.length;
  const firstGroup = Math.floor(from / GROUP_LEAVES);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (touched[middle]! < firstGroup) low = middle + 1;
    else high = middle;
  }
  const ranges: Range[] = [];
  const groupBytes = GROUP_LEAVES * LEAF_SIZE;
  for (let i = low; i < touched.length && touched[i]! * GROUP_LEAVES < to; i++) {
    ranges.push({ offset: touched[i]! * groupBytes, length: groupBytes });
  }
  return runsOfRanges(ranges, from, to);
}

/** A last leaf that was short is counted in: it has a new length now. */
function grownRuns(completeSize: number, from: number, to: number): LeafRun[] {
  const first = Math.max(from, Math.floor(completeSize / LEAF_SIZE));
  return first < to ? [{ first, count: to - first }] : [];
}

function auditRuns(rules: CandidateRules, from: number, to: number): LeafRun[] {
  if (rules.audit === 'whole') return to > from ? [{ first: from, count: to - from }] : [];
  if (rules.audit === 'none') return [];
  const ranges: Range[] = [];
  const groupBytes = GROUP_LEAVES * LEAF_SIZE;
  for (let group = Math.floor(from / GROUP_LEAVES); group * GROUP_LEAVES < to; group++) {
    if (isSampled(group, rules.executionNumber)) ranges.push({ offset: group * groupBytes, length: groupBytes });
  }
  return runsOfRanges(ranges, from, to);
}
