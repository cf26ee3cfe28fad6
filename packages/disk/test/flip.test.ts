import { GodwitError } from '@godwit/domain';
import { expect, it } from 'vitest';
import { type CopyPlan, copyDisk, LEAF_SIZE, seededRandom } from '../src/index.ts';
import { DoomedStore, StoredTable } from './memory-store.ts';
import { Doom, SparseBytes, VolatileDisk } from './volatile-disk.ts';

const never = () => new Doom(Number.POSITIVE_INFINITY);

it('finds and names the block of each of 200 bits flipped on the target, and heals it in the next run', async () => {
  const random = seededRandom(200);
  const size = 24 * LEAF_SIZE + 1234;
  const bytes = new SparseBytes(size);
  const data = new Uint8Array(LEAF_SIZE);
  for (let leaf = 0; leaf < 25; leaf += 1) {
    if (leaf % 5 === 3) continue; // zero leaves are a target's to spoil as well
    for (let i = 0; i < data.length; i += 31) data[i] = Math.floor(random() * 256);
    bytes.write(leaf * LEAF_SIZE, data.subarray(0, Math.min(LEAF_SIZE, size - leaf * LEAF_SIZE)));
  }
  const source = new VolatileDisk(bytes, seededRandom(2), never());
  const target = new VolatileDisk(new SparseBytes(size), seededRandom(3), never());
  const table = new StoredTable();
  let executionNumber = 0;
  const run = async () => {
    executionNumber += 1;
    const plan: CopyPlan = {
      mode: 'compare',
      audit: 'whole',
      verify: 'whole',
      executionNumber,
      snapshotKey: `s${executionNumber}`,
      targetZeroed: true,
    };
    await copyDisk({ source, target, store: new DoomedStore(table, never(), random), plan });
    table.complete = { number: executionNumber, size };
  };
  await run();
  let named = 0;
  for (let i = 0; i < 200; i += 1) {
    const bit = Math.floor(random() * size * 8);
    const at = Math.floor(bit / 8);
    const byte = new Uint8Array(1);
    await target.read(at, byte);
    await target.write(at, Uint8Array.of((byte[0] ?? 0) ^ (1 << (bit % 8))));
    await target.flush();
    const error = await run().then(
      () => null,
      (reason: unknown) => reason,
    );
    if (!(error instanceof GodwitError) || error.code !== 'VERIFY_MISMATCH') continue;
    if (error.details.count === 1 && error.details.offset === at - (at % LEAF_SIZE)) named += 1;
    await run();
  }
  expect(named).toBe(200);
  expect(target.durable.differs(source.current)).toBe(-1);
});
