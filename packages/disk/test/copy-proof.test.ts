import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { zeroRuns } from '../src/copy-planner.ts';
import { type CopyPlan, type CopyResult, copyDisk, type Extent, LEAF_SIZE, seededRandom } from '../src/index.ts';
import { GROUP_LEAVES } from '../src/leaf-table.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

const plan: CopyPlan = {
  mode: 'compare',
  audit: 'none',
  verify: 'whole',
  executionNumber: 1,
  snapshotKey: 's1',
  targetZeroed: true,
};

const changed: CopyPlan = { ...plan, verify: 'changed' };

function leaf(fill: number): Uint8Array {
  return new Uint8Array(LEAF_SIZE).fill(fill);
}

/** One copy that may die at the call with that number; gives what was on stable storage then. */
async function copy(
  table: StoredTable,
  source: SparseBytes,
  target: SparseBytes,
  dieAt = Number.POSITIVE_INFINITY,
  seed = 1,
  wanted = plan,
): Promise<{ target: SparseBytes; result: CopyResult | null }> {
  const doom = new Doom(dieAt);
  const to = new VolatileDisk(target, seededRandom(seed), doom);
  try {
    const result = await copyDisk({
      source: new VolatileDisk(source, seededRandom(seed + 1), doom),
      target: to,
      store: new DoomedStore(table, doom, seededRandom(seed + 2)),
      plan: wanted,
    });
    return { target: to.durable, result };
  } catch (error) {
    if (!doom.dead) throw error;
    return { target: to.durable, result: null };
  }
}

describe('a whole verification', () => {
  it('reads even what nobody ever wrote: a target that only claimed to be empty is found out, and healed', async () => {
    const size = 2 * GROUP_LEAVES * LEAF_SIZE;
    const source = new SparseBytes(size);
    source.write(5 * LEAF_SIZE, leaf(1));
    let target = new SparseBytes(size);
    const stray = GROUP_LEAVES + 700;
    target.write(stray * LEAF_SIZE + 17, Uint8Array.of(1));
    const table = new StoredTable();
    await expect(copy(table, source, target)).rejects.toMatchObject({
      code: 'VERIFY_MISMATCH',
      details: { offset: stray * LEAF_SIZE, count: 1 },
    });
    ({ target } = await copy(table, source, target));
    expect(target.differs(source)).toBe(-1);
  });
});

describe('what is sent again after an interruption', () => {
  it('is counted, and is exactly the data that was intended and not recorded', async () => {
    const leaves = 16;
    const source = new SparseBytes(leaves * LEAF_SIZE);
    for (let i = 0; i < leaves; i += 2) source.write(i * LEAF_SIZE, leaf(i + 1));
    let again = 0;
    for (let dieAt = 1; ; dieAt++) {
      const table = new StoredTable();
      const first = await copy(table, source, new SparseBytes(source.size), dieAt, dieAt);
      const intended = (table.progress?.intent ?? [])
        .flatMap((run) => Array.from({ length: run.count }, (_, i) => run.first + i))
        .filter((index) => index % 2 === 0);
      if (first.result !== null) {
        expect(first.result.counters.bytesResent).toBe(0);
        break;
      }
      const second = await copy(table, source, first.target, Number.POSITIVE_INFINITY, dieAt + 100);
      expect(second.target.differs(source)).toBe(-1);
      expect(second.result?.counters.bytesResent).toBe(intended.length * LEAF_SIZE);
      again += intended.length;
    }
    expect(again).toBeGreaterThan(0);
  });

  it('is counted once for each leaf when a second interruption comes before all of it was begun again', async () => {
    const groups = 4;
    const source = new SparseBytes(groups * GROUP_LEAVES * LEAF_SIZE);
    const data = new Set([0, 1, 2, 3].flatMap((group) => [0, 300, 600].map((at) => group * GROUP_LEAVES + at)));
    for (const index of data) source.write(index * LEAF_SIZE, leaf((index % 250) + 1));
    const begun = ({ progress }: StoredTable) =>
      (progress?.intent ?? [])
        .flatMap((run) => Array.from({ length: run.count }, (_, i) => run.first + i))
        .filter((index) => data.has(index));
    // The moment before the first run is through: everything is begun, nothing recorded.
    let dieAt = 1;
    const dying = async () => {
      const table = new StoredTable();
      return { table, ...(await copy(table, source, new SparseBytes(source.size), dieAt, 1, changed)) };
    };
    for (let at = await dying(); begun(at.table).length < data.size; at = await dying()) dieAt += 1;
    let carried = 0;
    for (let dieAgainAt = 4; dieAgainAt <= 20; dieAgainAt += 2) {
      const { table, target } = await dying();
      const second = await copy(table, source, target, dieAgainAt, 100 + dieAgainAt, changed);
      if (second.result !== null) break;
      const left = begun(table).length;
      const third = await copy(table, source, second.target, Number.POSITIVE_INFINITY, 200, changed);
      expect(third.target.differs(source)).toBe(-1);
      expect(third.result?.counters.bytesResent, `killed again at ${dieAgainAt}`).toBe(data.size * LEAF_SIZE);
      if (left < data.size) carried += 1;
    }
    expect(carried).toBeGreaterThan(0);
  });
});

describe('a leaf', () => {
  it('of which the allocation map calls any byte data is read, at whichever end', () => {
    const map = (...kinds: [Extent['kind'], number][]): Extent[] => {
      let offset = 0;
      return kinds.map(([kind, length]) => {
        offset += length;
        return { kind, length, offset: offset - length };
      });
    };
    const zeroOf = (extents: Extent[]) =>
      zeroRuns(extents, 0, 4, 4 * LEAF_SIZE).flatMap((run) => [run.first, run.count]);
    expect(zeroOf(map(['hole', LEAF_SIZE + 4096], ['data', 4096], ['hole', 3 * LEAF_SIZE - 8192]))).toEqual([
      0, 1, 2, 2,
    ]);
    expect(zeroOf(map(['zero', 2 * LEAF_SIZE - 512], ['data', 512], ['zero', 2 * LEAF_SIZE]))).toEqual([0, 1, 2, 2]);
    expect(zeroOf(map(['hole', 2 * LEAF_SIZE], ['data', 1], ['hole', 2 * LEAF_SIZE - 1]))).toEqual([0, 2, 3, 1]);
    expect(zeroOf(map(['hole', 2 * LEAF_SIZE - 1], ['data', 2], ['hole', 2 * LEAF_SIZE - 1]))).toEqual([0, 1, 3, 1]);
  });
});

describe('a file write that the kernel cuts short', () => {
  it('goes on with the rest, and fails when that does not fit', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gwp-'));
    try {
      const file = join(folder, 'a.raw');
      closeSync(openSync(file, 'w'));
      truncateSync(file, 64 * 1_024);
      // Beyond 8 KiB the kernel refuses: of 16 KiB it takes the first half, and says so.
      const script = `
        import { openFileDisk } from ${JSON.stringify(join(import.meta.dirname, '../src/file-disk.ts'))};
        const disk = await openFileDisk({ kind: 'file', path: ${JSON.stringify(file)}, readOnly: false });
        await disk.write(0, new Uint8Array(16_384).fill(1)).then(() => console.log('written'), (error) => console.log(error.code));
        await disk.close();`;
      const run = spawnSync(
        'bash',
        ['-c', `trap '' XFSZ; ulimit -f 8; exec "$0" --input-type=module`, process.execPath],
        {
          input: script,
          encoding: 'utf8',
        },
      );
      expect(run.stdout.trim(), run.stderr).toBe('DISK_WRITE_FAILED');
      expect(readFileSync(file).lastIndexOf(1)).toBe(8_191);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
