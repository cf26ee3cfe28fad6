import { type CandidateRules, type Candidates, candidatesOf } from './candidates.ts';
import { type CopyCounters, type CopyPass, type LeafGroup, nothingDone } from './checkpoint-store.ts';
import type { GroupCache } from './copy-group-cache.ts';
import type { WindowItem } from './copy-window.ts';
import { CHUNK_SIZE, type Disk, type Extent, LEAF_SIZE } from './disk.ts';
import { pushRun, runsOfRanges, subtractRuns } from './leaf-runs.ts';
import { DIGEST_SIZE, GROUP_LEAVES, isUnknown, type LeafLayout, type LeafRun, sameDigest } from './leaf-table.ts';

/** Leaves of one chunk. */
const CHUNK_LEAVES = CHUNK_SIZE / LEAF_SIZE;
/** Groups asked for in one extents request: 128 MiB to 16 GiB, so that an answer stays near EXTENTS_WANTED. */
const MIN_PIECE = 2;
const MAX_PIECE = 256;
const EXTENTS_WANTED = 2_048;

/** One piece of work: leaves to read and compare, or leaves to make zero. */
export interface CopyItem extends WindowItem {
  kind: 'read' | 'zero';
  /** What the target is known to hold, in the group's row; held until the item is recorded. */
  group: LeafGroup;
  /** False when only the audit looks at it: a known leaf that differs then proves the tracker wrong. */
  listed: boolean;
  /** Digests found, 32 bytes per leaf of the run; set when it is read. */
  digests: Uint8Array | null;
  /** True when anything was sent or zeroed for it that no flush has covered yet. */
  wrote: boolean;
  /** What it adds to the counters once it is recorded: itself, and the skipped leaves before it. */
  done: CopyCounters;
}

/** A decision of the planner. `skipped` leaves are zero at the source and known to be zero at the target. */
export type PlanStep =
  | { kind: 'item'; item: CopyItem }
  | { kind: 'skip'; run: LeafRun }
  | { kind: 'advance'; leaf: number };

/** Thrown out of the plan when the tracker cannot tell after all: the pass starts again over everything. */
export class TrackerSilent extends Error {}

export interface PlanInput {
  source: Disk;
  layout: LeafLayout;
  cache: GroupCache;
  pass: CopyPass;
  /** Null: no tracker answer is asked for; then nothing is ever "audited". */
  rules: CandidateRules | null;
  /** Leaf to go on from. */
  from: number;
  signal: AbortSignal;
}

/**
 * Walks the disk and tells, in order, what is to be read, what is to be zeroed, and what needs nothing. Asks the source
 * about pieces of bounded size and never holds more than one piece.
 */
export async function* planCopy(input: PlanInput): AsyncGenerator<PlanStep, void, void> {
  const { layout } = input;
  let pieceGroups = MIN_PIECE;
  let at = input.from;
  while (at < layout.leafCount) {
    const end = Math.min(layout.leafCount, (Math.floor(at / GROUP_LEAVES) + pieceGroups) * GROUP_LEAVES);
    const candidates = await askCandidates(input, at, end);
    const parts = [...marked(candidates.listed, true), ...marked(candidates.audited, false)];
    parts.sort((a, b) => a.run.first - b.run.first);
    let answers = candidates.listed.length;
    if (parts.length > 0) {
      const zero = await askZero(input, parts[0]!.run.first, endOf(parts.at(-1)!.run));
      answers = Math.max(answers, zero.extents);
      const groups = groupsOf(parts.map(({ run }) => run));
      for (const part of parts) yield* planRun(input, part.run, part.listed, zero.runs, groups);
    }
    yield { kind: 'advance', leaf: end };
    if (answers > EXTENTS_WANTED) pieceGroups = Math.max(MIN_PIECE, pieceGroups >> 1);
    else if (answers < EXTENTS_WANTED / 4) pieceGroups = Math.min(MAX_PIECE, pieceGroups << 1);
    at = end;
  }
}

function marked(runs: readonly LeafRun[], listed: boolean): { run: LeafRun; listed: boolean }[] {
  return runs.map((run) => ({ run, listed }));
}

/** Numbers of the groups that ordered runs lie in, ascending. */
function groupsOf(runs: readonly LeafRun[]): number[] {
  const groups: number[] = [];
  for (const run of runs) {
    for (let group = Math.floor(run.first / GROUP_LEAVES); group * GROUP_LEAVES < endOf(run); group++) {
      if (groups.at(-1) !== group) groups.push(group);
    }
  }
  return groups;
}

function endOf(run: LeafRun): number {
  return run.first + run.count;
}

async function askCandidates(input: PlanInput, from: number, to: number): Promise<Candidates> {
  const { rules, layout, source, signal } = input;
  const everything = [{ first: from, count: to - from }];
  if (!rules) return { listed: everything, audited: [] };
  const changed = await source.changed(from * LEAF_SIZE, layout.runLength(everything[0]!), signal);
  if (!changed) {
    if (input.pass === 'changed') throw new TrackerSilent();
    return { listed: everything, audited: [] };
  }
  return candidatesOf(rules, changed, from, to);
}

/** Runs of leaves that are zero by the source's own map, ordered. A leaf that is zero only in part is data. */
async function askZero(input: PlanInput, from: number, to: number): Promise<{ runs: LeafRun[]; extents: number }> {
  const { source, layout, signal } = input;
  if (!source.sparse) return { runs: [], extents: 1 };
  const offset = from * LEAF_SIZE;
  const length = layout.runLength({ first: from, count: to - from });
  const extents = await source.extents(offset, length, signal);
  return { runs: zeroRuns(extents, from, to, length), extents: extents.length };
}

/**
 * Leaves `from` to `to` that no data extent touches. Extents that leave a gap or come out of order prove nothing: then no
 * leaf is taken for zero.
 *
 * @param length bytes that were asked for, from the start of leaf `from`
 */
export function zeroRuns(extents: readonly Extent[], from: number, to: number, length: number): LeafRun[] {
  let next = from * LEAF_SIZE;
  for (const extent of extents) {
    if (extent.offset !== next) return [];
    next += extent.length;
  }
  if (next < from * LEAF_SIZE + length) return [];
  const data = extents.filter((extent) => extent.kind !== 'zero' && extent.kind !== 'hole');
  return subtractRuns([{ first: from, count: to - from }], runsOfRanges(data, from, to));
}

async function* planRun(
  input: PlanInput,
  run: LeafRun,
  listed: boolean,
  zero: readonly LeafRun[],
  groups: readonly number[],
): AsyncGenerator<PlanStep, void, void> {
  for (let at = run.first; at < endOf(run); ) {
    const number = Math.floor(at / GROUP_LEAVES);
    const end = Math.min(endOf(run), (number + 1) * GROUP_LEAVES);
    const part: LeafRun = { first: at, count: end - at };
    at = end;
    const data = subtractRuns([part], zero);
    const empty = subtractRuns([part], data);
    let loaded = await input.cache.load(number, groups);
    const toZero = loaded ? notZero(input.layout, loaded, empty) : [];
    const steps = [
      ...data.flatMap(chunks).map((piece) => ({ run: piece, kind: 'read' as const })),
      ...toZero.map((piece) => ({ run: piece, kind: 'zero' as const })),
      ...subtractRuns(empty, toZero).map((piece) => ({ run: piece, kind: 'skip' as const })),
    ];
    steps.sort((a, b) => a.run.first - b.run.first);
    for (const { run: piece, kind } of steps) {
      if (kind === 'skip') {
        yield { kind, run: piece };
      } else {
        const bytes = kind === 'read' ? input.layout.runLength(piece) : 0;
        // From here on this object is the group, even after it was released in between.
        const group = input.cache.hold(number, loaded);
        loaded = group;
        // Not in a pass that looks at everything: what it finds to differ is sent, whoever kept silent about it.
        const audit = !listed && input.pass === 'changed' && kind === 'read' && isKnown(group, piece);
        yield {
          kind: 'item',
          item: { kind, run: piece, bytes, audit, group, listed, digests: null, wrote: false, done: nothingDone() },
        };
      }
    }
  }
}

/** Cuts a run at chunk boundaries of the disk, so that a request never straddles two of the server's blocks. */
function chunks(run: LeafRun): LeafRun[] {
  const out: LeafRun[] = [];
  for (let at = run.first; at < endOf(run); ) {
    const end = Math.min(endOf(run), (Math.floor(at / CHUNK_LEAVES) + 1) * CHUNK_LEAVES);
    out.push({ first: at, count: end - at });
    at = end;
  }
  return out;
}

/** True when it is known of every leaf of the run (all in this group) what the target holds. */
function isKnown(group: LeafGroup, run: LeafRun): boolean {
  const base = group.group * GROUP_LEAVES;
  for (let leaf = run.first; leaf < endOf(run); leaf++) {
    if (isUnknown(group.leaves, (leaf - base) * DIGEST_SIZE)) return false;
  }
  return true;
}

/** The leaves of `runs` (all in this group) that the target is not known to hold zeroes in. */
function notZero(layout: LeafLayout, group: LeafGroup, runs: readonly LeafRun[]): LeafRun[] {
  const out: LeafRun[] = [];
  const base = group.group * GROUP_LEAVES;
  for (const run of runs) {
    for (let leaf = run.first; leaf < endOf(run); leaf++) {
      const isZero = sameDigest(group.leaves, (leaf - base) * DIGEST_SIZE, layout.zeroDigestOf(leaf));
      if (!isZero) pushRun(out, leaf, 1);
    }
  }
  return out;
}
