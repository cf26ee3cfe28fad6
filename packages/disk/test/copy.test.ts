// Over 400 lines: what a whole copy promises, case by case over the same few disks; crashes, proof and trackers stand apart.
import { describe, expect, it } from 'vitest';
import { digest } from '../src/digest.ts';
import {
  type CopyPlan,
  type CopyResult,
  copyDisk,
  type Disk,
  type Faults,
  FaultyDisk,
  LEAF_SIZE,
  merkleRoot,
  seededRandom,
} from '../src/index.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

const GROUP = 1_024;
const never = () => new Doom(Number.POSITIVE_INFINITY);

/** A pair of disks and a store that nobody kills. */
class Pair {
  readonly table = new StoredTable();
  source: SparseBytes;
  target: SparseBytes;
  execution = 1;

  constructor(source: SparseBytes, target = new SparseBytes(source.size)) {
    this.source = source;
    this.target = target;
  }

  async copy(plan: Partial<CopyPlan> = {}, more: CopyOptions = {}): Promise<CopyResult> {
    const source = new VolatileDisk(this.source, seededRandom(2), never());
    source.changes = more.changed?.map((leaf) => ({ offset: leaf * LEAF_SIZE, length: LEAF_SIZE })) ?? null;
    const target = new VolatileDisk(this.target, seededRandom(3), never());
    try {
      return await copyDisk({
        source: more.source?.(source) ?? source,
        target: more.target?.(target) ?? target,
        store: new DoomedStore(this.table, never(), seededRandom(4)),
        label: 'disk vda of web01',
        ...(more.signal ? { signal: more.signal } : {}),
        ...(more.window ? { limits: { window: { bytes: more.window } } } : {}),
        plan: {
          mode: this.table.complete ? 'changed' : 'compare',
          audit: 'none',
          verify: 'whole',
          executionNumber: this.execution,
          snapshotKey: `s${this.execution}`,
          targetZeroed: true,
          ...plan,
        },
      });
    } finally {
      this.target = target.durable;
    }
  }

  complete(): void {
    this.table.complete = { number: this.execution, size: this.source.size };
    this.execution++;
  }

  async copyAndComplete(plan: Partial<CopyPlan> = {}, more: CopyOptions = {}): Promise<CopyResult> {
    const result = await this.copy(plan, more);
    expect(this.target.differs(this.source)).toBe(-1);
    this.complete();
    return result;
  }
}

interface CopyOptions {
  changed?: number[];
  source?: (disk: Disk) => Disk;
  target?: (disk: Disk) => Disk;
  signal?: AbortSignal;
  window?: number;
}

function put(bytes: SparseBytes, leaf: number, seed: number): void {
  const random = seededRandom(seed * 7_919 + leaf);
  const data = new Uint8Array(Math.min(LEAF_SIZE, bytes.size - leaf * LEAF_SIZE));
  for (let i = 0; i < data.length; i += 97) data[i] = Math.floor(random() * 255) + 1;
  bytes.write(leaf * LEAF_SIZE, data);
}

function filled(size: number, leaves?: number[]): SparseBytes {
  const bytes = new SparseBytes(size);
  const all = leaves ?? Array.from({ length: Math.ceil(size / LEAF_SIZE) }, (_, i) => i);
  for (const leaf of all) put(bytes, leaf, 1);
  return bytes;
}

function rootOf(bytes: SparseBytes): Uint8Array {
  const count = Math.ceil(bytes.size / LEAF_SIZE);
  const table = new Uint8Array(count * 32);
  for (let i = 0; i < count; i++) table.set(digest(bytes.leaf(i)), i * 32);
  return merkleRoot(table);
}

describe('copying a whole disk', () => {
  it.each([0, 1, 511, LEAF_SIZE - 1, LEAF_SIZE, LEAF_SIZE + 1, 8 * LEAF_SIZE, 40 * LEAF_SIZE + 4_097])(
    'brings every byte of a disk of %i bytes across and proves it',
    async (size) => {
      const pair = new Pair(filled(size));
      const result = await pair.copy();
      expect(pair.target.differs(pair.source)).toBe(-1);
      expect(result.sourceRoot).toEqual(rootOf(pair.source));
      expect(result.targetRoot).toEqual(result.sourceRoot);
      expect(result).toMatchObject({ size, leafCount: Math.ceil(size / LEAF_SIZE), leavesCarried: 0, pass: 'compare' });
      expect(result.counters).toEqual({
        bytesRead: size,
        bytesSent: size,
        bytesZeroed: 0,
        bytesSkipped: 0,
        bytesResent: 0,
        leavesRead: Math.ceil(size / LEAF_SIZE),
        leavesHashed: 0,
        leavesZero: 0,
        leavesReread: Math.ceil(size / LEAF_SIZE),
        leavesRehashed: 0,
      });
    },
  );

  it('sends neither holes nor written zeroes to a target that is known to be zero', async () => {
    const source = filled(GROUP * LEAF_SIZE + 100 * LEAF_SIZE, [3, 4, 700, GROUP + 5]);
    source.write(701 * LEAF_SIZE, new Uint8Array(LEAF_SIZE));
    const pair = new Pair(source);
    const result = await pair.copy();
    expect(pair.target.differs(source)).toBe(-1);
    expect(result.counters).toMatchObject({
      bytesRead: 5 * LEAF_SIZE,
      bytesSent: 4 * LEAF_SIZE,
      bytesZeroed: 0,
      bytesSkipped: source.size - 4 * LEAF_SIZE,
      leavesRead: 5,
      leavesHashed: 0,
      leavesZero: GROUP + 100 - 5,
    });
    expect([...pair.table.groups.keys()].sort()).toEqual([0, 1]);
  });

  it('makes every hole zero on a target that holds nobody knows what', async () => {
    const size = 30 * LEAF_SIZE + 17;
    const pair = new Pair(filled(size, [3, 12]), filled(size));
    const result = await pair.copy({ targetZeroed: false });
    expect(pair.target.differs(pair.source)).toBe(-1);
    expect(result.counters).toMatchObject({
      bytesSent: 2 * LEAF_SIZE,
      bytesZeroed: size - 2 * LEAF_SIZE,
      bytesSkipped: 0,
    });
  });

  it('believes "zeroed" only when no copy of the disk has ever begun', async () => {
    const pair = new Pair(filled(20 * LEAF_SIZE, [1]), filled(20 * LEAF_SIZE));
    const abort = new AbortController();
    await expect(
      pair.copy(
        { targetZeroed: false },
        { signal: abort.signal, target: (disk) => onWrite(disk, () => abort.abort()) },
      ),
    ).rejects.toMatchObject({ code: 'CANCELED' });
    await pair.copy({ targetZeroed: true });
    expect(pair.target.differs(pair.source)).toBe(-1);
  });

  it('fills a larger target as far as the source goes and leaves the rest alone', async () => {
    const source = filled(9 * LEAF_SIZE + 5);
    const target = filled(20 * LEAF_SIZE);
    const rest = target.leaf(15);
    const pair = new Pair(source, target);
    const result = await pair.copy({ targetZeroed: false });
    expect(result.size).toBe(source.size);
    expect(pair.target.differs(source)).toBe(-1);
    expect(pair.target.leaf(15)).toEqual(rest);
  });

  it('refuses a target that is too small, before any write', async () => {
    const pair = new Pair(filled(9 * LEAF_SIZE), new SparseBytes(9 * LEAF_SIZE - 1));
    await expect(pair.copy()).rejects.toMatchObject({
      code: 'TARGET_TOO_SMALL',
      details: { needed: 9 * LEAF_SIZE, available: 9 * LEAF_SIZE - 1 },
    });
    expect(pair.target.present()).toEqual([]);
    expect(pair.table.commits).toBe(0);
  });

  it('reads a source that says it is sparse and one that cannot say to the same result', async () => {
    const source = filled(50 * LEAF_SIZE, [0, 20, 49]);
    const roots = await Promise.all(
      [true, false].map(async (sparse) => {
        const target = new VolatileDisk(new SparseBytes(source.size), seededRandom(1), never(), sparse);
        const store = new DoomedStore(new StoredTable(), never(), seededRandom(1));
        const plan = { mode: 'compare', audit: 'none', verify: 'whole', targetZeroed: true } as const;
        return copyDisk({
          source: new VolatileDisk(source, seededRandom(1), never(), sparse),
          target,
          store,
          plan: { ...plan, executionNumber: 1, snapshotKey: 's' },
        });
      }),
    );
    expect(roots[0]!.sourceRoot).toEqual(roots[1]!.sourceRoot);
    expect(roots[1]!.counters).toMatchObject({ leavesRead: 50, bytesSent: 3 * LEAF_SIZE });
  });
});

describe('copying again', () => {
  it('reads and sends exactly what the tracker names', async () => {
    const pair = new Pair(filled(GROUP * LEAF_SIZE * 2, [0, 1, 2, 1_500]));
    await pair.copyAndComplete();
    put(pair.source, 1, 2);
    put(pair.source, 1_700, 2);
    pair.source.zero(1_500 * LEAF_SIZE, LEAF_SIZE);
    const result = await pair.copyAndComplete({ verify: 'changed' }, { changed: [1, 2, 1_500, 1_700] });
    expect(result.counters).toEqual({
      bytesRead: 3 * LEAF_SIZE,
      bytesSent: 2 * LEAF_SIZE,
      bytesZeroed: LEAF_SIZE,
      bytesSkipped: LEAF_SIZE,
      bytesResent: 0,
      leavesRead: 3,
      leavesHashed: 0,
      leavesZero: 1,
      leavesReread: 3,
      leavesRehashed: 0,
    });
    expect(result.leavesCarried).toBe(2 * GROUP - 4);
    expect(result.sourceRoot).toEqual(rootOf(pair.source));
  });

  it('costs one commit and no write when nothing has changed', async () => {
    const pair = new Pair(filled(30 * LEAF_SIZE));
    await pair.copyAndComplete();
    const commits = pair.table.commits;
    const target = (disk: Disk) =>
      onWrite(disk, () => {
        throw new Error('written to');
      });
    const result = await pair.copyAndComplete({ verify: 'changed' }, { changed: [], target });
    expect(result.counters).toMatchObject({ bytesRead: 0, bytesSent: 0, leavesReread: 0 });
    expect(pair.table.commits).toBe(commits + 1);
  });

  it('compares everything when there is no tracker, and sends what differs', async () => {
    const pair = new Pair(filled(40 * LEAF_SIZE));
    await pair.copyAndComplete();
    put(pair.source, 7, 2);
    const result = await pair.copyAndComplete({ mode: 'compare' });
    expect(result.counters).toMatchObject({ bytesRead: 40 * LEAF_SIZE, bytesSent: LEAF_SIZE, leavesRead: 40 });
  });

  it('compares everything when the tracker falls silent in the middle', async () => {
    const pair = new Pair(filled(40 * LEAF_SIZE));
    await pair.copyAndComplete();
    put(pair.source, 7, 2);
    const result = await pair.copyAndComplete({ mode: 'changed' });
    expect(result).toMatchObject({ pass: 'compare', trackerLied: null, leavesCarried: 0 });
  });

  it('notices growth and fills it, whatever the tracker says of it', async () => {
    const pair = new Pair(filled(10 * LEAF_SIZE + 100));
    await pair.copyAndComplete();
    const grown = SparseBytes.copy(pair.source, 14 * LEAF_SIZE + 9);
    put(grown, 12, 5);
    grown.write(10 * LEAF_SIZE + 200, Uint8Array.of(1, 2, 3));
    pair.source = grown;
    pair.target = SparseBytes.copy(pair.target, grown.size);
    pair.target.write(13 * LEAF_SIZE, Uint8Array.of(9, 9));
    const result = await pair.copyAndComplete({ verify: 'changed' }, { changed: [] });
    expect(result.size).toBe(grown.size);
    expect(result.sourceRoot).toEqual(rootOf(grown));
  });

  it('refuses a disk that shrank, before any write', async () => {
    const pair = new Pair(filled(10 * LEAF_SIZE));
    await pair.copyAndComplete();
    pair.source = filled(10 * LEAF_SIZE - 1);
    await expect(pair.copy({ mode: 'compare' })).rejects.toMatchObject({
      code: 'DISK_SHRANK',
      details: { was: 10 * LEAF_SIZE, is: 10 * LEAF_SIZE - 1 },
    });
  });
});

describe('a tracker that misses a change', () => {
  const size = 20 * GROUP * LEAF_SIZE;
  const lie = async (audit: CopyPlan['audit'], leaf: number) => {
    const pair = new Pair(filled(size, [5, 2 * GROUP + 3, 9 * GROUP]));
    await pair.copyAndComplete();
    put(pair.source, leaf, 2);
    put(pair.source, 9 * GROUP, 2);
    const result = await pair.copy({ audit, verify: 'changed' }, { changed: [9 * GROUP] });
    return { pair, result };
  };

  it('is caught by the sample where it looks; the disk is then compared in full and is right', async () => {
    const { pair, result } = await lie('sample', 2 * GROUP + 3);
    expect(result).toMatchObject({ trackerLied: (2 * GROUP + 3) * LEAF_SIZE, pass: 'compare', leavesCarried: 0 });
    expect(pair.target.differs(pair.source)).toBe(-1);
    expect(result.sourceRoot).toEqual(rootOf(pair.source));
  });

  it('is always caught by an audit of the whole', async () => {
    const { pair, result } = await lie('whole', 5);
    expect(result).toMatchObject({ trackerLied: 5 * LEAF_SIZE, pass: 'compare' });
    expect(pair.target.differs(pair.source)).toBe(-1);
  });

  it('stays caught over an interruption and another snapshot, until a run is complete', async () => {
    const pair = new Pair(filled(size, [5, 2 * GROUP + 3, 9 * GROUP]));
    await pair.copyAndComplete();
    put(pair.source, 2 * GROUP + 3, 2);
    put(pair.source, 5, 2);
    const abort = new AbortController();
    let seen = false;
    const source = (disk: Disk) =>
      onRead(disk, (offset) => {
        if (offset === (2 * GROUP + 3) * LEAF_SIZE) seen = true;
        if (seen && offset < GROUP * LEAF_SIZE) abort.abort();
      });
    const plan = { audit: 'sample', verify: 'none' } as const;
    await expect(pair.copy(plan, { changed: [], source, signal: abort.signal })).rejects.toMatchObject({
      code: 'CANCELED',
    });
    pair.execution++;
    // The full pass finds the other missed change too, which comes first on the disk.
    expect(pair.table.progress).toMatchObject({ trackerLied: expect.any(Number), pass: 'compare' });
    const result = await pair.copyAndComplete(plan, { changed: [] });
    expect(result).toMatchObject({ trackerLied: 5 * LEAF_SIZE, pass: 'compare' });
    const next = await pair.copyAndComplete({ audit: 'none' }, { changed: [] });
    expect(next).toMatchObject({ trackerLied: null, pass: 'changed' });
  });

  it('is not blamed for what an aborted run left behind', async () => {
    const pair = new Pair(filled(size, [5, 2 * GROUP + 3]));
    await pair.copyAndComplete();
    const before = SparseBytes.copy(pair.source);
    put(pair.source, 2 * GROUP + 3, 2);
    const abort = new AbortController();
    const target = (disk: Disk) => onWrite(disk, () => abort.abort());
    await expect(pair.copy({}, { changed: [2 * GROUP + 3], target, signal: abort.signal })).rejects.toMatchObject({
      code: 'CANCELED',
    });
    pair.source = before;
    // Group 2 is in the sample of execution 2 and of this one.
    const result = await pair.copyAndComplete({ audit: 'sample', snapshotKey: 'again' }, { changed: [] });
    expect(result).toMatchObject({ trackerLied: null, pass: 'changed' });
  });
});

describe('verification', () => {
  it('finds and names each of 200 flipped bits, and the next copy heals it', async () => {
    const random = seededRandom(11);
    const size = 12 * LEAF_SIZE + 1_234;
    const pair = new Pair(filled(size));
    await pair.copyAndComplete();
    for (let i = 0; i < 200; i++) {
      const at = Math.floor(random() * size);
      const byte = new Uint8Array(1);
      pair.target.read(at, byte);
      byte[0]! ^= 1 << Math.floor(random() * 8);
      pair.target.write(at, byte);
      await expect(pair.copy({ verify: 'whole', snapshotKey: `f${i}` }, { changed: [] })).rejects.toMatchObject({
        code: 'VERIFY_MISMATCH',
        details: { offset: Math.floor(at / LEAF_SIZE) * LEAF_SIZE, count: 1 },
      });
      const healed = await pair.copyAndComplete({ verify: 'changed' }, { changed: [] });
      expect(healed.counters.bytesSent).toBe(Math.min(LEAF_SIZE, size - Math.floor(at / LEAF_SIZE) * LEAF_SIZE));
    }
  });

  it('heals in the same execution and snapshot when it is simply repeated', async () => {
    const pair = new Pair(filled(30 * LEAF_SIZE));
    await expect(
      pair.copy({}, { target: (disk) => new FaultyDisk(disk, { seed: 5, dropWrite: 1 }) }),
    ).rejects.toMatchObject({ code: 'VERIFY_MISMATCH' });
    await pair.copyAndComplete();
  });

  it.each<[string, Omit<Faults, 'seed'>]>([
    ['dropped', { dropWrite: 0.1 }],
    ['altered', { flipBit: 0.1 }],
  ])('never proves a disk of which a write was %s', async (_, faults) => {
    let struck = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const pair = new Pair(filled(40 * LEAF_SIZE));
      let faulty: FaultyDisk | undefined;
      const target = (disk: Disk) => {
        faulty = new FaultyDisk(disk, { seed, ...faults });
        return onlyWrites(disk, faulty);
      };
      const proven = await pair.copy({ verify: 'changed' }, { target }).then(
        () => true,
        () => false,
      );
      const same = pair.target.differs(pair.source) === -1;
      expect(proven, `seed ${seed}`).toBe(same);
      if (Object.keys(faulty?.struck ?? {}).length > 0) struck++;
    }
    expect(struck).toBeGreaterThan(10);
  });

  it('is not fooled by writes that come twice or late, because no byte is written twice', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const pair = new Pair(filled(40 * LEAF_SIZE));
      const faults = { seed, duplicateWrite: 0.3, reorder: 0.3 };
      const target = (disk: Disk) => onlyWrites(disk, new FaultyDisk(disk, faults));
      const proven = await pair.copy({ verify: 'changed' }, { target }).then(
        () => true,
        () => false,
      );
      // A write that never came, because none followed it, must have been noticed.
      if (proven) expect(pair.target.differs(pair.source), `seed ${seed}`).toBe(-1);
    }
  });

  it('counts what it re-read: all of it, or what changed since the last complete run', async () => {
    const pair = new Pair(filled(100 * LEAF_SIZE, [1, 2, 3]));
    expect((await pair.copyAndComplete({ verify: 'whole' })).counters.leavesReread).toBe(100);
    put(pair.source, 2, 9);
    expect((await pair.copyAndComplete({ verify: 'changed' }, { changed: [2] })).counters.leavesReread).toBe(1);
    const none = await pair.copyAndComplete({ verify: 'none' }, { changed: [] });
    expect(none).toMatchObject({ targetRoot: null, counters: { leavesReread: 0 } });
  });

  it('tells the root of the source although nothing is re-read, whatever groups were changed and whenever committed', async () => {
    const leaves = 3 * GROUP + 77;
    const data = [0, 5, 1_023, 1_024, 2_000, 2_500, 3 * GROUP, leaves - 1];
    const pair = new Pair(filled(leaves * LEAF_SIZE, data));
    const window = 3 * LEAF_SIZE;
    const pick = seededRandom(9);
    const first = await pair.copyAndComplete({ verify: 'none' }, { window });
    expect(first.sourceRoot).toEqual(rootOf(pair.source));
    for (let run = 0; run < 4; run++) {
      const changed = [...new Set(Array.from({ length: 9 }, () => Math.floor(pick() * leaves)))].sort((a, b) => a - b);
      for (const leaf of changed) put(pair.source, leaf, run + 2);
      const mode = run % 2 === 0 ? 'changed' : 'compare';
      const result = await pair.copyAndComplete({ mode, verify: 'none' }, { changed, window });
      expect(result.sourceRoot, `run ${run}`).toEqual(rootOf(pair.source));
    }
  });

  it('covers what an aborted run wrote and nobody verified', async () => {
    const pair = new Pair(filled(100 * LEAF_SIZE));
    await pair.copyAndComplete();
    put(pair.source, 40, 9);
    await expect(
      pair.copy({ verify: 'changed' }, { changed: [40], target: (disk) => failsToRead(disk) }),
    ).rejects.toMatchObject({ code: 'DISK_READ_FAILED' });
    pair.execution++;
    const result = await pair.copyAndComplete({ verify: 'changed' }, { changed: [] });
    expect(result.counters).toMatchObject({ bytesSent: 0, leavesReread: 1 });
  });
});

describe('canceling', () => {
  it('commits what is finished and goes on from there, reading nothing twice but what was under way', async () => {
    const pair = new Pair(filled(300 * LEAF_SIZE));
    const abort = new AbortController();
    let writes = 0;
    const target = (disk: Disk) =>
      onWrite(disk, () => {
        if (++writes === 20) abort.abort();
      });
    const window = 32 * LEAF_SIZE;
    await expect(pair.copy({}, { target, signal: abort.signal, window })).rejects.toMatchObject({ code: 'CANCELED' });
    const { progress } = pair.table;
    expect(progress!.lowWater).toBeGreaterThan(0);
    expect(progress!.intent).toEqual([]);
    const result = await pair.copy({}, { window });
    expect(pair.target.differs(pair.source)).toBe(-1);
    expect(result.counters).toMatchObject({ bytesRead: 300 * LEAF_SIZE, bytesSent: 300 * LEAF_SIZE, bytesResent: 0 });
  });

  it('ends although a request hangs, which stays intended', async () => {
    const pair = new Pair(filled(30 * LEAF_SIZE));
    const abort = new AbortController();
    const target = (disk: Disk) => hangsOn(disk, 16 * LEAF_SIZE, () => abort.abort());
    await expect(pair.copy({}, { target, signal: abort.signal })).rejects.toMatchObject({ code: 'CANCELED' });
    expect(pair.table.progress!.intent[0]).toMatchObject({ first: 16 });
    await pair.copyAndComplete();
  });
});

/** The disk with one method replaced. */
function withChange(disk: Disk, change: Partial<Disk>): Disk {
  return new Proxy(disk, {
    get: (target, key) => {
      const value: unknown = Reflect.get(change, key) ?? Reflect.get(target, key, target);
      return typeof value === 'function' && !(key in change) ? value.bind(target) : value;
    },
  });
}

function onWrite(disk: Disk, tell: () => void): Disk {
  return withChange(disk, {
    write: async (offset, from, signal) => {
      tell();
      await disk.write(offset, from, signal);
    },
  });
}

function onRead(disk: Disk, tell: (offset: number) => void): Disk {
  return withChange(disk, {
    read: async (offset, into, signal) => {
      tell(offset);
      await disk.read(offset, into, signal);
    },
  });
}

/** Faults strike on writes; reads tell the truth. */
function onlyWrites(disk: Disk, faulty: FaultyDisk): Disk {
  return withChange(disk, {
    write: (offset, from, signal) => faulty.write(offset, from, signal),
    flush: (signal) => faulty.flush(signal),
  });
}

function failsToRead(disk: Disk): Disk {
  const broken = new FaultyDisk(disk, { seed: 1, error: 1 });
  return withChange(disk, { read: (offset, into) => broken.read(offset, into) });
}

function hangsOn(disk: Disk, hanging: number, tell: () => void): Disk {
  return withChange(disk, {
    write: async (offset, from, signal) => {
      if (offset === hanging) {
        tell();
        await new Promise(() => undefined);
      }
      await disk.write(offset, from, signal);
    },
  });
}
