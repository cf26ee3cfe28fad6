import { open, stat, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openDisk } from '../src/index.ts';
import { exercise, expectContent, expectTrueExtents } from './disk-model.ts';
import { scratch } from './nbdkit.ts';

const MiB = 1_048_576;

async function blank(path: string, size: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, size);
}

describe('a file as a disk', () => {
  for (const size of [8 * MiB, 8 * MiB + 512, 8_000_001]) {
    it(`of ${size} bytes keeps what is written to it and its size`, async () => {
      await using folder = await scratch();
      const path = `${folder.path}/d.raw`;
      await blank(path, size);
      const disk = await openDisk({ kind: 'file', path, readOnly: false });
      const model = await exercise(disk, { seed: size, rounds: 30, maxLength: 400_000 });
      await disk.close();
      expect((await stat(path)).size).toBe(size);
      const again = await openDisk({ kind: 'file', path, readOnly: true });
      await expectContent(again, model);
      await expectTrueExtents(again, model);
      expect(await again.changed(0, size)).toBeNull();
      await again.close();
    });
  }

  it('tells holes from data and gives zeroed space back', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await blank(path, 4 * MiB);
    const disk = await openDisk({ kind: 'file', path, readOnly: false });
    await disk.write(MiB, Buffer.alloc(MiB, 1));
    expect(await disk.extents(0, 4 * MiB)).toEqual([
      { offset: 0, length: MiB, kind: 'hole' },
      { offset: MiB, length: MiB, kind: 'data' },
      { offset: 2 * MiB, length: 2 * MiB, kind: 'hole' },
    ]);
    await disk.zero(MiB, MiB);
    await disk.flush();
    expect((await stat(path)).blocks).toBe(0);
    await disk.close();
  });

  it('that is missing, forbidden or shrinks under it says so', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await expect(openDisk({ kind: 'file', path, readOnly: true })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await blank(path, MiB);
    const disk = await openDisk({ kind: 'file', path, readOnly: true });
    await expect(disk.write(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'DISK_WRITE_FAILED' });
    await expect(disk.read(MiB, new Uint8Array(1))).rejects.toThrow(RangeError);
    await truncate(path, 1_000);
    await expect(disk.read(0, new Uint8Array(2_000))).rejects.toMatchObject({
      code: 'DISK_READ_FAILED',
      details: { offset: 1_000 },
    });
    await disk.close();
    await expect(disk.read(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'CANCELED' });
  });

  it('is never closed under a request', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await writeFile(path, Buffer.alloc(4 * MiB, 5));
    for (let n = 0; n < 20; n++) {
      const disk = await openDisk({ kind: 'file', path, readOnly: true });
      const buffers = Array.from({ length: 8 }, () => Buffer.alloc(512 * 1024));
      const reads = buffers.map((buffer, index) => disk.read(index * 1024, buffer));
      const settled = Promise.allSettled(reads);
      await disk.close();
      const results = await settled;
      for (const [index, result] of results.entries()) {
        if (result.status === 'fulfilled') expect(buffers[index]?.every((byte) => byte === 5)).toBe(true);
        else expect(result.reason).toMatchObject({ code: 'CANCELED' });
      }
    }
  });

  it('may be an empty one', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await blank(path, 0);
    const disk = await openDisk({ kind: 'file', path, readOnly: false });
    expect(disk.size).toBe(0);
    expect(await disk.extents(0, 0)).toEqual([]);
    await disk.zero(0, 0);
    await disk.read(0, new Uint8Array(0));
    await disk.flush();
    await disk.close();
  });

  it('tells holes of a file that somebody else is writing, and of its last odd bytes', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    const size = 64 * MiB + 777;
    await blank(path, size);
    const disk = await openDisk({ kind: 'file', path, readOnly: true });
    expect(await disk.extents(0, size)).toEqual([{ offset: 0, length: size, kind: 'hole' }]);
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(10, 1), 0, 10, size - 10);
    await file.write(Buffer.alloc(MiB, 1), 0, MiB, 32 * MiB);
    const extents = await disk.extents(31 * MiB, size - 31 * MiB);
    expect(extents.slice(0, 3)).toEqual([
      { offset: 31 * MiB, length: MiB, kind: 'hole' },
      { offset: 32 * MiB, length: MiB, kind: 'data' },
      expect.objectContaining({ offset: 33 * MiB, kind: 'hole' }),
    ]);
    expect(extents.at(-1)).toMatchObject({ kind: 'data' });
    expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(size - 31 * MiB);
    // Only a part of an extent was asked for.
    expect(await disk.extents(32 * MiB + 5, 7)).toEqual([{ offset: 32 * MiB + 5, length: 7, kind: 'data' }]);
    await file.close();
    await disk.close();
  });

  it('of thousands of extents tells all of them', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    const count = 5_000;
    await blank(path, 2 * count * 65_536);
    const file = await open(path, 'r+');
    for (let n = 0; n < count; n++) await file.write(Buffer.from([1]), 0, 1, 2 * n * 65_536);
    await file.close();
    const disk = await openDisk({ kind: 'file', path, readOnly: true });
    const extents = await disk.extents(0, disk.size);
    const data = extents.filter(({ kind }) => kind === 'data');
    expect(data.map(({ offset }) => offset)).toEqual(Array.from({ length: count }, (_, n) => 2 * n * 65_536));
    expect(data.every(({ length }) => length <= 65_536)).toBe(true);
    await disk.close();
  });

  it('zeroes less than a block and across blocks', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await writeFile(path, Buffer.alloc(MiB, 7));
    const disk = await openDisk({ kind: 'file', path, readOnly: false });
    const model = Buffer.alloc(MiB, 7);
    for (const [offset, length] of [
      [5, 9],
      [4_095, 2],
      [100_001, 300_003],
      [MiB - 70_001, 70_001],
    ] as const) {
      await disk.zero(offset, length);
      model.fill(0, offset, offset + length);
    }
    await expectContent(disk, model);
    await disk.close();
  });

  it('asks the kernel to bring its writes to stable storage, and says when it cannot', async () => {
    // A file that opens, and that no kernel can sync.
    const disk = await openDisk({ kind: 'file', path: '/dev/null', readOnly: false });
    await expect(disk.flush()).rejects.toMatchObject({ code: 'DISK_WRITE_FAILED' });
    await disk.close();
  });

  it('reads what another handle writes', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await blank(path, MiB);
    const disk = await openDisk({ kind: 'file', path, readOnly: true });
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(4_096, 9), 0, 4_096, 8_192);
    await file.close();
    const into = Buffer.alloc(4_096);
    await disk.read(8_192, into);
    expect(into.equals(Buffer.alloc(4_096, 9))).toBe(true);
    await disk.close();
  });
});
