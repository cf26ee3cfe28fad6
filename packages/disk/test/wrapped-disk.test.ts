import { writeFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { GodwitError } from '@godwit/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CountedDisk,
  type Disk,
  DiskCounters,
  type Faults,
  FaultyDisk,
  LEAF_SIZE,
  openDisk,
  RateBucket,
  ThrottledDisk,
  TracedDisk,
  type TraceEntry,
} from '../src/index.ts';
import { exercise } from './disk-model.ts';
import { HashingDisk } from './hashing-disk.ts';
import { scratch } from './nbdkit.ts';

const MiB = 1_048_576;

async function withFile(size: number, use: (disk: Disk) => Promise<void>): Promise<void> {
  await using folder = await scratch();
  await writeFile(`${folder.path}/d.raw`, Buffer.alloc(size));
  const disk = await openDisk({ kind: 'file', path: `${folder.path}/d.raw`, readOnly: false });
  try {
    await use(disk);
  } finally {
    await disk.close();
  }
}

describe('a rate bucket', () => {
  it('lets no window of one second exceed 1.04 times the limit, and wastes nothing when asked steadily', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200_000, max: 2_000_000_000 }),
        fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 20, maxLength: 200 }),
        fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 20 }),
        (limit, shares, pauses) => {
          let now = 5_000_000_000n;
          const bucket = new RateBucket(limit, () => now);
          const grants: { at: number; bytes: number }[] = [];
          for (let n = 0; n < 600; n++) {
            const bytes = Math.max(1, Math.floor((bucket.largest * (shares[n % shares.length] ?? 1)) / 100));
            now += BigInt(pauses[n % pauses.length] ?? 0) * 100_000n;
            for (let wait = bucket.take(bytes); wait > 0; wait = bucket.take(bytes)) now += BigInt(wait) * 1_000_000n;
            grants.push({ at: Number(now) / 1e9, bytes });
          }
          let from = 0;
          let sum = 0;
          for (const grant of grants) {
            sum += grant.bytes;
            while (grants[from]!.at <= grant.at - 1) sum -= grants[from++]!.bytes;
            expect(sum).toBeLessThanOrEqual(limit * 1.04);
          }
        },
      ),
    );
  });

  it('reaches its limit when it is asked without pause', () => {
    let now = 0n;
    const limit = 10_000_000;
    const bucket = new RateBucket(limit, () => now);
    let granted = 0;
    while (now < 10_000_000_000n) {
      const wait = bucket.take(65_536);
      if (wait === 0) granted += 65_536;
      else now += BigInt(wait) * 1_000_000n;
    }
    expect(granted / 10).toBeGreaterThan(limit * 0.95);
  });

  it('is one bucket in all threads', async () => {
    const bucket = new RateBucket(1_000_000);
    const script = `
      const { workerData } = require('node:worker_threads');
      const state = new BigInt64Array(workerData);
      Atomics.add(state, 0, process.hrtime.bigint() + 3600000000000n);`;
    await new Promise((resolve) => new Worker(script, { eval: true, workerData: bucket.shared }).once('exit', resolve));
    expect(new RateBucket(bucket.shared).take(1)).toBeGreaterThan(3_000_000);
    expect(bucket.take(1)).toBeGreaterThan(3_000_000);
  });

  it('can be changed while in use, and switched off', () => {
    const bucket = new RateBucket(0, () => 0n);
    expect(bucket.take(1e12)).toBe(0);
    bucket.limit = 1_000;
    expect(bucket.take(30)).toBe(0);
    expect(bucket.take(30)).toBeGreaterThan(0);
    bucket.giveBack(30);
    expect(bucket.take(30)).toBe(0);
    expect(new RateBucket(bucket.shared).limit).toBe(1_000);
  });

  it('takes the time of the new limit for what was granted at the old one', () => {
    let now = 0n;
    const bucket = new RateBucket(1, () => now);
    expect(bucket.take(4_096)).toBe(0);
    const wait = bucket.take(4_096);
    expect(wait).toBeGreaterThan(4_000_000);
    bucket.limit = 4_096_000;
    expect(bucket.take(4_096)).toBe(0);
    bucket.limit = 4_096;
    expect(bucket.take(4_096)).toBeGreaterThan(1_900);
    now += 2_000_000_000n;
    expect(bucket.take(4_096)).toBe(0);
  });
});

describe('a throttled disk', () => {
  it('still keeps what is written to it, in pieces', async () => {
    await withFile(2 * MiB, async (file) => {
      const disk = new ThrottledDisk(file, [new RateBucket(50 * MiB), new RateBucket(0)]);
      await exercise(disk, { seed: 5, rounds: 6, maxLength: 400_000 });
    });
  });

  it('charges every bucket, or none, and can be aborted while it waits', async () => {
    await withFile(MiB, async (file) => {
      let now = 0n;
      const wide = new RateBucket(100 * MiB, () => now);
      const narrow = new RateBucket(200_000, () => now);
      const disk = new ThrottledDisk(file, [wide, narrow]);
      await disk.write(0, new Uint8Array(4_096));
      const aborting = new AbortController();
      const waiting = disk.write(0, new Uint8Array(65_536), aborting.signal);
      setTimeout(() => aborting.abort(), 30);
      await expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
      now += 1n;
      // The wide bucket has been given back what the narrow one did not let through.
      let left = 0;
      while (wide.take(4_096) === 0) left += 4_096;
      expect(left).toBeGreaterThan(wide.largest - 6 * 4_096);
    });
  });
});

describe('a counted disk', () => {
  it('counts what finished, for all threads to see', async () => {
    await withFile(MiB, async (file) => {
      const counters = new DiskCounters();
      const disk = new CountedDisk(new FaultyDisk(file, { seed: 1, error: 0.5 }), counters);
      let written = 0;
      for (let n = 0; n < 20; n++) {
        const result = await disk.write(0, new Uint8Array(1_000)).then(
          () => true,
          () => false,
        );
        if (result) written += 1_000;
      }
      expect(written).toBeGreaterThan(0);
      expect(written).toBeLessThan(20_000);
      const seen = new DiskCounters(counters.shared);
      expect(seen.written).toBe(written);
      expect(seen.read).toBe(0);
      const sound = new CountedDisk(file, counters);
      await sound.read(0, new Uint8Array(500));
      await sound.zero(0, 700);
      await sound.flush();
      expect([seen.read, seen.zeroed, seen.flushes]).toEqual([500, 700, 1]);
      expect(seen.requests).toBe(written / 1_000 + 2);
    });
  });
});

describe('a faulty disk', () => {
  const write = (disk: Disk, n: number) => disk.write(n * 1_000, Buffer.alloc(1_000, n + 1));

  it('fails the same requests for the same seed', async () => {
    await withFile(MiB, async (file) => {
      const run = async (seed: number) => {
        const disk = new FaultyDisk(file, { seed, error: 0.2, delay: 0.1, maxDelayMs: 2 });
        const failed: number[] = [];
        for (let n = 0; n < 60; n++) {
          await write(disk, n).catch((error) => {
            expect(error).toBeInstanceOf(GodwitError);
            failed.push(n);
          });
        }
        return failed;
      };
      const first = await run(42);
      expect(first.length).toBeGreaterThan(3);
      expect(await run(42)).toEqual(first);
      expect(await run(43)).not.toEqual(first);
    });
  });

  const damage: ['dropWrite' | 'flipBit' | 'duplicateWrite' | 'reorder', string][] = [
    ['dropWrite', 'drops writes'],
    ['flipBit', 'flips bits'],
    ['duplicateWrite', 'repeats old writes over new ones'],
    ['reorder', 'lets writes overtake each other'],
  ];
  for (const [fault, title] of damage) {
    it(`${title} without a word, and says how often`, async () => {
      await withFile(MiB, async (file) => {
        const disk = new FaultyDisk(file, { seed: 9, [fault]: 0.3 });
        for (let round = 0; round < 2; round++) {
          for (let n = 0; n < 40; n++) await disk.write(n * 500, Buffer.alloc(1_000, 50 * round + n + 1));
        }
        await disk.flush();
        expect(disk.struck[fault]).toBeGreaterThan(0);
        const model = Buffer.alloc(20_500);
        for (let n = 0; n < 40; n++) model.fill(50 + n + 1, n * 500, n * 500 + 1_000);
        const seen = Buffer.alloc(20_500);
        await file.read(0, seen);
        expect(seen.equals(model)).toBe(false);
      });
    });
  }
});

describe('a traced disk', () => {
  it('reports each write, zero and flush with its sum and result', async () => {
    await withFile(MiB, async (file) => {
      const log: TraceEntry[] = [];
      const disk = new TracedDisk(file, (entry) => log.push(entry));
      await disk.write(512, Buffer.from('123456789'));
      await disk.zero(0, 100);
      await disk.flush();
      await disk.write(0, new Uint8Array(1), AbortSignal.abort()).catch(() => undefined);
      expect(log).toEqual([
        { sequence: 0, kind: 'write', offset: 512, length: 9, crc: 0xcbf43926, result: 'done' },
        { sequence: 1, kind: 'zero', offset: 0, length: 100, crc: 0, result: 'done' },
        { sequence: 2, kind: 'flush', offset: 0, length: 0, crc: 0, result: 'done' },
        expect.objectContaining({ sequence: 3, result: 'failed' }),
      ]);
    });
  });
});

describe('leaf hashes of the far side', () => {
  const size = 2 * LEAF_SIZE + 5;
  const wrap: [string, (disk: Disk) => Disk][] = [
    ['counted', (disk) => new CountedDisk(disk, new DiskCounters())],
    ['throttled', (disk) => new ThrottledDisk(disk, [new RateBucket(1)])],
    ['traced', (disk) => new TracedDisk(disk, () => undefined)],
    ['faulty', (disk) => new FaultyDisk(disk, { seed: 1 })],
  ];

  it.each(wrap)('are the same through a %s disk, and absent where the disk cannot hash', async (_, wrapper) => {
    await withFile(size, async (file) => {
      await file.write(LEAF_SIZE, Buffer.from('a leaf'));
      const hashing = new HashingDisk(file);
      const told = await wrapper(hashing).hashLeaves?.(0, size);
      expect(told).toEqual(await hashing.hashLeaves(0, size));
      expect(told).toHaveLength(3 * 32);
      expect(wrapper(file).hashLeaves).toBeUndefined();
    });
  });

  it('are wrong, short, late or refused where a faulty disk says so', async () => {
    await withFile(size, async (file) => {
      const hashing = new HashingDisk(file);
      const right = await hashing.hashLeaves(0, size);
      const through = (faults: Partial<Faults>, signal?: AbortSignal) =>
        new FaultyDisk(hashing, { seed: 3, ...faults }).hashLeaves?.(0, size, signal);
      const flipped = await through({ flipBit: 1 });
      expect(flipped).toHaveLength(right.length);
      expect(flipped).not.toEqual(right);
      expect((await through({ truncateHashes: 1 }))?.length).toBeLessThan(right.length);
      await expect(through({ error: 1 })).rejects.toMatchObject({ code: 'DISK_READ_FAILED' });
      await expect(through({ delay: 1 }, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' });
    });
  });
});
