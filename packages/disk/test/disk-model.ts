import { expect } from 'vitest';
import { type Disk, seededRandom } from '../src/index.ts';

/** Does random reads, writes and zeroes, several at once, on a disk and on a buffer, and compares. */
export async function exercise(
  disk: Disk,
  options: { seed: number; rounds: number; maxLength: number; align?: number },
): Promise<Buffer> {
  const random = seededRandom(options.seed);
  const align = options.align ?? 1;
  const below = (n: number) => Math.floor(random() * n);
  const model = Buffer.alloc(disk.size);
  await disk.zero(0, disk.size);
  // The disk is cut into lanes; each lane works on its own bytes, so lanes may overtake each other.
  const lanes = 8;
  const share = Math.floor(disk.size / lanes / align) * align;
  const plan = Array.from({ length: lanes }, (_, lane) =>
    Array.from({ length: options.rounds }, () => {
      const end = lane === lanes - 1 ? disk.size : (lane + 1) * share;
      const offset = lane * share + below((end - lane * share) / align) * align;
      const length = Math.min(end - offset, Math.max(align, below(options.maxLength / align) * align));
      return { offset, length, kind: below(4), fill: below(256) };
    }),
  );
  await Promise.all(
    plan.map(async (steps) => {
      for (const { offset, length, kind, fill } of steps) {
        if (kind === 0) {
          await disk.zero(offset, length);
          model.fill(0, offset, offset + length);
        } else if (kind === 1) {
          const into = Buffer.alloc(length, 0xee);
          await disk.read(offset, into);
          expect(into.equals(model.subarray(offset, offset + length))).toBe(true);
        } else {
          const bytes = Buffer.alloc(length, fill);
          bytes.writeUInt8(kind, 0);
          await disk.write(offset, bytes);
          bytes.copy(model, offset);
        }
      }
    }),
  );
  await disk.flush();
  await expectContent(disk, model);
  await expectTrueExtents(disk, model);
  return model;
}

export async function expectContent(disk: Disk, model: Buffer): Promise<void> {
  const whole = Buffer.alloc(disk.size, 0xee);
  await disk.read(0, whole);
  expect(whole.equals(model)).toBe(true);
}

/** Extents cover the disk exactly, and what they call zero is zero. */
export async function expectTrueExtents(disk: Disk, model: Buffer): Promise<void> {
  const extents = await disk.extents(0, disk.size);
  let at = 0;
  let before = '';
  for (const { offset, length, kind } of extents) {
    expect(offset).toBe(at);
    expect(length).toBeGreaterThan(0);
    expect(kind).not.toBe(before);
    if (kind !== 'data') expect(model.subarray(at, at + length).every((byte) => byte === 0)).toBe(true);
    at += length;
    before = kind;
  }
  expect(at).toBe(disk.size);
}
