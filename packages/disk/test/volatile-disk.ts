import { GodwitError } from '@godwit/domain';
import { type Disk, type Extent, LEAF_SIZE, type Range } from '../src/index.ts';

/** Bytes of a disk, kept by leaf; an absent leaf is zero. */
export class SparseBytes {
  readonly size: number;
  readonly #leaves = new Map<number, Uint8Array>();

  constructor(size: number) {
    this.size = size;
  }

  static copy(from: SparseBytes, size = from.size): SparseBytes {
    const made = new SparseBytes(size);
    for (const [leaf, bytes] of from.#leaves) made.#leaves.set(leaf, bytes.slice());
    return made;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#each(offset, bytes.length, (leaf, at, from, length) => {
      let target = this.#leaves.get(leaf);
      if (!target) {
        target = new Uint8Array(LEAF_SIZE);
        this.#leaves.set(leaf, target);
      }
      target.set(bytes.subarray(from, from + length), at);
    });
  }

  zero(offset: number, length: number): void {
    this.#each(offset, length, (leaf, at, _from, part) => {
      if (part === LEAF_SIZE) this.#leaves.delete(leaf);
      else this.#leaves.get(leaf)?.fill(0, at, at + part);
    });
  }

  read(offset: number, into: Uint8Array): void {
    this.#each(offset, into.length, (leaf, at, from, length) => {
      const source = this.#leaves.get(leaf);
      if (source) into.set(source.subarray(at, at + length), from);
      else into.fill(0, from, from + length);
    });
  }

  leaf(index: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(LEAF_SIZE, this.size - index * LEAF_SIZE));
    this.read(index * LEAF_SIZE, bytes);
    return bytes;
  }

  /** False: the leaf is absent, so zero. */
  holds(index: number): boolean {
    return this.#leaves.has(index);
  }

  /** Leaves that hold anything but absence. */
  present(): number[] {
    return [...this.#leaves.keys()].sort((a, b) => a - b);
  }

  /** First leaf in which the two differ, below the smaller size; -1: none. */
  differs(other: SparseBytes): number {
    const leaves = new Set([...this.#leaves.keys(), ...other.#leaves.keys()]);
    const size = Math.min(this.size, other.size);
    for (const leaf of [...leaves].sort((a, b) => a - b)) {
      const length = Math.min(LEAF_SIZE, size - leaf * LEAF_SIZE);
      if (length <= 0) continue;
      const a = this.leaf(leaf).subarray(0, length);
      if (Buffer.compare(a, other.leaf(leaf).subarray(0, length)) !== 0) return leaf;
    }
    return -1;
  }

  #each(offset: number, length: number, one: (leaf: number, at: number, from: number, length: number) => void): void {
    for (let done = 0; done < length; ) {
      const leaf = Math.floor((offset + done) / LEAF_SIZE);
      const at = (offset + done) % LEAF_SIZE;
      const part = Math.min(LEAF_SIZE - at, length - done);
      one(leaf, at, done, part);
      done += part;
    }
  }
}

interface Change {
  offset: number;
  length: number;
  bytes: Uint8Array | null;
}

/** Ends the world at a chosen call: from then on everything attached rejects and changes nothing. */
export class Doom {
  /** Calls so far. */
  count = 0;
  dead = false;
  #at: number;

  /** @param at number of the call that never returns; Infinity: none */
  constructor(at: number) {
    this.#at = at;
  }

  /** One call; true when this is the fatal one. */
  strikes(): boolean {
    if (this.dead) throw doomed();
    this.count++;
    if (this.count < this.#at) return false;
    this.dead = true;
    return true;
  }

  check(): void {
    if (this.dead) throw doomed();
  }
}

export function doomed(): GodwitError {
  return new GodwitError('CONNECTION_FAILED', 'the doomed', { reason: 'the process was killed' });
}

/**
 * A disk with a volatile write cache, as any real one: what was not flushed before a crash survives wholly, in part, or not
 * at all. Requests end in random order.
 */
export class VolatileDisk implements Disk {
  readonly size: number;
  readonly maxInFlight = 16;
  readonly readOnly = false;
  readonly sparse: boolean;
  /** What a reader sees. */
  readonly current: SparseBytes;
  /** What surely survives a crash. */
  readonly durable: SparseBytes;
  changes: Range[] | null = null;
  writes = 0;
  readonly #unflushed = new Set<Change>();
  readonly #random: () => number;
  readonly #doom: Doom;

  constructor(bytes: SparseBytes, random: () => number, doom: Doom, sparse = true) {
    this.size = bytes.size;
    this.current = bytes;
    this.durable = SparseBytes.copy(bytes);
    this.#random = random;
    this.#doom = doom;
    this.sparse = sparse;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#check(offset, into.length);
    if (this.#doom.strikes()) throw doomed();
    await this.#later();
    this.current.read(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    await this.#change({ offset, length: from.length, bytes: new Uint8Array(from) });
  }

  async zero(offset: number, length: number): Promise<void> {
    await this.#change({ offset, length, bytes: null });
  }

  async flush(): Promise<void> {
    const covered = [...this.#unflushed].filter((change) => this.#settled.has(change));
    const fatal = this.#doom.strikes();
    if (!fatal) await this.#later();
    for (const change of covered) {
      // A flush under way when the crash came may have written any part.
      if (fatal && this.#random() < 0.5) continue;
      apply(this.durable, change);
      this.#unflushed.delete(change);
    }
    if (fatal) throw doomed();
  }

  async extents(offset: number, length: number): Promise<Extent[]> {
    this.#check(offset, length);
    if (this.#doom.strikes()) throw doomed();
    await this.#later();
    if (!this.sparse) return [{ offset, length, kind: 'data' }];
    return extentsOf(this.current, offset, length);
  }

  async changed(offset: number, length: number): Promise<Range[] | null> {
    this.#doom.check();
    if (!this.changes) return null;
    const end = offset + length;
    const clipped = this.changes.map((range) => {
      const start = Math.max(offset, range.offset);
      return { offset: start, length: Math.min(end, range.offset + range.length) - start };
    });
    return clipped.filter((range) => range.length > 0);
  }

  async close(): Promise<void> {
    this.#unflushed.clear();
  }

  /** What lies on the platters after the power went: flushed writes, and any part of the others. */
  afterCrash(): SparseBytes {
    const left = SparseBytes.copy(this.durable);
    for (const change of this.#unflushed) {
      const fate = this.#random();
      if (fate < 0.3) continue;
      if (fate < 0.6) apply(left, change);
      else applyPart(left, change, this.#random);
    }
    return left;
  }

  readonly #settled = new WeakSet<Change>();

  async #change(change: Change): Promise<void> {
    this.#check(change.offset, change.length);
    const fatal = this.#doom.strikes();
    this.writes++;
    this.#unflushed.add(change);
    if (fatal) throw doomed();
    await this.#later();
    apply(this.current, change);
    this.#settled.add(change);
  }

  #check(offset: number, length: number): void {
    if (offset < 0 || length < 0 || offset + length > this.size) throw new RangeError(`${offset}+${length}`);
  }

  /** Ends after a random number of turns of the event loop, or with the process. */
  async #later(): Promise<void> {
    for (let turns = Math.floor(this.#random() * 4); turns >= 0; turns--) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#doom.check();
  }
}

function apply(bytes: SparseBytes, change: Change): void {
  if (change.bytes) bytes.write(change.offset, change.bytes);
  else bytes.zero(change.offset, change.length);
}

/** Some 4 KiB sectors of it. */
function applyPart(bytes: SparseBytes, change: Change, random: () => number): void {
  for (let at = 0; at < change.length; at += 4_096) {
    const length = Math.min(4_096, change.length - at);
    if (random() < 0.5) continue;
    const part = change.bytes?.subarray(at, at + length) ?? null;
    apply(bytes, { offset: change.offset + at, length, bytes: part });
  }
}

/** Absent leaves are holes, every third of them only "zero"; a present leaf of zeroes is data. */
function extentsOf(bytes: SparseBytes, offset: number, length: number): Extent[] {
  const present = new Set(bytes.present());
  const out: Extent[] = [];
  const end = offset + length;
  let at = offset;
  const push = (to: number, kind: Extent['kind']) => {
    const last = out.at(-1);
    if (last?.kind === kind) last.length += to - at;
    else out.push({ offset: at, length: to - at, kind });
    at = to;
  };
  const firstLeaf = Math.floor(offset / LEAF_SIZE);
  for (let leaf = firstLeaf; at < end; leaf++) {
    const to = Math.min(end, (leaf + 1) * LEAF_SIZE);
    push(to, present.has(leaf) ? 'data' : Math.floor(leaf / 64) % 3 === 0 ? 'zero' : 'hole');
  }
  return out;
}
