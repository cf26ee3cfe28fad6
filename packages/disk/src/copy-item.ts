import { GodwitError } from '@godwit/domain';
import type { CopyItem } from './copy-planner.ts';
import { type Disk, type HashLeaves, LEAF_SIZE } from './disk.ts';
import type { InFlight, Stage } from './in-flight.ts';
import { digestLeaf } from './leaf-digest.ts';
import { pushRun, runsHave } from './leaf-runs.ts';
import { DIGEST_SIZE, GROUP_LEAVES, isUnknown, type LeafLayout, type LeafRun, sameDigest } from './leaf-table.ts';

/** What the work on items needs. */
export interface ItemPlace {
  /** The disk, in errors. */
  label: string;
  source: Disk;
  target: Promise<Disk>;
  layout: LeafLayout;
  /** Leaves that an interruption made unknown: sending them counts as sent again. */
  redo: readonly LeafRun[];
  inFlight: InFlight;
  clock: () => number;
  signal: AbortSignal;
  /** Digests computed beside the source spare reading what is equal. False once somebody told a falsehood. */
  believeHashes: boolean;
  /** A leaf differs that nobody named, by its first byte. */
  onMissed(offset: number): void;
  /** The bytes of a leaf have another digest than the source's side told, by its first byte. */
  onFalseHash(offset: number): void;
}

/** Differing leaves of a chunk: one write, or one request to zero. */
interface Difference extends LeafRun {
  zero: boolean;
}

/** Reads, compares and sends single items; their results are in the items. */
export class ItemWork {
  readonly #place: ItemPlace;
  readonly #hashLeaves: HashLeaves | null;

  constructor(place: ItemPlace) {
    this.#place = place;
    const { source } = place;
    this.#hashLeaves = place.believeHashes && source.hashLeaves ? (...range) => source.hashLeaves!(...range) : null;
  }

  /** @param bytes as many as the item has; null: it is only to be zeroed */
  async do(item: CopyItem, bytes: Buffer | null): Promise<void> {
    if (!bytes) return this.#zero(item, item.run);
    const told = await this.#ask(item);
    const read = told ? this.#toRead(item, told) : [item.run];
    await allOf(read.map((run) => this.#read(item, run, bytes)));
    const digests = told ?? new Uint8Array(item.run.count * DIGEST_SIZE);
    const differing = this.#compare(item, read, bytes, digests, told !== null);
    // What an audit finds to differ is sent by the next pass: here it has no intent.
    if (item.audit) return;
    item.digests = digests;
    await allOf(differing.map((run) => this.#send(item, run, bytes)));
  }

  async #zero(item: CopyItem, run: LeafRun): Promise<void> {
    const { layout, target, signal } = this.#place;
    const length = layout.runLength(run);
    item.wrote = true;
    await (await target).zero(run.first * LEAF_SIZE, length, signal);
    item.done.bytesZeroed += length;
    if (run === item.run) item.done.leavesZero += run.count;
  }

  /** Digests of all leaves of the item from the source's side; null where reading is as good. */
  async #ask(item: CopyItem): Promise<Uint8Array | null> {
    if (!this.#hashLeaves || !this.#holdsData(item)) return null;
    const { layout, signal, label } = this.#place;
    const hashLeaves = this.#hashLeaves;
    const length = layout.runLength(item.run);
    return this.#timed('read', length, () => toldDigests(hashLeaves, item.run, length, label, signal));
  }

  /** True when the target is known to hold something else than zeroes there: only then may a leaf turn out equal. */
  #holdsData({ run, group }: CopyItem): boolean {
    const { layout } = this.#place;
    for (let leaf = run.first; leaf < run.first + run.count; leaf++) {
      const at = placeIn(group.group, leaf);
      if (isUnknown(group.leaves, at)) continue;
      if (!sameDigest(group.leaves, at, layout.zeroDigestOf(leaf))) return true;
    }
    return false;
  }

  /** The leaves whose told digest is not the one that the target is known to hold. */
  #toRead(item: CopyItem, told: Uint8Array): LeafRun[] {
    const { run, group, done } = item;
    const runs: LeafRun[] = [];
    for (let i = 0; i < run.count; i++) {
      const at = placeIn(group.group, run.first + i);
      const equal = sameDigest(told, i * DIGEST_SIZE, group.leaves, at) && !isUnknown(group.leaves, at);
      if (!equal) {
        pushRun(runs, run.first + i, 1);
      } else {
        done.leavesHashed++;
        done.bytesSkipped += this.#place.layout.leafLength(run.first + i);
      }
    }
    return runs;
  }

  async #read(item: CopyItem, run: LeafRun, bytes: Buffer): Promise<void> {
    const { layout, source, signal } = this.#place;
    const length = layout.runLength(run);
    const from = (run.first - item.run.first) * LEAF_SIZE;
    const into = bytes.subarray(from, from + length);
    await this.#timed('read', length, () => source.read(run.first * LEAF_SIZE, into, signal));
    item.done.bytesRead += length;
    item.done.leavesRead += run.count;
  }

  /**
   * Hashes what was read and puts it into `digests`: a leaf that was read never keeps a digest that was only told.
   *
   * @returns what differs from what the target is known to hold
   */
  #compare(
    item: CopyItem,
    read: readonly LeafRun[],
    bytes: Buffer,
    digests: Uint8Array,
    wereTold: boolean,
  ): Difference[] {
    const { layout } = this.#place;
    const differing: Difference[] = [];
    const found = new Uint8Array(DIGEST_SIZE);
    for (const run of read) {
      for (let leaf = run.first; leaf < run.first + run.count; leaf++) {
        const i = leaf - item.run.first;
        const length = layout.leafLength(leaf);
        const data = bytes.subarray(i * LEAF_SIZE, i * LEAF_SIZE + length);
        const zero = digestLeaf(data, layout.zeroDigestOf(leaf), found, 0);
        if (wereTold && !sameDigest(found, 0, digests, i * DIGEST_SIZE)) this.#place.onFalseHash(leaf * LEAF_SIZE);
        digests.set(found, i * DIGEST_SIZE);
        const at = placeIn(item.group.group, leaf);
        if (sameDigest(found, 0, item.group.leaves, at)) {
          item.done.bytesSkipped += length;
          continue;
        }
        if (!item.listed && !isUnknown(item.group.leaves, at)) this.#place.onMissed(leaf * LEAF_SIZE);
        const last = differing.at(-1);
        if (last && last.zero === zero && last.first + last.count === leaf) last.count++;
        else differing.push({ first: leaf, count: 1, zero });
      }
    }
    return differing;
  }

  async #send(item: CopyItem, run: Difference, bytes: Buffer): Promise<void> {
    if (run.zero) return this.#zero(item, run);
    const { layout, target, redo, signal } = this.#place;
    const length = layout.runLength(run);
    const from = (run.first - item.run.first) * LEAF_SIZE;
    const piece = bytes.subarray(from, from + length);
    item.wrote = true;
    const disk = await target;
    await this.#timed('write', length, () => disk.write(run.first * LEAF_SIZE, piece, signal));
    item.done.bytesSent += length;
    for (let leaf = run.first; leaf < run.first + run.count; leaf++) {
      if (runsHave(redo, leaf)) item.done.bytesResent += layout.leafLength(leaf);
    }
  }

  async #timed<T>(stage: Stage, bytes: number, act: () => Promise<T>): Promise<T> {
    const { clock, inFlight } = this.#place;
    const began = clock();
    const result = await act();
    const now = clock();
    inFlight.finished(stage, bytes, now - began, now);
    return result;
  }
}

/**
 * Asks a disk for the digests of a run of leaves.
 *
 * @param length bytes of the run
 * @throws GodwitError DISK_READ_FAILED when there are not as many as leaves, and what the disk throws
 */
export async function toldDigests(
  hashLeaves: HashLeaves,
  run: LeafRun,
  length: number,
  label: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const offset = run.first * LEAF_SIZE;
  const told = await hashLeaves(offset, length, signal);
  if (told.byteLength === run.count * DIGEST_SIZE) return new Uint8Array(told);
  const reason = `${told.byteLength} bytes of digests came for ${run.count} leaves`;
  throw new GodwitError('DISK_READ_FAILED', label, { offset, reason });
}

/** Settles when all have: their buffer is free again then. Rejects with the first failure of the list. */
async function allOf(acts: readonly Promise<void>[]): Promise<void> {
  for (const end of await Promise.allSettled(acts)) if (end.status === 'rejected') throw end.reason;
}

/** Where the digest of a leaf lies in its group's table. */
function placeIn(group: number, leaf: number): number {
  return (leaf - group * GROUP_LEAVES) * DIGEST_SIZE;
}
