import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';
import { digest } from '../src/digest.ts';
import {
  type CopyPlan,
  type CopyResult,
  copyDisk,
  type Disk,
  FaultyDisk,
  type HashLeaves,
  LEAF_SIZE,
  merkleRoot,
  seededRandom,
} from '../src/index.ts';
import { WrappedDisk } from '../src/wrapped-disk.ts';
import { HashingDisk } from './hashing-disk.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

const never = () => new Doom(Number.POSITIVE_INFINITY);
const LEAVES = 60;
const SIZE = LEAVES * LEAF_SIZE - 1_000;

/** A disk that was copied and proven once; both sides can hash. */
class Replica {
  readonly table = new StoredTable();
  readonly source = new SparseBytes(SIZE);
  target = new SparseBytes(SIZE + 4_096);
  execution = 1;
  hashing!: { source: HashingDisk; target: HashingDisk };

  static async made(): Promise<Replica> {
    const replica = new Replica();
    for (let leaf = 0; leaf < LEAVES; leaf++) replica.put(leaf, 1);
    await replica.copy({ targetZeroed: true });
    replica.complete();
    return replica;
  }

  put(leaf: number, seed: number): void {
    const bytes = new Uint8Array(Math.min(LEAF_SIZE, SIZE - leaf * LEAF_SIZE)).fill(seed * 40 + (leaf % 40) + 1);
    this.source.write(leaf * LEAF_SIZE, bytes);
  }

  complete(): void {
    this.table.complete = { number: this.execution, size: SIZE };
    this.execution++;
  }

  async copy(plan: Partial<CopyPlan> = {}, wrap: Wrap = {}): Promise<CopyResult> {
    const source = new HashingDisk(new VolatileDisk(this.source, seededRandom(2), never()));
    const written = new VolatileDisk(this.target, seededRandom(3), never());
    const target = new HashingDisk(written);
    this.hashing = { source, target };
    try {
      return await copyDisk({
        source: wrap.source?.(source) ?? source,
        target: wrap.target?.(target) ?? target,
        store: new DoomedStore(this.table, never(), seededRandom(4)),
        ...(wrap.signal ? { signal: wrap.signal } : {}),
        plan: {
          mode: 'compare',
          audit: 'none',
          verify: 'whole',
          executionNumber: this.execution,
          snapshotKey: `s${this.execution}`,
          targetZeroed: false,
          ...plan,
        },
      });
    } finally {
      this.target = written.durable;
    }
  }

  expectProven(result: CopyResult): void {
    const table = new Uint8Array(LEAVES * 32);
    for (let leaf = 0; leaf < LEAVES; leaf++) table.set(digest(this.source.leaf(leaf)), leaf * 32);
    expect(result.sourceRoot).toEqual(merkleRoot(table));
    expect(result.targetRoot).toEqual(result.sourceRoot);
    expect(this.target.differs(this.source)).toBe(-1);
  }
}

interface Wrap {
  source?: (disk: HashingDisk) => Disk;
  target?: (disk: HashingDisk) => Disk;
  signal?: AbortSignal;
}

/** Changes what a disk tells about its leaves. */
class Teller extends WrappedDisk {
  readonly #tell: (inner: HashLeaves) => HashLeaves;

  constructor(inner: Disk, tell: (inner: HashLeaves) => HashLeaves) {
    super(inner);
    this.#tell = tell;
  }

  override get hashLeaves(): HashLeaves {
    return this.#tell(super.hashLeaves!);
  }
}

describe('a source that hashes its leaves itself', () => {
  it('is not asked in a first copy, of which every byte travels anyway', async () => {
    const replica = await Replica.made();
    expect(replica.hashing.source.asked).toEqual([]);
    expect(replica.hashing.source.bytesRead).toBe(SIZE);
  });

  it('sends nothing but the leaves that differ', async () => {
    const replica = await Replica.made();
    for (const leaf of [3, 4, 30, LEAVES - 1]) replica.put(leaf, 2);
    const result = await replica.copy();
    replica.expectProven(result);
    const changed = 4 * LEAF_SIZE - 1_000;
    expect(replica.hashing.source.bytesRead).toBe(changed);
    expect(replica.hashing.source.asked.reduce((sum, { length }) => sum + length, 0)).toBe(SIZE);
    expect(result).toMatchObject({
      trackerLied: null,
      leavesCarried: 0,
      counters: {
        bytesRead: changed,
        bytesSent: changed,
        bytesSkipped: SIZE - changed,
        leavesRead: 4,
        leavesHashed: LEAVES - 4,
        leavesReread: LEAVES,
        leavesRehashed: LEAVES,
      },
    });
    expect(replica.hashing.target.bytesRead).toBe(0);
  });

  it('is not believed where the bytes say something else: everything is then read', async () => {
    const replica = await Replica.made();
    replica.put(10, 2);
    let lies = 0;
    const source = (disk: HashingDisk) =>
      new Teller(disk, (inner) => async (offset, length, signal) => {
        const told = await inner(offset, length, signal);
        if (offset <= 20 * LEAF_SIZE && 20 * LEAF_SIZE < offset + length) {
          told[(20 - offset / LEAF_SIZE) * 32] = (told[(20 - offset / LEAF_SIZE) * 32] ?? 0) ^ 1;
          lies++;
        }
        return told;
      });
    const result = await replica.copy({}, { source });
    replica.expectProven(result);
    expect(lies).toBe(1);
    expect(result.trackerLied).toBe(20 * LEAF_SIZE);
    expect(result.counters).toMatchObject({ leavesRead: LEAVES, leavesHashed: 0 });
  });

  it('that changes between its hash and its read is read in full, and the proof is of what was read', async () => {
    const replica = await Replica.made();
    replica.put(10, 2);
    const source = (disk: HashingDisk) =>
      new Teller(disk, (inner) => async (offset, length, signal) => {
        const told = await inner(offset, length, signal);
        if (offset === 8 * LEAF_SIZE) replica.put(10, 3);
        return told;
      });
    const result = await replica.copy({}, { source });
    expect(result.trackerLied).toBe(10 * LEAF_SIZE);
    replica.expectProven(result);
  });

  it('that tells too little or nothing fails with its address, and the next attempt goes on', async () => {
    for (const cut of [0, 31, 32]) {
      const replica = await Replica.made();
      replica.put(10, 2);
      const source = (disk: HashingDisk) =>
        new Teller(
          disk,
          (inner) =>
            async (...range) =>
              (await inner(...range)).subarray(0, cut),
        );
      await expect(replica.copy({}, { source })).rejects.toMatchObject({
        code: 'DISK_READ_FAILED',
        details: { reason: expect.stringContaining(`${cut} bytes of digests`) },
      });
      replica.expectProven(await replica.copy());
    }
  });

  it('that tells too much is refused', async () => {
    const replica = await Replica.made();
    const source = (disk: HashingDisk) =>
      new Teller(
        disk,
        (inner) =>
          async (...range) =>
            Buffer.concat([await inner(...range), Buffer.alloc(32)]),
      );
    await expect(replica.copy({}, { source })).rejects.toMatchObject({ code: 'DISK_READ_FAILED' });
  });

  it('that never answers is given up when the copy is canceled', async () => {
    const replica = await Replica.made();
    const abort = new AbortController();
    const source = (disk: HashingDisk) =>
      new Teller(disk, () => () => {
        abort.abort();
        return new Promise<Uint8Array>(() => undefined);
      });
    await expect(replica.copy({}, { source, signal: abort.signal })).rejects.toMatchObject({ code: 'CANCELED' });
    replica.expectProven(await replica.copy());
  });

  it('that fails, delays and errs at random never gets a wrong disk proven', async () => {
    let failures = 0;
    let proofs = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const replica = await Replica.made();
      for (const leaf of [seed % LEAVES, (seed * 7) % LEAVES]) replica.put(leaf, 2);
      const faults = { seed, delay: 0.2, maxDelayMs: 3, error: 0.05, truncateHashes: 0.05 };
      const source = (disk: HashingDisk) => new FaultyDisk(disk, faults);
      for (let attempt = 1; ; attempt++) {
        try {
          replica.expectProven(await replica.copy({}, attempt > 20 ? {} : { source }));
          proofs++;
          break;
        } catch (error) {
          expect(error).toBeInstanceOf(GodwitError);
          expect(error).toMatchObject({ code: 'DISK_READ_FAILED' });
          failures++;
        }
      }
    }
    expect(proofs).toBe(25);
    expect(failures).toBeGreaterThan(5);
  });

  it('is asked again after an interruption, and leaves made unknown are read whatever it tells', async () => {
    const replica = await Replica.made();
    for (let leaf = 0; leaf < LEAVES; leaf++) replica.put(leaf, 2);
    const refusing = (disk: HashingDisk): Disk => {
      let writes = 0;
      return new (class extends WrappedDisk {
        override write(...call: Parameters<Disk['write']>): Promise<void> {
          if (++writes > 3)
            return Promise.reject(new GodwitError('DISK_WRITE_FAILED', 'it', { offset: 0, reason: 'no' }));
          return super.write(...call);
        }
      })(disk);
    };
    await expect(replica.copy({}, { target: refusing })).rejects.toMatchObject({ code: 'DISK_WRITE_FAILED' });
    for (let leaf = 0; leaf < LEAVES; leaf++) replica.put(leaf, 1);
    replica.execution++;
    replica.expectProven(await replica.copy());
  });
});

describe('a target that hashes its leaves itself', () => {
  it('proves itself without a byte travelling, and a flipped bit is found and named', async () => {
    const replica = await Replica.made();
    const at = 17 * LEAF_SIZE + 12_345;
    const byte = new Uint8Array(1);
    replica.target.read(at, byte);
    replica.target.write(at, Uint8Array.of(byte[0]! ^ 4));
    await expect(replica.copy()).rejects.toMatchObject({
      code: 'VERIFY_MISMATCH',
      details: { offset: 17 * LEAF_SIZE, count: 1 },
    });
    expect(replica.hashing.target.bytesRead).toBe(LEAF_SIZE);
    replica.expectProven(await replica.copy());
  });

  it('convicts nothing by a wrong digest: the leaf is read', async () => {
    const replica = await Replica.made();
    const target = (disk: HashingDisk) =>
      new Teller(disk, (inner) => async (...range) => {
        const told = await inner(...range);
        told.fill(9, 0, 32);
        return told;
      });
    const result = await replica.copy({}, { target });
    replica.expectProven(result);
    expect(result.counters.leavesReread).toBe(LEAVES);
    expect(result.counters.leavesRehashed).toBe(LEAVES - Math.ceil(LEAVES / 8));
  });

  it('that tells too little is no proof', async () => {
    const replica = await Replica.made();
    const target = (disk: HashingDisk) =>
      new Teller(
        disk,
        (inner) =>
          async (...range) =>
            (await inner(...range)).subarray(32),
      );
    await expect(replica.copy({}, { target })).rejects.toMatchObject({ code: 'DISK_READ_FAILED' });
  });
});
