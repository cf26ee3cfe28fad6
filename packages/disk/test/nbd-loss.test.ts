import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Disk, openDisk, openNbd } from '../src/index.ts';
import { nbdkit, scratch } from './nbdkit.ts';

const MiB = 1_048_576;

/** A file-backed server that can be killed and started again on the same socket. */
async function fileServer(folder: string, size = 4 * MiB, more: string[] = []) {
  await writeFile(`${folder}/disk`, Buffer.alloc(size, 0x11));
  return nbdkit(folder, [...more, 'file', `${folder}/disk`]);
}

async function expectRead(disk: Disk, offset: number, fill: number): Promise<void> {
  const into = Buffer.alloc(65_536);
  await disk.read(offset, into);
  expect(into.equals(Buffer.alloc(65_536, fill))).toBe(true);
}

describe('when the server dies and comes back', () => {
  it('open reads finish as if nothing had happened', async () => {
    await using folder = await scratch();
    const first = await fileServer(folder.path, 4 * MiB, ['--filter=delay']);
    await first.kill();
    const slow = await nbdkit(folder.path, ['--filter=delay', 'file', `${folder.path}/disk`, 'rdelay=60']);
    const disk = await openDisk(slow.address);
    const reads = Array.from({ length: 16 }, (_, n) => expectRead(disk, n * 65_536, 0x11));
    await sleep(50);
    await slow.kill();
    await sleep(120);
    await using _second = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    await Promise.all(reads);
    await disk.close();
  });

  it('open writes are sent again, and the flush holds since nothing acknowledged was lost', async () => {
    await using folder = await scratch();
    await writeFile(`${folder.path}/disk`, Buffer.alloc(4 * MiB));
    const slow = await nbdkit(folder.path, ['--filter=delay', 'file', `${folder.path}/disk`, 'wdelay=60']);
    const disk = await openDisk(slow.address);
    const writes = Array.from({ length: 16 }, (_, n) => disk.write(n * 65_536, Buffer.alloc(65_536, n + 1)));
    const zero = disk.zero(2 * MiB, MiB);
    await sleep(50);
    await slow.kill();
    await using _second = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    await Promise.all([...writes, zero]);
    await disk.flush();
    for (let n = 0; n < 16; n++) await expectRead(disk, n * 65_536, n + 1);
    await disk.close();
  });

  it('a flush never vouches for writes that the dead server had only acknowledged', async () => {
    await using folder = await scratch();
    const server = await fileServer(folder.path);
    const disk = await openDisk(server.address);
    await disk.write(0, Buffer.alloc(65_536, 0x22));
    await server.kill();
    await using _second = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    await expect(disk.flush()).rejects.toMatchObject({ code: 'CONNECTION_FAILED', kind: 'retryable' });
    await disk.write(0, Buffer.alloc(65_536, 0x22));
    await expect(disk.flush()).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await disk.close();
    const again = await openDisk(server.address);
    await again.write(0, Buffer.alloc(65_536, 0x22));
    await again.flush();
    await again.close();
  });

  it('a flush that covered all writes before the loss leaves the disk sound', async () => {
    await using folder = await scratch();
    const server = await fileServer(folder.path);
    const disk = await openDisk(server.address);
    await disk.write(0, Buffer.alloc(65_536, 0x22));
    await disk.flush();
    await server.kill();
    await using _second = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    await expectRead(disk, 0, 0x22);
    await disk.write(0, Buffer.alloc(65_536, 0x33));
    await disk.flush();
    await expectRead(disk, 0, 0x33);
    await disk.close();
  });

  it('several connections are replaced and all requests finish', async () => {
    await using folder = await scratch();
    await writeFile(`${folder.path}/disk`, Buffer.alloc(8 * MiB, 0x11));
    const slow = await nbdkit(folder.path, ['--filter=delay', 'file', `${folder.path}/disk`, 'rdelay=300ms']);
    const disk = await openDisk({ ...slow.address, readOnly: true, connections: 4 });
    const reads = Array.from({ length: 64 }, (_, n) => expectRead(disk, n * 65_536, 0x11));
    await sleep(150);
    await slow.kill();
    await using _second = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    await Promise.all(reads);
    await disk.close();
  });

  it('with another size, the disk is of no more use', async () => {
    await using folder = await scratch();
    const server = await fileServer(folder.path);
    const disk = await openDisk(server.address);
    await server.kill();
    await writeFile(`${folder.path}/disk`, Buffer.alloc(2 * MiB));
    await using second = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    const read = disk.read(0, new Uint8Array(512));
    await expect(read).rejects.toMatchObject({ code: 'DISK_SHRANK', details: { was: 4 * MiB, is: 2 * MiB } });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'DISK_SHRANK' });
    await disk.close();
    const small = await openDisk(second.address);
    await second.kill();
    await writeFile(`${folder.path}/disk`, Buffer.alloc(4 * MiB));
    await using _third = await nbdkit(folder.path, ['file', `${folder.path}/disk`]);
    await expect(small.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'DISK_GREW' });
    await small.close();
  });

  it('gives up after the time it was given', async () => {
    await using folder = await scratch();
    const server = await fileServer(folder.path);
    const disk = await openNbd(server.address, { reconnectForMs: 200 });
    await server.kill();
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await disk.close();
  });

  it('a close while it calls the server ends at once', async () => {
    await using folder = await scratch();
    const server = await fileServer(folder.path);
    const disk = await openDisk(server.address);
    await server.kill();
    const read = disk.read(0, new Uint8Array(512));
    read.catch(() => undefined);
    await sleep(100);
    await disk.close();
    await expect(read).rejects.toMatchObject({ code: 'CANCELED' });
  });
});

describe('a server that stalls', () => {
  it('is called again, and given up when it stalls each time', async () => {
    await using folder = await scratch();
    await using server = await nbdkit(folder.path, ['--filter=delay', 'memory', '1M', 'rdelay=60']);
    const disk = await openNbd(server.address, { stallTimeoutMs: 100 });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      details: { reason: 'no reply for 100 ms' },
    });
    await disk.close();
  });

  it('is not mistaken for one that is slow but alive', async () => {
    await using folder = await scratch();
    await using server = await nbdkit(folder.path, ['--filter=delay', 'memory', '1M', 'rdelay=300ms']);
    const disk = await openNbd({ ...server.address, connections: 1 }, { stallTimeoutMs: 2_000 });
    const reads = Array.from({ length: 160 }, () => disk.read(0, new Uint8Array(512)));
    await Promise.all(reads);
    await disk.close();
  });
});
