import { pushRun } from './leaf-runs.ts';
import { GROUP_LEAVES, type LeafRun } from './leaf-table.ts';

/** A piece of work on adjoining leaves of one group. */
export interface WindowItem {
  run: LeafRun;
  /** Bytes to read for it, 0 when it is only zeroed; they may be sent unless it is an audit. */
  bytes: number;
  /** True: only looked at, never written. It needs no intent and takes none of the window's bytes. */
  audit: boolean;
}

/** What a window may hold. */
export interface WindowLimits {
  /** Bytes that may be sent, intended or not yet recorded: what an interruption can make to be sent again. Default 64 MiB. */
  bytes: number;
  /** Runs of leaves that may be written, and as many audits besides. Default 1,024. */
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
 * An audit is *planned*, handed out by nextAudit() as soon as anybody has time, *finished*, and recorded in its place among
 * the others: the low-water mark never passes one that was not looked at. Any other item is, in order:
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
  /** Not yet recorded, in order. */
  #items: T[] = [];
  /** Those of them that may be written: finished and issued ones first, then intended, then planned. */
  #writes: T[] = [];
  /** Audits not handed out. */
  #audits: T[] = [];
  readonly #finished = new Set<T>();
  #inFlightCount = 0;
  /** Of the writes. */
  #issuedCount = 0;
  #intendedCount = 0;
  #writtenCount = 0;
  /** Finished items before the first unfinished one. */
  #prefixCount = 0;
  #prefixBytes = 0;
  #bytes = 0;
  #groups = 0;
  #frontier: number;
  #lowWater: number;
  #open: { recorded: number; writes: number; intended: number; lowWater: number } | null = null;

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

  /** Items planned and not intended, audits apart. */
  get plannedCount(): number {
    return this.#writes.length - Math.max(this.#intendedCount, this.#open?.intended ?? 0);
  }

  /** Items that next() can hand out. */
  get issuableCount(): number {
    return this.#intendedCount - this.#issuedCount;
  }

  /** Items handed out and not finished. */
  get inFlightCount(): number {
    return this.#inFlightCount;
  }

  /** Audits that nextAudit() can hand out. */
  get auditCount(): number {
    return this.#audits.length;
  }

  /** Nothing that was planned so far is still to be written. */
  get allWritten(): boolean {
    return this.#writtenCount === this.#writes.length;
  }

  /** Finished items that a commit could record now. */
  get recordableCount(): number {
    return this.#prefixCount - (this.#open?.recorded ?? 0);
  }

  /** The items, from the first on, that a flush begun now covers: finished ones, and audits in any state. */
  coveredItems(): T[] {
    const end = this.#items.findIndex((item) => !item.audit && !this.#finished.has(item));
    return end < 0 ? [...this.#items] : this.#items.slice(0, end);
  }

  /** Bytes of all finished items of the prefix, audits apart. */
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
    const { bytes, runs, groups } = this.#limits;
    if (this.#groups + (this.#opensGroup(item.run) ? 1 : 0) > groups) return false;
    if (item.audit) return this.#items.length - this.#writes.length < runs;
    return this.#bytes + item.bytes <= bytes && this.#writes.length < runs;
  }

  /** Adds the next item; it must lie at or beyond the frontier. */
  plan(item: T): void {
    if (item.run.first < this.#frontier) throw new RangeError(`leaf ${item.run.first} is below ${this.#frontier}`);
    if (this.#opensGroup(item.run)) this.#groups++;
    this.#items.push(item);
    if (item.audit) this.#audits.push(item);
    else this.#writes.push(item);
    this.#bytes += writable(item);
    this.#frontier = item.run.first + item.run.count;
  }

  /** Everything below `leaf` that is not in an item is decided: no candidate, or known to be equal. */
  advance(leaf: number): void {
    this.#frontier = Math.max(this.#frontier, leaf);
  }

  /** Hands out the next intended item, in order. */
  next(): T | undefined {
    if (this.issuableCount === 0) return undefined;
    this.#inFlightCount++;
    return this.#writes[this.#issuedCount++];
  }

  /** The item that next() would hand out. */
  peek(): T | undefined {
    return this.issuableCount === 0 ? undefined : this.#writes[this.#issuedCount];
  }

  /** Hands out the next audit. */
  nextAudit(): T | undefined {
    const item = this.#audits.shift();
    if (item) this.#inFlightCount++;
    return item;
  }

  /** The audit that nextAudit() would hand out. */
  peekAudit(): T | undefined {
    return this.#audits[0];
  }

  /** All writes of an issued item are done, or an audit was looked at. */
  finish(item: T): void {
    this.#finished.add(item);
    this.#inFlightCount--;
    if (!item.audit) this.#writtenCount++;
    for (;;) {
      const head = this.#items[this.#prefixCount];
      if (head === undefined || !this.#finished.has(head)) break;
      this.#prefixCount++;
      this.#prefixBytes += writable(head);
    }
  }

  /**
   * What a commit may say now.
   *
   * @param what `both`: record the finished prefix and intend what is planned. `intend`: only that, so that no flush is
   *   needed. `last`: record; intended items that were never issued leave the intent, and nothing may be issued afterwards.
   * @param flushed how many items, from the first on, the last flush covered: only they may be recorded, as far as they are
   *   finished. Default: all
   */
  checkpoint(what: 'both' | 'intend' | 'last' = 'both', flushed = this.#prefixCount): WindowCheckpoint<T> {
    if (this.#open) throw new Error('a commit is open');
    if (flushed > this.#items.length) throw new RangeError(`${flushed} items cannot have been flushed`);
    const recorded = what === 'intend' ? 0 : Math.min(flushed, this.#prefixCount);
    const finished = this.#items.slice(0, recorded);
    const writes = finished.reduce((count, item) => count + (item.audit ? 0 : 1), 0);
    const intended = what === 'last' ? this.#issuedCount : this.#writes.length;
    const left = this.#items[recorded];
    const lowWater = left ? left.run.first : this.#frontier;
    const intent: LeafRun[] = [];
    for (let i = writes; i < intended; i++) pushRun(intent, this.#writes[i]!.run.first, this.#writes[i]!.run.count);
    this.#open = { recorded, writes, intended, lowWater };
    return { finished, lowWater, intent };
  }

  /** The commit of the last checkpoint() has happened. */
  committed(): void {
    const open = this.#open;
    if (!open) throw new Error('no commit is open');
    this.#open = null;
    for (let i = 0; i < open.recorded; i++) {
      const item = this.#items[i]!;
      this.#finished.delete(item);
      this.#bytes -= writable(item);
      this.#prefixBytes -= writable(item);
    }
    this.#items = this.#items.slice(open.recorded);
    this.#writes = this.#writes.slice(open.writes);
    this.#prefixCount -= open.recorded;
    this.#issuedCount -= open.writes;
    this.#writtenCount -= open.writes;
    this.#intendedCount = open.intended - open.writes;
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

/** Bytes that may be written for it. */
function writable(item: WindowItem): number {
  return item.audit ? 0 : item.bytes;
}

function groupOf(run: LeafRun): number {
  return Math.floor(run.first / GROUP_LEAVES);
}
