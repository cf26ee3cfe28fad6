import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createImage, openDisk, serveImage } from '../src/index.ts';
import { endOf, scratch } from './nbdkit.ts';

const run = promisify(execFile);
const MiB = 1_048_576;

describe('an image served by qemu-nbd', () => {
  it('tells the ranges that a persistent dirty bitmap names, and only those', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.qcow2`;
    await createImage(path, 'qcow2', 64 * MiB);
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 1 0 8M', path]);
    await run('qemu-img', ['bitmap', '--add', '-g', '65536', '-f', 'qcow2', path, 'since']);
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 2 1M 64k', '-c', 'write -P 3 40M 192k', path]);
    await using server = await serveImage({ path, format: 'qcow2', readOnly: true, bitmap: 'since' });
    expect(server.address.changedContext).toBe('qemu:dirty-bitmap:since');
    const disk = await openDisk(server.address);
    expect(await disk.changed(0, disk.size)).toEqual([
      { offset: MiB, length: 65_536 },
      { offset: 40 * MiB, length: 196_608 },
    ]);
    expect(await disk.changed(MiB + 100, 1_000)).toEqual([{ offset: MiB + 100, length: 1_000 }]);
    expect(await disk.changed(2 * MiB, MiB)).toEqual([]);
    expect(await disk.extents(0, 9 * MiB)).toEqual([
      { offset: 0, length: 8 * MiB, kind: 'data' },
      { offset: 8 * MiB, length: MiB, kind: 'hole' },
    ]);
    await disk.close();
    const { changedContext: _, ...untracked } = server.address;
    const other = await openDisk(untracked);
    expect(await other.changed(0, other.size)).toBeNull();
    await other.close();
    const wrong = await openDisk({ ...server.address, changedContext: 'qemu:dirty-bitmap:gone' });
    expect(await wrong.changed(0, wrong.size)).toBeNull();
    await wrong.close();
  });

  it('of which the bitmap is gone is refused', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.qcow2`;
    await createImage(path, 'qcow2', MiB);
    await expect(serveImage({ path, format: 'qcow2', readOnly: true, bitmap: 'gone' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('that is corrupt, of another format or missing is refused with the reason', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d`;
    await writeFile(path, Buffer.alloc(MiB, 0x51));
    const corrupt = serveImage({ path, format: 'qcow2', readOnly: true, label: 'disk vda of web01' });
    await expect(corrupt).rejects.toMatchObject({
      code: 'DISK_CORRUPT',
      object: 'disk vda of web01',
      details: { format: 'qcow2', reason: expect.stringContaining('not in qcow2 format') },
    });
    await expect(serveImage({ path: `${path}.gone`, format: 'raw', readOnly: true })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await writeFile(`${path}.vmdk`, Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(4_096, 0xff)]));
    await expect(serveImage({ path: `${path}.vmdk`, format: 'vmdk', readOnly: true })).rejects.toMatchObject({
      code: 'DISK_CORRUPT',
    });
  });

  it('is served as raw when said so, whatever a guest wrote to its first sector', async () => {
    await using folder = await scratch();
    const inner = `${folder.path}/inner.qcow2`;
    await createImage(inner, 'qcow2', 64 * MiB);
    await using server = await serveImage({ path: inner, format: 'raw', readOnly: true });
    const disk = await openDisk(server.address);
    expect(disk.size).toBeLessThan(MiB);
    const head = Buffer.alloc(512);
    await disk.read(0, head);
    expect(head.toString('latin1', 0, 3)).toBe('QFI');
    await disk.close();
  });

  it('waits for the lock of a predecessor that is ending', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.qcow2`;
    await createImage(path, 'qcow2', MiB);
    const first = await serveImage({ path, format: 'qcow2', readOnly: false });
    const second = serveImage({ path, format: 'qcow2', readOnly: false });
    await sleep(300);
    await first.close();
    await (await second).close();
    await using _holder = await serveImage({ path, format: 'qcow2', readOnly: false });
    await expect(serveImage({ path, format: 'qcow2', readOnly: false, lockWaitMs: 150 })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  it('leaves no process and no file behind when closed, twice too', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    const work = `${folder.path}/w`;
    await mkdir(work);
    await createImage(path, 'raw', MiB);
    const server = await serveImage({ path, format: 'raw', readOnly: true, workDir: work });
    expect(existsSync(`/proc/${server.pid}`)).toBe(true);
    expect(await readdir(work)).toHaveLength(1);
    await Promise.all([server.close(), server.close()]);
    expect(existsSync(`/proc/${server.pid}`)).toBe(false);
    expect(await readdir(work)).toEqual([]);
    await expect(serveImage({ path: 'gone', format: 'raw', readOnly: true, workDir: work })).rejects.toThrow();
    expect(await readdir(work)).toEqual([]);
  });

  it('is reached through a short socket path although the work folder is deep', async () => {
    await using folder = await scratch();
    const deep = `${folder.path}/${'d'.repeat(150)}`;
    await mkdir(deep);
    await createImage(`${deep}/d.raw`, 'raw', MiB);
    await using server = await serveImage({ path: `${deep}/d.raw`, format: 'raw', readOnly: true, workDir: deep });
    const disk = await openDisk(server.address);
    expect(disk.size).toBe(MiB);
    await disk.close();
  });

  it('can be aborted while it waits', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.qcow2`;
    await createImage(path, 'qcow2', MiB);
    await using _holder = await serveImage({ path, format: 'qcow2', readOnly: false });
    const aborting = new AbortController();
    const waiting = serveImage({ path, format: 'qcow2', readOnly: false }, aborting.signal);
    setTimeout(() => aborting.abort(), 250);
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
  });

  it('dies with the process that serves it', async () => {
    await using folder = await scratch();
    const path = `${folder.path}/d.raw`;
    await createImage(path, 'raw', MiB);
    const module = pathToFileURL(new URL('../src/index.ts', import.meta.url).pathname).href;
    const script = `
      const { serveImage } = await import(${JSON.stringify(module)});
      const server = await serveImage({ path: ${JSON.stringify(path)}, format: 'raw', readOnly: true, workDir: ${JSON.stringify(folder.path)} });
      console.log(server.pid);
      setInterval(() => undefined, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())));
    });
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    const ended = endOf(parent);
    parent.kill('SIGKILL');
    await ended;
    while (existsSync(`/proc/${pid}`)) await sleep(10);
    // Its socket stays; the next process that serves an image there clears it away, and nothing that is in use.
    const left = (await readdir(folder.path)).filter((name) => name.startsWith('gnbd-'));
    expect(left).toHaveLength(1);
    await using server = await serveImage({ path, format: 'raw', readOnly: true, workDir: folder.path });
    await using second = await serveImage({ path, format: 'raw', readOnly: true, workDir: folder.path });
    const now = (await readdir(folder.path)).filter((name) => name.startsWith('gnbd-'));
    expect(now).toHaveLength(2);
    expect(now).not.toContain(left[0]);
    expect(server.pid).not.toBe(second.pid);
  });

  // Mounting a small file system needs root; nbd-fault.test.ts covers the error number itself.
  const root = process.getuid?.() === 0;
  if (root)
    it('passes on that the file system is full', async () => {
      await using folder = await scratch();
      const small = `${folder.path}/small`;
      await mkdir(small);
      await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]);
      try {
        for (const format of ['raw', 'qcow2'] as const) {
          const path = `${small}/d.${format}`;
          await createImage(path, format, 16 * MiB);
          await using server = await serveImage({ path, format, readOnly: false });
          const disk = await openDisk(server.address);
          const writing = (async () => {
            for (let n = 0; n < 16; n++) await disk.write(n * MiB, Buffer.alloc(MiB, 1));
          })();
          await expect(writing).rejects.toMatchObject({ code: 'TARGET_FULL' });
          await disk.close();
          await server.close();
          await run('rm', [path]);
        }
        await createImage(`${small}/native.raw`, 'raw', 16 * MiB);
        const native = await openDisk({ kind: 'file', path: `${small}/native.raw`, readOnly: false });
        await expect(native.write(0, Buffer.alloc(8 * MiB, 1))).rejects.toMatchObject({ code: 'TARGET_FULL' });
        await native.close();
      } finally {
        await run('umount', ['-l', small]);
      }
    });
});
