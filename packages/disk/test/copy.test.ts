import { describe, expect, it } from 'vitest';
import { digest } from '../src/digest.ts';
import { type CopyPlan, copyDisk, LEAF_SIZE, merkleRoot, seededRandom } from '../src/index.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

const never = () => new Doom(Number.POSITIVE_INFINITY);

function plan(change: Partial<CopyPlan> = {}): CopyPlan {
  return {
    mode: 'compare',
    audit: 'none',
    verify: 'whole',
    executionNumber: 1,
    snapshotKey: 's1',
    targetZeroed: true,
    ...change,
  };
}

function filled(size: number, seed: number, leaves?: number[]): SparseBytes {
  const random = seededRandom(seed);
  const bytes = new SparseBytes(size);
  const count = Math.ceil(size / LEAF_SIZE);
  for (const leaf of leaves ?? Array.from({ length: count }, (_, i) => i)) {
    const length = Math.min(LEAF_SIZE, size - leaf * LEAF_SIZE);
    const data = new Uint8Array(length);
    for (let i = 0; i < length; i += 97) data[i] = Math.floor(random() * 255) + 1;
    bytes.write(leaf * LEAF_SIZE, data);
  }
  return bytes;
}

function rootOf(bytes: SparseBytes): Buffer {
  const count = Math.ceil(bytes.size / LEAF_SIZE);
  const table = new Uint8Array(count * 32);
  for (let i = 0; i < count; i++) table.set(digest(bytes.leaf(i)), i * 32);
  return Buffer.from(merkleRoot(table));
}

describe('copying a whole disk', () => {
  it.each([0, 1, 511, LEAF_SIZE - 1, LEAF_SIZE, LEAF_SIZE + 1, 8 * LEAF_SIZE, 40 * LEAF_SIZE + 4097])(
    'brings every byte of a disk of %i bytes across and proves it',
    async (size) => {
      const source = new VolatileDisk(filled(size, 1), seededRandom(2), never());
      const target = new VolatileDisk(new SparseBytes(size), seededRandom(3), never());
      const table = new StoredTable();
      const result = await copyDisk({
        source,
        target,
        store: new DoomedStore(table, never(), Math.random),
        plan: plan(),
      });
      expect(target.durable.differs(source.current)).toBe(-1);
      expect(Buffer.from(result.sourceRoot)).toEqual(rootOf(source.current));
      expect(result.targetRoot).toEqual(result.sourceRoot);
      expect(result.counters).toEqual({
        bytesRead: size,
        bytesSent: size,
        bytesZeroed: 0,
        bytesSkipped: 0,
        bytesResent: 0,
        leavesRead: Math.ceil(size / LEAF_SIZE),
        leavesZero: 0,
        leavesReread: Math.ceil(size / LEAF_SIZE),
      });
    },
  );
});
