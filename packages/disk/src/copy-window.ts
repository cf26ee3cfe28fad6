import { pushRun } from './leaf-runs.ts';
import { GROUP_LEAVES, type LeafRun } from './leaf-table.ts';

/** A piece of work on adjoining leaves of one group. */
export interface WindowItem {
  run: LeafRun;
  /** Bytes that may be sent for it, 0 when it is only zeroed. */
  bytes: number;
}

/** What a window may hold. */
export interface WindowLimits {
  /** Bytes that may be sent, intended or not yet recorded: what an interruption can make to be sent again. Default 64 MiB. */
  bytes: number;
  /** Runs of leaves. Default 1,024. */
  runs: number;
  /** Leaf groups touched. Default 128: 4 MiB of digests in memory. */
  groups: number;
}

export const defaultWindowLimits: WindowLimits = { bytes: 67_108_864, runs: 1_024, groups: 128 };

/** What one commit records. */
export interface WindowCheckpoint<T> {
  /** Finished, in order, from the low-water mark on; their writes must be flushed before the commit. */
  finished: T[];
  /** All candidates below this leaf are recorded when the commit has happened. */
  lowWater: number;
  /** What may be written once the commit has happened (the part of it already under way included). */
  intent: LeafRun[];
}

/**
 * The part of a disk under way: which work is planned, which may be written because its intent is committed, which is
 * finished, and what the next commit may say. Pure: no I/O, no clock.
 *
 * An item is, in order:
 * - *planned*: known to the planner, not to the store. It must not be written.
 * - *intended*: in a committed intent. next() hands it out.
 * - *issued*: being read, compared, written; ends in finish(). Items finish in any order.
 * - *finished*: recorded by the first commit at whose checkpoint() all items before it were finished too.
 *
 * Items lie in ascending order of leaves and never overlap, so no byte is written twice in one pass and the order of
 * writes does not matter. One commit at a time: checkpoint(), then committed().
 */
export class CopyWindow<T extends WindowItem> {
  readonly #limits: WindowLimits;
  /** Not yet recorded, in order: finished and issued ones first, then intended, then planned. */
  #items: T[] = [];
  readonly #finished = new Set<T>();
  #issuedCount = 0;
  #intendedCount = 0;
  /** Finished items before the first unfinished one. */
  #prefixCount = 0;
  #prefixBytes = 0;
  #bytes = 0;
  #groups = 0;
  #frontier: number;
  #lowWater: number;
  #open: { recorded: number; intended: number; lowWater: number } | null = null;

  /** @param lowWater leaf at which the pass goes on */
  constructor(lowWater: number, limits: WindowLimits = defaultWindowLimits) {
    this.#limits = limits;
    this.#frontier = lowWater;
    this.#lowWater = lowWater;
  }

  /** Committed low-water mark. */
  get lowWater(): number {
    return this.#lowWater;
  }

  /** Leaf up to which the planner has decided. */
  get frontier(): number {
    return this.#frontier;
  }

  /** Items planned and not intended. */
  get plannedCount(): number {
    return this.#items.length - Math.max(this.#intendedCount, this.#open?.intended ?? 0);
  }

  /** Items that next() can hand out. */
  get issuableCount(): number {
    return this.#intendedCount - this.#issuedCount;
  }

  /** Items handed out and not finished. */
  get inFlightCount(): number {
    return this.#issuedCount - this.#finished.size;
  }

  /** Finished items that a commit could record now. */
  get recordableCount(): number {
    return this.#prefixCount - (this.#open?.recorded ?? 0);
  }

  /** The finished prefix: what a flush begun now covers. */
  finishedItems(): T[] {
    return this.#items.slice(0, this.#prefixCount);
  }

  /** Bytes of all finished items of the prefix. */
  get recordableBytes(): number {
    return this.#prefixBytes;
  }

  /** All items: planned, under way or unrecorded. */
  get count(): number {
    return this.#items.length;
  }

  /** All candidates below this leaf are finished, recorded or not. */
  get doneLeaf(): number {
    return this.#items[this.#prefixCount]?.run.first ?? this.#frontier;
  }

  /** Whether one more item fits. An empty window takes any. */
  hasRoom(item: WindowItem): boolean {
    if (this.#items.length === 0) return true;
    const groups = this.#groups + (this.#opensGroup(item.run) ? 1 : 0);
    return (
      this.#bytes + item.bytes <= this.#limits.bytes &&
      this.#items.length < this.#limits.runs &&
      groups <= this.#limits.groups
    );
  }

  /** Adds the next item; it must lie at or beyond the frontier. */
  plan(item: T): void {
    if (item.run.first < this.#frontier) throw new RangeError(`leaf ${item.run.first} is below ${this.#frontier}`);
    if (this.#opensGroup(item.run)) this.#groups++;
    this.#items.push(item);
    this.#bytes += item.bytes;
    this.#frontier = item.run.first + item.run.count;
  }

  /** Everything below `leaf` that is not in an item is decided: no candidate, or known to be equal. */
  advance(leaf: number): void {
    this.#frontier = Math.max(this.#frontier, leaf);
  }

  /** Hands out the next intended item, in order. */
  next(): T | undefined {
    if (this.issuableCount === 0) return undefined;
    return this.#items[this.#issuedCount++];
  }

  /** The item that next() would hand out. */
  peek(): T | undefined {
    return this.issuableCount === 0 ? undefined : this.#items[this.#issuedCount];
  }

  /** All writes of an issued item are done. */
  finish(item: T): void {
    this.#finished.add(item);
    for (;;) {
      const head = this.#items[this.#prefixCount];
      if (head === undefined || this.#prefixCount >= this.#issuedCount || !this.#finished.has(head)) break;
      this.#prefixCount++;
      this.#prefixBytes += head.bytes;
    }
  }

  /**
   * What a commit may say now.
   *
   * @param what `both`: record the finished prefix and intend what is planned. `intend`: only that, so that no flush is
   *   needed. `last`: record; intended items that were never issued leave the intent, and nothing may be issued afterwards.
   * @param flushed items of the finished prefix that the last flush covered: only they may be recorded. Default: all
   */
  checkpoint(what: 'both' | 'intend' | 'last' = 'both', flushed = this.#prefixCount): WindowCheckpoint<T> {
    if (this.#open) throw new Error('a commit is open');
    if (flushed > this.#prefixCount) throw new RangeError(`${flushed} items cannot have been flushed`);
    const recorded = what === 'intend' ? 0 : flushed;
    const intended = what === 'last' ? this.#issuedCount : this.#items.length;
    const left = this.#items[recorded];
    const lowWater = left ? left.run.first : this.#frontier;
    const intent: LeafRun[] = [];
    for (let i = recorded; i < intended; i++) pushRun(intent, this.#items[i]!.run.first, this.#items[i]!.run.count);
    this.#open = { recorded, intended, lowWater };
    return { finished: this.#items.slice(0, recorded), lowWater, intent };
  }

  /** The commit of the last checkpoint() has happened. */
  committed(): void {
    const open = this.#open;
    if (!open) throw new Error('no commit is open');
    this.#open = null;
    for (let i = 0; i < open.recorded; i++) {
      const item = this.#items[i]!;
      this.#finished.delete(item);
      this.#bytes -= item.bytes;
      this.#prefixBytes -= item.bytes;
    }
    this.#items = this.#items.slice(open.recorded);
    this.#prefixCount -= open.recorded;
    this.#issuedCount -= open.recorded;
    this.#intendedCount = open.intended - open.recorded;
    this.#lowWater = open.lowWater;
    this.#groups = 0;
    let last = -1;
    for (const item of this.#items) {
      const group = groupOf(item.run);
      if (group !== last) this.#groups++;
      last = group;
    }
  }

  #opensGroup(run: LeafRun): boolean {
    const last = this.#items.at(-1);
    return last === undefined || groupOf(last.run) !== groupOf(run);
  }
}

function groupOf(run: LeafRun): number {
  return Math.floor(run.first / GROUP_LEAVES);
}
