import { describe, expect, it } from 'vitest';
import { digest } from '../src/digest.ts';
import {
  type CheckpointStore,
  type CopyPlan,
  type CopyResult,
  copyDisk,
  type Disk,
  LEAF_SIZE,
  type Range,
  seededRandom,
} from '../src/index.ts';
import { WrappedDisk } from '../src/wrapped-disk.ts';
import { HashingDisk } from './hashing-disk.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

const GROUP = 1_024;
/** Small, so that a run of few leaves has many windows, checkpoints and intents. */
const WINDOW = { bytes: 4 * LEAF_SIZE, runs: 3, groups: 2 };
const WINDOW_BYTES = WINDOW.bytes;

/** A source and a target that live through executions, crashes and power failures. */
class World {
  readonly random: () => number;
  source: SparseBytes;
  target: SparseBytes;
  readonly table = new StoredTable();
  /** Leaves written to the source since the snapshot of the last complete run. */
  changed = new Set<number>();
  frozen: SparseBytes;
  frozenChanges = new Set<number>();
  snapshots = 0;
  execution = 1;
  #targetZeroed: boolean;
  readonly #hashing: boolean;

  constructor(seed: number, size: number, targetZeroed: boolean) {
    this.random = seededRandom(seed);
    this.#hashing = seed % 2 === 1;
    this.source = new SparseBytes(size);
    this.target = new SparseBytes(size + this.below(3) * 4_096);
    this.#targetZeroed = targetZeroed;
    if (!targetZeroed) for (let i = 0; i < 6; i++) this.#scribble(this.target, this.anyLeaf());
    for (let i = 0; i < 20; i++) this.mutate();
    this.frozen = SparseBytes.copy(this.source);
  }

  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** Few places, so that changes meet earlier ones: near the ends of the groups and of the disk. */
  anyLeaf(): number {
    const count = Math.ceil(this.source.size / LEAF_SIZE);
    const near = [0, GROUP - 3, GROUP + 8, 2 * GROUP - 2, count - 4][this.below(5)]!;
    return Math.max(0, Math.min(count - 1, near + this.below(6)));
  }

  /** Writes one of few contents, so that an old content often comes back. */
  mutate(): void {
    const leaf = this.anyLeaf();
    this.#scribble(this.source, leaf);
    this.changed.add(leaf);
  }

  #scribble(bytes: SparseBytes, leaf: number): void {
    const length = Math.min(LEAF_SIZE, bytes.size - leaf * LEAF_SIZE);
    const choice = this.below(5);
    if (choice === 0) bytes.zero(leaf * LEAF_SIZE, length);
    else bytes.write(leaf * LEAF_SIZE, new Uint8Array(length).fill(choice === 1 ? 0 : choice));
  }

  /** The source becomes larger, and so does the target, where anything may lie in the new part. */
  grow(): void {
    const size = this.source.size + 1 + this.below(4 * LEAF_SIZE);
    this.source = SparseBytes.copy(this.source, size);
    this.target = SparseBytes.copy(this.target, Math.max(size, this.target.size));
    this.target.write(size - 1, Uint8Array.of(this.below(256)));
    this.#targetZeroed = false;
  }

  snapshot(): void {
    this.snapshots++;
    this.frozen = SparseBytes.copy(this.source);
    this.frozenChanges = new Set(this.changed);
  }

  plan(change: Partial<CopyPlan>): CopyPlan {
    return {
      mode: this.table.complete ? 'changed' : 'compare',
      audit: 'none',
      verify: 'changed',
      executionNumber: this.execution,
      snapshotKey: `s${this.snapshots}`,
      targetZeroed: this.#targetZeroed,
      ...change,
    };
  }

  /** One attempt; a doomed one leaves what a power failure leaves. `spoil` breaks the protocol, to see that it shows. */
  async attempt(doom: Doom, change: Partial<CopyPlan> = {}, spoil: Spoil = {}): Promise<CopyResult | null> {
    const source = new VolatileDisk(this.frozen, this.random, new Doom(Number.POSITIVE_INFINITY));
    source.changes = ranges(this.frozenChanges, this.frozen.size);
    const target = new VolatileDisk(this.target, this.random, doom);
    const store = new DoomedStore(this.table, doom, this.random);
    let result: CopyResult | null = null;
    try {
      result = await copyDisk({
        // Half of the worlds have an agent beside the source.
        source: this.#hashing ? new HashingDisk(source) : source,
        target: spoil.target?.(target) ?? target,
        store: spoil.store?.(store) ?? store,
        plan: this.plan(change),
        limits: { window: WINDOW },
      });
    } catch (error) {
      if (!doom.dead) throw error;
    }
    this.target = target.afterCrash();
    return result;
  }

  complete(): void {
    this.table.complete = { number: this.execution, size: this.frozen.size };
    for (const leaf of this.frozenChanges) this.changed.delete(leaf);
    this.execution++;
  }

  /**
   * What must hold at any moment, whatever a crash left: a known digest outside the intent is the digest of what lies on the
   * target. Gives the first leaf for which it does not.
   */
  brokenLeaf(): number | null {
    const { progress, groups } = this.table;
    if (!progress) return null;
    const intended = new Set(
      progress.intent.flatMap((run) => Array.from({ length: run.count }, (_, i) => run.first + i)),
    );
    const count = Math.ceil(progress.size / LEAF_SIZE);
    const zeroed = progress.zeroedEnd;
    for (let leaf = 0; leaf < count; leaf++) {
      if (intended.has(leaf)) continue;
      const length = Math.min(LEAF_SIZE, progress.size - leaf * LEAF_SIZE);
      const row = groups.get(Math.floor(leaf / GROUP));
      const at = (leaf % GROUP) * 32;
      const known =
        row?.leaves.subarray(at, at + 32) ?? (leaf * LEAF_SIZE + length <= zeroed ? digestOfZeroes(length) : null);
      if (!known || known.every((byte) => byte === 0)) continue;
      const held = this.target.holds(leaf)
        ? digest(this.target.leaf(leaf).subarray(0, length))
        : digestOfZeroes(length);
      if (Buffer.compare(known, held) !== 0) return leaf;
    }
    return null;
  }
}

interface Spoil {
  target?: (disk: Disk) => Disk;
  store?: (store: CheckpointStore) => CheckpointStore;
}

const zeroDigests = new Map<number, Uint8Array>();

function digestOfZeroes(length: number): Uint8Array {
  const made = zeroDigests.get(length) ?? digest(new Uint8Array(length));
  zeroDigests.set(length, made);
  return made;
}

function ranges(leaves: Set<number>, size: number): Range[] {
  return [...leaves]
    .sort((a, b) => a - b)
    .map((leaf) => ({ offset: leaf * LEAF_SIZE, length: Math.min(LEAF_SIZE, size - leaf * LEAF_SIZE) }));
}

const SIZE = 2 * GROUP * LEAF_SIZE + 7 * LEAF_SIZE + 4_321;

describe('a copy that is killed', () => {
  it('at any call of disk or store loses nothing when it goes on with the same snapshot', async () => {
    const whole = new World(1, SIZE, true);
    const count = new Doom(Number.POSITIVE_INFINITY);
    await whole.attempt(count);
    expect(count.count).toBeGreaterThan(20);
    for (let at = 1; at <= count.count; at++) {
      const world = new World(1, SIZE, true);
      await world.attempt(new Doom(at));
      expect(world.brokenLeaf(), `killed at call ${at}`).toBe(null);
      const result = await world.attempt(new Doom(Number.POSITIVE_INFINITY), { verify: 'whole' });
      expect(world.target.differs(world.frozen), `killed at call ${at}`).toBe(-1);
      expect(result?.targetRoot).toEqual(result?.sourceRoot);
      expect(result?.counters.bytesResent).toBeLessThanOrEqual(WINDOW_BYTES);
    }
  });

  it('at any call loses nothing when the source has changed back before the next snapshot', async () => {
    const first = async () => {
      const world = new World(2, SIZE, true);
      await world.attempt(new Doom(Number.POSITIVE_INFINITY));
      world.complete();
      const before = SparseBytes.copy(world.source);
      for (let i = 0; i < 12; i++) world.mutate();
      world.snapshot();
      return { world, before };
    };
    const { world: whole } = await first();
    const count = new Doom(Number.POSITIVE_INFINITY);
    await whole.attempt(count);
    for (let at = 1; at <= count.count; at++) {
      const { world, before } = await first();
      await world.attempt(new Doom(at));
      expect(world.brokenLeaf(), `killed at call ${at}`).toBe(null);
      // The next execution's tracker compares snapshots: what changed and changed back is not in its answer.
      world.execution++;
      world.source = before;
      world.changed = new Set();
      world.snapshot();
      await world.attempt(new Doom(Number.POSITIVE_INFINITY));
      expect(world.target.differs(world.frozen), `killed at call ${at}`).toBe(-1);
    }
  });

  it('again and again, over executions, snapshots, trackers and power failures, ends with equal disks', async () => {
    for (let seed = 1; seed <= 30; seed++) await live(seed);
  });
});

describe('the checks above notice an engine that', () => {
  /** Kills a copy at every call; the number of kills after which the table claims what the target does not hold. */
  async function caught(spoil: Spoil): Promise<number> {
    let broken = 0;
    for (let seed = 1; seed <= 3; seed++) {
      const count = new Doom(Number.POSITIVE_INFINITY);
      await new World(seed, SIZE, true).attempt(count, { verify: 'none' }, spoil);
      for (let at = 1; at <= count.count; at++) {
        const world = new World(seed, SIZE, true);
        await world.attempt(new Doom(at), { verify: 'none' }, spoil);
        if (world.brokenLeaf() !== null) broken++;
      }
    }
    return broken;
  }

  it('writes before its intent is committed', async () => {
    const store = (inner: CheckpointStore): CheckpointStore => ({
      load: () => inner.load(),
      readGroups: (first, count) => inner.readGroups(first, count),
      changedGroups: (number) => inner.changedGroups(number),
      commit: (progress, groups) => inner.commit({ ...progress, intent: [] }, groups),
    });
    expect(await caught({ store })).toBeGreaterThan(0);
  });

  it('records what was not flushed', async () => {
    expect(await caught({ target: (disk) => new Unflushed(disk) })).toBeGreaterThan(0);
  });

  it('loses a single write', async () => {
    const world = new World(4, SIZE, true);
    await world.attempt(
      new Doom(Number.POSITIVE_INFINITY),
      { verify: 'none' },
      { target: (disk) => new Losing(disk, 3) },
    );
    expect(world.brokenLeaf()).not.toBe(null);
    expect(world.target.differs(world.frozen)).toBe(world.brokenLeaf());
    const target = (disk: Disk) => new Losing(disk, 3);
    const verified = new World(4, SIZE, true).attempt(new Doom(Number.POSITIVE_INFINITY), {}, { target });
    await expect(verified).rejects.toMatchObject({ code: 'VERIFY_MISMATCH', details: { count: 1 } });
  });
});

class Unflushed extends WrappedDisk {
  override async flush(): Promise<void> {
    await Promise.resolve();
  }
}

class Losing extends WrappedDisk {
  #left: number;

  constructor(inner: Disk, number: number) {
    super(inner);
    this.#left = number;
  }

  override async write(offset: number, from: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.#left--;
    if (this.#left === 0) return;
    await super.write(offset, from.subarray(), signal);
  }
}

/** A random life: every crash is followed by the check of what must always hold, every completion by a comparison. */
async function live(seed: number): Promise<void> {
  const world = new World(1_000 + seed, SIZE - (seed % 3) * 2_000, seed % 2 === 0);
  for (let run = 0; run < 4; run++) {
    for (let i = world.below(10); i > 0; i--) world.mutate();
    if (world.below(5) === 0) world.grow();
    world.snapshot();
    const change: Partial<CopyPlan> = {
      audit: (['none', 'sample', 'whole'] as const)[world.below(3)]!,
      verify: (['changed', 'whole'] as const)[world.below(2)]!,
    };
    if (world.below(4) === 0) change.mode = 'compare';
    for (let crashes = world.below(5); crashes > 0; crashes--) {
      const finished = await world.attempt(new Doom(1 + world.below(80)), change);
      expect(world.brokenLeaf(), `seed ${seed}, run ${run}`).toBe(null);
      if (finished) break;
      if (world.below(2) === 0) continue;
      for (let i = world.below(4); i > 0; i--) world.mutate();
      if (world.below(2) === 0) world.execution++;
      if (world.below(5) === 0) world.grow();
      world.snapshot();
    }
    const result = await world.attempt(new Doom(Number.POSITIVE_INFINITY), change);
    expect(world.brokenLeaf(), `seed ${seed}, run ${run}`).toBe(null);
    expect(world.target.differs(world.frozen), `seed ${seed}, run ${run}`).toBe(-1);
    expect(result?.targetRoot).toEqual(result?.sourceRoot);
    expect(result?.trackerLied).toBe(null);
    world.complete();
  }
}
