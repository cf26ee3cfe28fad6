import { describe, expect, it } from 'vitest';
import {
  type CopyPlan,
  type CopyResult,
  CountedDisk,
  copyDisk,
  DiskCounters,
  LEAF_SIZE,
  SAMPLE_PERIOD,
  seededRandom,
} from '../src/index.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

// What a change tracker does not say: growth, and lies.

const GROUP = 1_024;

/** A replica that lives through complete executions of a source whose tracker names only what `told` has. */
class Replica {
  readonly table = new StoredTable();
  source: SparseBytes;
  target: SparseBytes;
  told = new Set<number>();
  execution = 0;
  /** What the last run did to the target. */
  counters = new DiskCounters();

  constructor(source: SparseBytes, target: SparseBytes) {
    this.source = source;
    this.target = target;
  }

  put(leaf: number, value: number, tell: boolean): void {
    const length = Math.min(LEAF_SIZE, this.source.size - leaf * LEAF_SIZE);
    this.source.write(leaf * LEAF_SIZE, new Uint8Array(length).fill(value));
    if (tell) this.told.add(leaf);
  }

  async run(change: Partial<CopyPlan> = {}, window = 67_108_864): Promise<CopyResult> {
    this.execution++;
    const never = new Doom(Number.POSITIVE_INFINITY);
    const random = seededRandom(this.execution);
    const source = new VolatileDisk(SparseBytes.copy(this.source), random, never);
    source.changes = [...this.told]
      .sort((a, b) => a - b)
      .map((leaf) => ({ offset: leaf * LEAF_SIZE, length: Math.min(LEAF_SIZE, source.size - leaf * LEAF_SIZE) }));
    const target = new VolatileDisk(this.target, random, never);
    this.counters = new DiskCounters();
    const result = await copyDisk({
      source,
      target: new CountedDisk(target, this.counters),
      limits: { window: { bytes: window } },
      store: new DoomedStore(this.table, never, random),
      plan: {
        mode: this.table.complete ? 'changed' : 'compare',
        audit: 'none',
        verify: 'whole',
        executionNumber: this.execution,
        snapshotKey: `s${this.execution}`,
        targetZeroed: true,
        size: this.source.size,
        ...change,
      },
    });
    await target.flush();
    this.target = target.durable;
    this.table.complete = { number: this.execution, size: this.source.size };
    this.told.clear();
    return result;
  }
}

function grown(bytes: SparseBytes, size: number): SparseBytes {
  return SparseBytes.copy(bytes, size);
}

describe('a disk that grew', () => {
  it.each([
    [5 * LEAF_SIZE + 4_096, 9 * LEAF_SIZE],
    [5 * LEAF_SIZE, 5 * LEAF_SIZE + 512],
    [(GROUP - 2) * LEAF_SIZE + 512, (2 * GROUP + 3) * LEAF_SIZE + 1_024],
  ])('from %i to %i bytes is copied beyond its old end, though the tracker names nothing there', async (from, to) => {
    const replica = new Replica(new SparseBytes(from), new SparseBytes(from));
    replica.put(0, 1, true);
    replica.put(Math.ceil(from / LEAF_SIZE) - 1, 2, true);
    await replica.run();

    const first = Math.floor(from / LEAF_SIZE);
    const last = Math.ceil(to / LEAF_SIZE) - 1;
    replica.source = grown(replica.source, to);
    replica.put(last, 3, false);
    if (from % LEAF_SIZE !== 0) replica.source.write(from, new Uint8Array(100).fill(4));
    // A target that a platform grew holds whatever it likes there.
    replica.target = grown(replica.target, to);
    for (let leaf = first; leaf <= last; leaf++) {
      const start = Math.max(from, leaf * LEAF_SIZE);
      const junk = new Uint8Array(Math.min(to, (leaf + 1) * LEAF_SIZE) - start).fill(0xdd);
      replica.target.write(start, junk);
    }
    const result = await replica.run();
    expect(replica.target.differs(replica.source)).toBe(-1);
    expect(result.trackerLied).toBe(null);
    // The growth alone was looked at: nothing had to be compared in full.
    expect(result.pass).toBe('changed');
  });
});

describe('what an execution changed that did not end', () => {
  it('is re-read by the next one, although that changed another part of the same group', async () => {
    const size = 40 * LEAF_SIZE;
    const replica = new Replica(new SparseBytes(size), new SparseBytes(size));
    for (let leaf = 0; leaf < 40; leaf++) replica.put(leaf, 1, true);
    await replica.run();
    const { complete } = replica.table;

    replica.put(4, 2, true);
    await replica.run({ verify: 'none' });
    replica.table.complete = complete;
    // On its way to the platter a bit fell over, and nobody has looked yet.
    replica.target.write(4 * LEAF_SIZE + 99, new Uint8Array([0xff]));

    replica.put(30, 3, true);
    await expect(replica.run({ verify: 'changed' })).rejects.toMatchObject({
      code: 'VERIFY_MISMATCH',
      details: { offset: 4 * LEAF_SIZE, count: 1 },
    });
    await replica.run({ verify: 'changed' });
    expect(replica.target.differs(replica.source)).toBe(-1);
  });
});

describe('a sample of what the tracker calls unchanged', () => {
  const size = 20 * GROUP * LEAF_SIZE;
  const prepared = async () => {
    const replica = new Replica(new SparseBytes(size), new SparseBytes(size));
    for (let leaf = 0; leaf < 300; leaf++) replica.put(2 * GROUP + leaf, 1, true);
    for (const group of [0, 9, 19]) replica.put(group * GROUP + 7, 1, true);
    await replica.run();
    return replica;
  };

  it('takes no room from what is to be sent: one flush ends a run whose sample is larger than the window', async () => {
    const replica = await prepared();
    for (const group of [0, 9, 19]) replica.put(group * GROUP + 7, 2, true);
    // Execution 2 samples groups 2 and 18.
    const result = await replica.run({ audit: 'sample', verify: 'none' }, 16 * LEAF_SIZE);
    expect(result).toMatchObject({ trackerLied: null, pass: 'changed' });
    expect(result.counters).toMatchObject({
      leavesRead: 303,
      bytesSent: 3 * LEAF_SIZE,
      bytesSkipped: 2 * GROUP * LEAF_SIZE,
    });
    expect(replica.counters.flushes).toBe(1);
    expect(replica.target.differs(replica.source)).toBe(-1);
  });

  it('is never written without an intent: what it finds to differ is sent by the pass that follows', async () => {
    const replica = await prepared();
    replica.put(2 * GROUP + 8, 3, false);
    replica.put(2 * GROUP + 90, 3, false);
    const result = await replica.run({ audit: 'sample', verify: 'whole' });
    expect(result).toMatchObject({ trackerLied: (2 * GROUP + 8) * LEAF_SIZE, pass: 'compare', leavesCarried: 0 });
    expect(result.counters.bytesSent).toBe(2 * LEAF_SIZE);
    expect(replica.target.differs(replica.source)).toBe(-1);
  });
});

describe('a tracker that misses a change', () => {
  const prepared = async () => {
    const size = 20 * GROUP * LEAF_SIZE;
    const replica = new Replica(new SparseBytes(size), new SparseBytes(size));
    for (let group = 0; group < 20; group++) replica.put(group * GROUP + 7, 1, true);
    await replica.run();
    return replica;
  };

  it('is caught by a whole audit, and all that it missed is copied in the same execution', async () => {
    const replica = await prepared();
    replica.put(3 * GROUP + 7, 2, false);
    replica.put(9 * GROUP + 7, 2, false);
    replica.put(11 * GROUP + 7, 2, true);
    const result = await replica.run({ audit: 'whole' });
    expect(result.trackerLied).toBe((3 * GROUP + 7) * LEAF_SIZE);
    expect(replica.target.differs(replica.source)).toBe(-1);
  });

  it('is caught by samples within as many executions as there are parts of the disk, and then all is copied', async () => {
    const replica = await prepared();
    replica.put(3 * GROUP + 7, 2, false);
    replica.put(18 * GROUP + 7, 2, false);
    let caught: CopyResult | null = null;
    for (let run = 0; run < SAMPLE_PERIOD && !caught; run++) {
      const result = await replica.run({ audit: 'sample', verify: 'changed' });
      if (result.trackerLied !== null) caught = result;
    }
    expect(caught?.pass).toBe('compare');
    expect(replica.target.differs(replica.source)).toBe(-1);
  });

  it('is trusted where nothing is audited: the next whole audit finds it', async () => {
    const replica = await prepared();
    replica.put(3 * GROUP + 7, 2, false);
    expect((await replica.run()).trackerLied).toBe(null);
    expect(replica.target.differs(replica.source)).toBe(3 * GROUP + 7);
    expect((await replica.run({ audit: 'whole' })).trackerLied).toBe((3 * GROUP + 7) * LEAF_SIZE);
    expect(replica.target.differs(replica.source)).toBe(-1);
  });

  it('that says nothing at all any more is not waited for: everything is compared', async () => {
    const replica = await prepared();
    replica.put(5 * GROUP + 9, 2, false);
    const silent = new Doom(Number.POSITIVE_INFINITY);
    const source = new VolatileDisk(SparseBytes.copy(replica.source), seededRandom(1), silent);
    source.changes = null;
    const target = new VolatileDisk(replica.target, seededRandom(2), silent);
    const result = await copyDisk({
      source,
      target,
      store: new DoomedStore(replica.table, silent, Math.random),
      plan: {
        mode: 'changed',
        audit: 'none',
        verify: 'whole',
        executionNumber: 2,
        snapshotKey: 's2',
        targetZeroed: true,
      },
    });
    expect(result.pass).toBe('compare');
    expect(target.durable.differs(replica.source)).toBe(-1);
  });
});
