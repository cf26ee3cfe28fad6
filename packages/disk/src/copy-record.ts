import {
  addCounters,
  type CheckpointStore,
  type CompletedRun,
  type CopyCounters,
  type LeafGroup,
  nothingDone,
  type ReplicaProgress,
} from './checkpoint-store.ts';
import type { GroupCache } from './copy-group-cache.ts';
import type { CopyItem } from './copy-planner.ts';
import type { WindowCheckpoint } from './copy-window.ts';
import type { GroupRoots } from './group-roots.ts';
import { changeLeaf, DIGEST_SIZE, GROUP_LEAVES, type LeafLayout, type LeafRun, sameDigest } from './leaf-table.ts';

export interface RecordInput {
  store: CheckpointStore;
  cache: GroupCache;
  /** Told of every group before its row is replaced. */
  roots: GroupRoots;
  layout: LeafLayout;
  complete: CompletedRun | null;
  progress: ReplicaProgress;
  /** Groups with leaves made unknown: they go into the first commit. */
  marks: LeafGroup[];
}

/** What a commit says besides its checkpoint. */
export interface CommitNote {
  /** First byte at which somebody told a falsehood, or null. */
  trackerLied: number | null;
  /** The next pass looks at everything, from 0. */
  again: boolean;
  /** The planner has decided all leaves up to here. */
  frontier: number;
}

/** What is committed of a pass, and what it has finished since: progress, leaf table, counters. */
export class CopyRecord {
  readonly #in: RecordInput;
  #progress: ReplicaProgress;
  #marks: LeafGroup[];
  /** Committed counters plus what is finished since. */
  readonly live: CopyCounters;
  /** Skipped leaves behind the last planned item. */
  #skips = nothingDone();

  constructor(input: RecordInput) {
    this.#in = input;
    this.#progress = input.progress;
    this.#marks = input.marks;
    this.live = { ...input.progress.counters };
    for (const mark of input.marks) input.cache.put(mark);
  }

  /** As committed last. */
  get progress(): ReplicaProgress {
    return this.#progress;
  }

  /** Leaves that need nothing: zero at the source, known to be zero at the target. */
  skip(run: LeafRun): void {
    this.#skips.leavesZero += run.count;
    this.#skips.bytesSkipped += this.#in.layout.runLength(run);
  }

  /** An item takes the skipped leaves before it along: they are recorded together. */
  takeSkips(item: CopyItem): void {
    addCounters(item.done, this.#skips);
    addCounters(this.live, this.#skips);
    this.#skips = nothingDone();
  }

  /** The leaf tables as they will be once these items are recorded. */
  *foreseen(items: readonly CopyItem[]): Generator<Pick<LeafGroup, 'group' | 'leaves'>> {
    const written = items.filter(({ audit }) => !audit);
    for (let i = 0; i < written.length; ) {
      const { group } = written[i]!;
      const leaves = new Uint8Array(group.leaves);
      for (; written[i]?.group === group; i++) {
        const { run, digests } = written[i]!;
        for (let at = 0; at < run.count; at++) {
          leaves.set(this.#found(digests, run, at), (run.first + at - group.group * GROUP_LEAVES) * DIGEST_SIZE);
        }
      }
      yield { group: group.group, leaves };
    }
  }

  /**
   * Puts what the checkpoint records, flushed before, into the leaf table and commits.
   *
   * @throws what the store throws; the commit may have happened then
   */
  async commit(checkpoint: WindowCheckpoint<CopyItem>, note: CommitNote): Promise<void> {
    const { store, cache, roots } = this.#in;
    const counters = { ...this.#progress.counters };
    // Taken now: what is skipped during the commit lies beyond this checkpoint's low-water mark.
    if (checkpoint.intent.length === 0 && checkpoint.lowWater === note.frontier) {
      addCounters(counters, this.#skips);
      addCounters(this.live, this.#skips);
      this.#skips = nothingDone();
    }
    const changed = new Map(this.#marks.map((mark) => [mark.group, mark]));
    for (const item of checkpoint.finished) {
      addCounters(counters, item.done);
      if (!item.audit && this.#enter(item)) changed.set(item.group.group, item.group);
    }
    if (note.again) {
      counters.leavesRead = 0;
      counters.leavesHashed = 0;
      counters.leavesZero = 0;
    }
    const progress: ReplicaProgress = {
      ...this.#progress,
      ...(note.again ? { pass: 'compare', lowWater: 0 } : { lowWater: checkpoint.lowWater }),
      trackerLied: note.trackerLied,
      intent: checkpoint.intent,
      counters,
    };
    for (const group of changed.keys()) roots.forget(group);
    await store.commit(progress, [...changed.values()]);
    for (const { group, leaves } of changed.values()) roots.settle(group, leaves);
    this.#progress = progress;
    for (const { group } of checkpoint.finished) {
      if ((group.group + 1) * GROUP_LEAVES <= progress.lowWater) roots.finish(group.group, group.leaves);
      cache.release(group.group);
    }
    if (this.#marks.length > 0) {
      this.#marks = [];
      cache.settle();
    }
  }

  /** Puts a finished item's digests into its group; true when that changed it. */
  #enter(item: CopyItem): boolean {
    const { group, run } = item;
    const number = this.#progress.executionNumber;
    const completeNo = this.#in.complete?.number ?? 0;
    let changed = false;
    for (let i = 0; i < run.count; i++) {
      const leaf = run.first + i;
      const index = leaf - group.group * GROUP_LEAVES;
      const found = this.#found(item.digests, run, i);
      if (sameDigest(group.leaves, index * DIGEST_SIZE, found)) continue;
      changeLeaf(group, index, found, number, completeNo);
      changed = true;
    }
    return changed;
  }

  /** What a finished item found in the `i`-th leaf of its run; zeroes when it only made them. */
  #found(digests: Uint8Array | null, run: LeafRun, i: number): Uint8Array {
    return digests
      ? digests.subarray(i * DIGEST_SIZE, (i + 1) * DIGEST_SIZE)
      : this.#in.layout.zeroDigestOf(run.first + i);
  }
}
