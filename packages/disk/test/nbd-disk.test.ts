import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';
import { freePort } from '../../../testbed/free-port.ts';
import { createImage, openDisk, openNbd, serveImage } from '../src/index.ts';
import { exercise } from './disk-model.ts';
import { nbdkit, scratch } from './nbdkit.ts';

const MiB = 1_048_576;

describe('an NBD disk keeps what is written to it', () => {
  const servers: Record<string, { args: string[]; port?: number; align?: number }> = {
    'nbdkit with structured replies': { args: ['memory', '8M'] },
    'nbdkit with simple replies': { args: ['--no-sr', 'memory', '8M'] },
    'a server that knows only EXPORT_NAME': { args: ['--mask-handshake=0', 'memory', '8M'] },
    'a server that sends the 124 zeroes': { args: ['--mask-handshake=1', 'memory', '8M'] },
    'a server without zeroing, hidden by a filter': { args: ['--filter=nozero', 'memory', '8M'] },
    'a server over TCP': { args: ['memory', '8M'], port: 0 },
    'a disk of odd size': { args: ['memory', '8000001'] },
    'a server that reorders replies': { args: ['--filter=delay', 'memory', '4M', 'delay-read=3ms', 'delay-write=1ms'] },
    'a server with small requests only': {
      args: ['--filter=blocksize-policy', 'memory', '8M', 'blocksize-error-policy=error', 'blocksize-maximum=64K'],
    },
    'a server with 4 KiB blocks': {
      args: [
        '--filter=blocksize-policy',
        'memory',
        '8M',
        'blocksize-error-policy=error',
        'blocksize-minimum=4K',
        'blocksize-preferred=4K',
        'blocksize-maximum=256K',
      ],
    },
  };
  for (const [name, server] of Object.entries(servers)) {
    it(name, async () => {
      await using folder = await scratch();
      const port = server.port === undefined ? undefined : await freePort();
      await using kit = await nbdkit(folder.path, server.args, port);
      const disk = await openDisk(kit.address);
      try {
        await exercise(disk, { seed: 7, rounds: 25, maxLength: 300_000 });
      } finally {
        await disk.close();
      }
    });
  }

  it('a qcow2 image served by qemu-nbd, over several connections', async () => {
    await using folder = await scratch();
    await createImage(`${folder.path}/d.qcow2`, 'qcow2', 16 * MiB);
    await using server = await serveImage({ path: `${folder.path}/d.qcow2`, format: 'qcow2', readOnly: false });
    const disk = await openDisk({ ...server.address, connections: 4 });
    const model = await exercise(disk, { seed: 11, rounds: 40, maxLength: 700_000 });
    await disk.close();
    const again = await openDisk({ ...server.address, readOnly: true });
    const whole = Buffer.alloc(16 * MiB);
    await Promise.all(
      Array.from({ length: 256 }, (_, n) => again.read(n * 65_536, whole.subarray(n * 65_536, (n + 1) * 65_536))),
    );
    expect(whole.equals(model)).toBe(true);
    await again.close();
  });

  it('punches holes by default and keeps the space on wish', async () => {
    await using folder = await scratch();
    await createImage(`${folder.path}/d.raw`, 'raw', 4 * MiB);
    await using server = await serveImage({ path: `${folder.path}/d.raw`, format: 'raw', readOnly: false });
    const punching = await openNbd(server.address);
    await punching.write(0, Buffer.alloc(4 * MiB, 1));
    await punching.zero(0, MiB);
    await punching.close();
    const keeping = await openNbd(server.address, { zeroing: 'allocate' });
    await keeping.zero(2 * MiB, MiB);
    expect(await keeping.extents(0, 4 * MiB)).toEqual([
      { offset: 0, length: MiB, kind: 'hole' },
      { offset: MiB, length: 3 * MiB, kind: 'data' },
    ]);
    const zeroed = Buffer.alloc(MiB, 1);
    await keeping.read(2 * MiB, zeroed);
    expect(zeroed.equals(Buffer.alloc(MiB))).toBe(true);
    await keeping.close();
  });
});

describe('an NBD disk refuses', () => {
  it('ranges outside the disk as a defect of the caller', async () => {
    await using folder = await scratch();
    await using kit = await nbdkit(folder.path, ['memory', '1M']);
    const disk = await openDisk(kit.address);
    await expect(disk.read(MiB - 1, new Uint8Array(2))).rejects.toThrow(RangeError);
    await expect(disk.write(-1, new Uint8Array(2))).rejects.toThrow(RangeError);
    await expect(disk.zero(0, MiB + 1)).rejects.toThrow(RangeError);
    await disk.close();
  });

  it('to open a read-only export for writing', async () => {
    await using folder = await scratch();
    await using kit = await nbdkit(folder.path, ['-r', 'memory', '1M']);
    await expect(openDisk(kit.address)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    const disk = await openDisk({ ...kit.address, readOnly: true });
    await expect(disk.write(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'DISK_WRITE_FAILED' });
    await disk.close();
  });

  it('an export that does not exist', async () => {
    await using folder = await scratch();
    await createImage(`${folder.path}/d.raw`, 'raw', MiB);
    await using server = await serveImage({
      path: `${folder.path}/d.raw`,
      format: 'raw',
      readOnly: true,
      export: 'vda',
    });
    await expect(openDisk({ ...server.address, export: 'vdb' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const disk = await openDisk(server.address);
    expect(disk.size).toBe(MiB);
    await disk.close();
  });

  it('an address where nobody listens', async () => {
    await using folder = await scratch();
    const refused = openDisk({
      kind: 'nbd',
      transport: { unix: `${folder.path}/none` },
      export: '',
      readOnly: true,
    });
    await expect(refused).rejects.toBeInstanceOf(GodwitError);
    await expect(refused).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('requests after close, and those that were open', async () => {
    await using folder = await scratch();
    await using kit = await nbdkit(folder.path, ['--filter=delay', 'memory', '1M', 'rdelay=60']);
    const disk = await openDisk(kit.address);
    const open = disk.read(0, new Uint8Array(512));
    open.catch(() => undefined);
    await disk.close();
    await disk.close();
    await expect(open).rejects.toMatchObject({ code: 'CANCELED' });
    await expect(disk.read(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'CANCELED' });
  });
});
