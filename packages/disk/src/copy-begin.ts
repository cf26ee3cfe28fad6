import { GodwitError } from '@godwit/domain';
import {
  type CheckpointStore,
  type CompletedRun,
  type CopyPass,
  type LeafGroup,
  nothingDone,
  type ReplicaProgress,
} from './checkpoint-store.ts';
import type { CopyPlan } from './copy.ts';
import { LEAF_SIZE } from './disk.ts';
import { pushRun, uniteRuns } from './leaf-runs.ts';
import {
  changeLeaf,
  DIGEST_SIZE,
  fillGroup,
  GROUP_LEAVES,
  isUnknown,
  LeafLayout,
  type LeafRun,
  UNKNOWN,
} from './leaf-table.ts';

/** More runs than that are not kept: what is sent again may then go uncounted. */
const MAX_REDO = 1_024;

/** Where a copy begins, and what its first commit must say besides. */
export interface CopyBegin {
  layout: LeafLayout;
  complete: CompletedRun | null;
  progress: ReplicaProgress;
  /** Groups with leaves made unknown: they go into the first commit, before any write. */
  marks: LeafGroup[];
  /** Leaves that an interruption made unknown: sending them counts as sent again. */
  redo: LeafRun[];
  /** Groups changed since the last complete run, ascending. */
  touched: number[];
}

/**
 * Decides from what was committed where the copy goes on: at the low-water mark when it is the same snapshot in the same
 * execution, at 0 otherwise; either way what an interruption may have left half-written becomes unknown first.
 *
 * @param sourceSize bytes of the source as opened
 * @throws GodwitError DISK_SHRANK, and what the store throws
 */
export async function beginCopy(
  store: CheckpointStore,
  plan: CopyPlan,
  sourceSize: number,
  label: string,
): Promise<CopyBegin> {
  const size = plan.size ?? sourceSize;
  if (sourceSize < size) throw new GodwitError('DISK_SHRANK', label, { was: size, is: sourceSize });
  const stored = await store.load();
  const complete = stored?.complete ?? null;
  const prior = stored?.progress ?? null;
  const was = Math.max(prior?.size ?? 0, complete?.size ?? 0);
  if (size < was) throw new GodwitError('DISK_SHRANK', label, { was, is: size });

  const layout = new LeafLayout(size);
  const completeNo = complete?.number ?? 0;
  const progress = nextProgress(prior, complete, plan, layout);
  const unknown: LeafRun[] = (prior?.intent ?? []).map((run) => ({ ...run }));
  const waiting = await stillUnknown(store, layout, progress, prior?.redo ?? []);
  const redo = uniteRuns(prior?.intent ?? [], waiting).slice(0, MAX_REDO);
  progress.redo = redo;
  if (prior && prior.size < size && prior.size % LEAF_SIZE !== 0) {
    unknown.push({ first: Math.floor(prior.size / LEAF_SIZE), count: 1 });
  }
  const marks = await markUnknown(store, layout, progress, completeNo, unknown);
  const touched = new Set(complete ? await store.changedGroups(completeNo) : []);
  for (const mark of marks) touched.add(mark.group);
  return { layout, complete, progress, marks, redo, touched: [...touched].sort((a, b) => a - b) };
}

function nextProgress(
  prior: ReplicaProgress | null,
  complete: CompletedRun | null,
  plan: CopyPlan,
  layout: LeafLayout,
): ReplicaProgress {
  // What a completed run left behind is history; only an unfinished one is gone on with.
  const open = prior && prior.executionNumber > (complete?.number ?? 0) ? prior : null;
  const trackerLied = open?.trackerLied ?? null;
  const wanted: CopyPass =
    complete && plan.mode === 'changed' && plan.audit !== 'whole' && trackerLied === null ? 'changed' : 'compare';
  const sameRun = open?.executionNumber === plan.executionNumber;
  const same = sameRun && open?.snapshotKey === plan.snapshotKey && open.size === layout.size;
  const pass = same && open.pass === 'compare' ? 'compare' : wanted;
  const lowWater = same && open.pass === pass ? Math.min(open.lowWater, layout.leafCount) : 0;
  // A store of an earlier version lacks the counters that are new since.
  const counters = { ...nothingDone(), ...(sameRun ? open.counters : {}) };
  if (lowWater === 0) {
    counters.leavesRead = 0;
    counters.leavesHashed = 0;
    counters.leavesZero = 0;
  }
  return {
    size: layout.size,
    zeroedEnd: prior ? prior.zeroedEnd : plan.targetZeroed ? layout.size : 0,
    executionNumber: plan.executionNumber,
    snapshotKey: plan.snapshotKey,
    pass,
    trackerLied,
    lowWater,
    intent: [],
    counters,
  };
}

/** What an earlier interruption made unknown and the interrupted run did not come to. */
async function stillUnknown(
  store: CheckpointStore,
  layout: LeafLayout,
  progress: ReplicaProgress,
  runs: readonly LeafRun[],
): Promise<LeafRun[]> {
  const left: LeafRun[] = [];
  let group: LeafGroup | null = null;
  for (const run of runs) {
    for (let leaf = run.first; leaf < Math.min(run.first + run.count, layout.leafCount); leaf++) {
      const number = Math.floor(leaf / GROUP_LEAVES);
      if (group?.group !== number) {
        const [row] = await store.readGroups(number, 1);
        group = fillGroup(layout, number, row, progress.zeroedEnd);
      }
      if (isUnknown(group.leaves, (leaf - number * GROUP_LEAVES) * DIGEST_SIZE)) pushRun(left, leaf, 1);
    }
  }
  return left;
}

async function markUnknown(
  store: CheckpointStore,
  layout: LeafLayout,
  progress: ReplicaProgress,
  completeNo: number,
  runs: readonly LeafRun[],
): Promise<LeafGroup[]> {
  const byGroup = new Map<number, LeafRun[]>();
  for (const run of runs) {
    for (let leaf = run.first; leaf < run.first + run.count; leaf++) {
      const group = Math.floor(leaf / GROUP_LEAVES);
      let list = byGroup.get(group);
      if (!list) {
        list = [];
        byGroup.set(group, list);
      }
      pushRun(list, leaf, 1);
    }
  }
  const marks: LeafGroup[] = [];
  for (const [number, list] of byGroup) {
    const [row] = await store.readGroups(number, 1);
    const group = fillGroup(layout, number, row, progress.zeroedEnd);
    for (const run of list) {
      for (let leaf = run.first; leaf < run.first + run.count; leaf++) {
        changeLeaf(group, leaf - number * GROUP_LEAVES, UNKNOWN, progress.executionNumber, completeNo);
      }
    }
    marks.push(group);
  }
  return marks;
}
