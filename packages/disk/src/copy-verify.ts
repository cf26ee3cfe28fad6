import { GodwitError } from '@godwit/domain';
import type { BufferPool } from './buffer-pool.ts';
import type { CheckpointStore, CompletedRun, CopyCounters, LeafGroup, ReplicaProgress } from './checkpoint-store.ts';
import type { Verify } from './copy.ts';
import { toldDigests } from './copy-item.ts';
import { zeroRuns } from './copy-planner.ts';
import { CHUNK_SIZE, type Disk, LEAF_SIZE } from './disk.ts';
import type { GroupRoots } from './group-roots.ts';
import type { InFlight } from './in-flight.ts';
import { digestLeaf } from './leaf-digest.ts';
import { pushRun, runsHave } from './leaf-runs.ts';
import {
  changeLeaf,
  DIGEST_SIZE,
  fillGroup,
  GROUP_LEAVES,
  isUnknown,
  type LeafLayout,
  type LeafRun,
  maskHas,
  sameDigest,
  UNKNOWN,
} from './leaf-table.ts';
import { MerkleRoot, merkleRoot, uniformRoot } from './merkle.ts';

/** Groups read from the store in one call, and asked the target's extents for. */
const BATCH = 16;
const CHUNK_LEAVES = CHUNK_SIZE / LEAF_SIZE;
/** Height of the tree over a full group. */
const GROUP_HEIGHT = 10;

export interface VerifyInput {
  label: string;
  target: Disk;
  store: CheckpointStore;
  layout: LeafLayout;
  complete: CompletedRun | null;
  roots: GroupRoots;
  progress: ReplicaProgress;
  verify: Verify;
  pool: BufferPool;
  inFlight: InFlight;
  clock: () => number;
  signal: AbortSignal;
  onProgress: (doneBytes: number, counters: CopyCounters) => void;
}

export type Proof =
  | { kind: 'proven'; sourceRoot: Uint8Array; targetRoot: Uint8Array | null; counters: CopyCounters }
  /** A leaf that no pass decided; the progress was set back to a full pass. */
  | { kind: 'unknown'; leaf: number };

/**
 * Re-reads the target as asked and builds both roots. Leaves that differ become unknown in the store.
 *
 * @throws GodwitError VERIFY_MISMATCH with `offset` of the first differing leaf and `count`; CANCELED
 */
export function verifyCopy(input: VerifyInput): Promise<Proof> {
  return new Verification(input).run();
}

/**
 * A group being re-read. `found` starts as the table's digests and is overwritten by what the target holds. Without a
 * table: a full group whose root is `found`.
 */
interface OpenGroup {
  table: LeafGroup | null;
  found: Uint8Array;
  reading: Promise<void>;
}

class Verification {
  readonly #in: VerifyInput;
  readonly #source = new MerkleRoot();
  readonly #target = new MerkleRoot();
  readonly #counters: CopyCounters;
  readonly #zeroGroup: Uint8Array;
  readonly #queue: OpenGroup[] = [];
  #weight = 0;
  #held: (() => void)[] = [];
  #failure: { error: unknown } | null = null;
  #firstBad = -1;
  #badCount = 0;
  #bad: LeafGroup[] = [];
  #doneLeaves = 0;

  constructor(input: VerifyInput) {
    this.#in = input;
    this.#counters = { ...input.progress.counters, leavesReread: 0, leavesRehashed: 0 };
    this.#zeroGroup = uniformRoot(input.layout.zeroDigest, GROUP_HEIGHT);
  }

  async run(): Promise<Proof> {
    const { layout, store, signal, label } = this.#in;
    try {
      for (let first = 0; first < layout.groupCount; first += BATCH) {
        const count = Math.min(BATCH, layout.groupCount - first);
        const rows = this.#areKnown(first, count) ? new Map<number, LeafGroup>() : await rowsOf(store, first, count);
        const zero = await this.#zeroAtTarget(first, count);
        for (let number = first; number < first + count; number++) {
          if (signal.aborted) throw new GodwitError('CANCELED', label, {}, { cause: signal.reason });
          const unknown = await this.#open(number, rows.get(number), zero);
          if (unknown !== null) return await this.#setBack(unknown);
        }
      }
      while (this.#queue.length > 0) await this.#close();
    } finally {
      await Promise.allSettled(this.#queue.map((open) => open.reading));
    }
    if (this.#badCount > 0) {
      await this.#commitBad();
      const details = { offset: this.#firstBad * LEAF_SIZE, count: this.#badCount };
      throw new GodwitError('VERIFY_MISMATCH', label, details);
    }
    const counters = this.#counters;
    const targetRoot = this.#in.verify === 'none' ? null : this.#target.root();
    return { kind: 'proven', sourceRoot: this.#source.root(), targetRoot, counters };
  }

  /** True when no row of these groups is needed. */
  #areKnown(first: number, count: number): boolean {
    const { roots, verify } = this.#in;
    for (let group = first; group < first + count; group++) {
      const known = this.#knownRoot(group) !== undefined || (verify !== 'whole' && roots.isAbsent(group));
      if (!known) return false;
    }
    return true;
  }

  /** Root of a group of which nothing is to be re-read. */
  #knownRoot(group: number): Uint8Array | undefined {
    const { verify, roots } = this.#in;
    if (verify === 'whole') return undefined;
    return verify === 'none' ? roots.now(group) : roots.get(group);
  }

  /** Starts re-reading a group; gives a leaf of it that is unknown, else null. */
  async #open(number: number, row: LeafGroup | undefined, zero: readonly LeafRun[]): Promise<number | null> {
    const { layout, verify, progress } = this.#in;
    const whole = verify === 'whole';
    const known = this.#knownRoot(number);
    if (known) {
      this.#queue.push({ table: null, found: known, reading: Promise.resolve() });
      while (this.#queue.length > 64) await this.#close();
      return null;
    }
    const isFull = layout.groupLeaves(number) === GROUP_LEAVES;
    const absentZero = !row && isFull && layout.absentIsZero(number, progress.zeroedEnd);
    const zeroThere = runsHave(zero, number * GROUP_LEAVES) && coversGroup(zero, number);
    if (absentZero && (!whole || zeroThere)) {
      if (whole) this.#counters.leavesReread += GROUP_LEAVES;
      this.#queue.push({ table: null, found: this.#zeroGroup, reading: Promise.resolve() });
      while (this.#queue.length > 64) await this.#close();
      return null;
    }
    const table = fillGroup(layout, number, row, progress.zeroedEnd);
    const leaves = layout.groupLeaves(number);
    for (let i = 0; i < leaves; i++) {
      if (isUnknown(table.leaves, i * DIGEST_SIZE)) return number * GROUP_LEAVES + i;
    }
    const found = new Uint8Array(table.leaves);
    const reading = this.#reread(table, found, this.#asked(table, leaves), zero);
    // The rejection is taken up by close(); until then it must not count as unhandled.
    reading.catch(() => undefined);
    this.#queue.push({ table, found, reading });
    await this.#unheld();
    while (this.#queue.length > 64) await this.#close();
    return null;
  }

  /** Leaves of the group to re-read. */
  #asked(table: LeafGroup, leaves: number): LeafRun[] {
    const { verify, complete } = this.#in;
    const base = table.group * GROUP_LEAVES;
    if (verify === 'whole') return [{ first: base, count: leaves }];
    const runs: LeafRun[] = [];
    if (verify === 'none' || table.changedNo <= (complete?.number ?? 0)) return runs;
    for (let i = 0; i < leaves; i++) if (maskHas(table.changedMask, i)) pushRun(runs, base + i, 1);
    return runs;
  }

  async #reread(table: LeafGroup, found: Uint8Array, asked: LeafRun[], zero: readonly LeafRun[]): Promise<void> {
    const { layout } = this.#in;
    const base = table.group * GROUP_LEAVES;
    const reads: LeafRun[] = [];
    for (const run of asked) {
      for (let leaf = run.first; leaf < run.first + run.count; leaf++) {
        this.#counters.leavesReread++;
        if (runsHave(zero, leaf)) {
          found.set(layout.zeroDigestOf(leaf), (leaf - base) * DIGEST_SIZE);
          continue;
        }
        const last = reads.at(-1);
        const joins = last && last.first + last.count === leaf && leaf % CHUNK_LEAVES !== 0;
        if (joins) last.count++;
        else reads.push({ first: leaf, count: 1 });
      }
    }
    const ends = await Promise.allSettled(reads.map((run) => this.#look(run, base, table, found)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** Lets the target's side hash the run where it can; reads the rest, and what it says differs: only bytes convict. */
  async #look(run: LeafRun, base: number, table: LeafGroup, found: Uint8Array): Promise<void> {
    const { target, layout, label, signal, inFlight, clock } = this.#in;
    if (!target.hashLeaves) return this.#read(run, base, found);
    const length = layout.runLength(run);
    const weight = length / CHUNK_SIZE;
    await this.#admitted(weight, () => true);
    const doubtful: LeafRun[] = [];
    try {
      if (this.#failure) throw this.#failure.error;
      const began = clock();
      const told = await toldDigests((...range) => target.hashLeaves!(...range), run, length, label, signal);
      const now = clock();
      inFlight.finished('read', length, now - began, now);
      for (let i = 0; i < run.count; i++) {
        const at = (run.first + i - base) * DIGEST_SIZE;
        if (!sameDigest(told, i * DIGEST_SIZE, table.leaves, at)) pushRun(doubtful, run.first + i, 1);
        else this.#counters.leavesRehashed++;
      }
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    } finally {
      this.#release(weight);
    }
    for (const part of doubtful) await this.#read(part, base, found);
  }

  async #read(run: LeafRun, base: number, found: Uint8Array): Promise<void> {
    const { layout, pool, target, signal, inFlight, clock } = this.#in;
    const length = layout.runLength(run);
    const weight = length / CHUNK_SIZE;
    const buffer = await this.#admitted(weight, () => pool.take(length));
    try {
      if (this.#failure) throw this.#failure.error;
      const bytes = buffer.subarray(0, length);
      const began = clock();
      await target.read(run.first * LEAF_SIZE, bytes, signal);
      const now = clock();
      inFlight.finished('read', length, now - began, now);
      for (let i = 0; i < run.count; i++) {
        const leaf = run.first + i;
        const data = bytes.subarray(i * LEAF_SIZE, Math.min(length, (i + 1) * LEAF_SIZE));
        digestLeaf(data, layout.zeroDigestOf(leaf), found, (leaf - base) * DIGEST_SIZE);
      }
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    } finally {
      pool.give(buffer);
      this.#release(weight);
    }
  }

  /** Waits until one more request of that weight may run and `take` gives what it needs. */
  async #admitted<T>(weight: number, take: () => T | undefined): Promise<T> {
    for (;;) {
      const full = this.#weight > 0 && this.#weight + weight > this.#in.inFlight.limit;
      const taken = full ? undefined : take();
      if (taken !== undefined) {
        this.#weight += weight;
        return taken;
      }
      this.#in.inFlight.held();
      await new Promise<void>((resolve) => this.#held.push(resolve));
    }
  }

  #release(weight: number): void {
    this.#weight -= weight;
    const held = this.#held;
    this.#held = [];
    for (const wake of held) wake();
  }

  /** Waits while requests wait for room, so that groups are not opened far ahead of their reads. */
  async #unheld(): Promise<void> {
    while (this.#held.length > 0 && this.#queue.length > 1) await this.#close();
  }

  /** Takes the oldest group's result. */
  async #close(): Promise<void> {
    const open = this.#queue[0]!;
    await open.reading;
    this.#queue.shift();
    const { table, found } = open;
    if (!table) {
      this.#source.addSubtree(found, GROUP_HEIGHT);
      this.#target.addSubtree(found, GROUP_HEIGHT);
      this.#done(GROUP_LEAVES);
      return;
    }
    if (Buffer.compare(table.leaves, found) !== 0) {
      this.#source.addLeaves(table.leaves);
      this.#target.addLeaves(found);
      await this.#differs(table, found);
    } else if (found.length === GROUP_LEAVES * DIGEST_SIZE) {
      // Equal, as nearly always: hashed once for both trees.
      const node = this.#in.roots.now(table.group) ?? merkleRoot(found);
      this.#source.addSubtree(node, GROUP_HEIGHT);
      this.#target.addSubtree(node, GROUP_HEIGHT);
    } else {
      this.#source.addLeaves(table.leaves);
      this.#target.addLeaves(found);
    }
    this.#done(found.length / DIGEST_SIZE);
  }

  async #differs(table: LeafGroup, found: Uint8Array): Promise<void> {
    const { progress, complete } = this.#in;
    for (let i = 0; i < found.length / DIGEST_SIZE; i++) {
      if (sameDigest(found, i * DIGEST_SIZE, table.leaves, i * DIGEST_SIZE)) continue;
      if (this.#badCount === 0) this.#firstBad = table.group * GROUP_LEAVES + i;
      this.#badCount++;
      changeLeaf(table, i, UNKNOWN, progress.executionNumber, complete?.number ?? 0);
    }
    this.#bad.push(table);
    if (this.#bad.length >= 64) await this.#commitBad();
  }

  async #commitBad(): Promise<void> {
    if (this.#bad.length === 0) return;
    await this.#in.store.commit({ ...this.#in.progress, lowWater: 0, intent: [] }, this.#bad);
    this.#bad = [];
  }

  async #setBack(leaf: number): Promise<Proof> {
    const { progress, store } = this.#in;
    const counters = { ...progress.counters, leavesRead: 0, leavesZero: 0 };
    await store.commit({ ...progress, pass: 'compare', lowWater: 0, intent: [], counters }, []);
    return { kind: 'unknown', leaf };
  }

  /** Leaves that the target's own map says are zero. */
  async #zeroAtTarget(first: number, count: number): Promise<LeafRun[]> {
    const { target, layout, signal, verify } = this.#in;
    if (!target.sparse || verify !== 'whole') return [];
    const from = first * GROUP_LEAVES;
    const to = Math.min(layout.leafCount, (first + count) * GROUP_LEAVES);
    const offset = from * LEAF_SIZE;
    const length = layout.runLength({ first: from, count: to - from });
    return zeroRuns(await target.extents(offset, length, signal), from, to, length);
  }

  #done(leaves: number): void {
    this.#doneLeaves += leaves;
    this.#in.onProgress(Math.min(this.#in.layout.size, this.#doneLeaves * LEAF_SIZE), this.#counters);
  }
}

async function rowsOf(store: CheckpointStore, first: number, count: number): Promise<Map<number, LeafGroup>> {
  return new Map((await store.readGroups(first, count)).map((row) => [row.group, row]));
}

function coversGroup(runs: readonly LeafRun[], group: number): boolean {
  const first = group * GROUP_LEAVES;
  return runs.some((run) => run.first <= first && run.first + run.count >= first + GROUP_LEAVES);
}
