import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';
import { openDisk } from '../src/index.ts';
import { nbdkit, scratch } from './nbdkit.ts';

describe('errors of the server', () => {
  const sound: Record<string, string> = {
    get_size: 'echo 1M',
    pread: 'dd if=/dev/zero bs=$3 count=1 2>/dev/null',
    pwrite: 'cat >/dev/null',
    can_write: 'exit 0',
    can_flush: 'exit 0',
    flush: 'exit 0',
  };
  const shell = (script: Record<string, string>) => [
    'eval',
    ...Object.entries({ ...sound, ...script }).map(([name, body]) => `${name}=${body}`),
  ];

  it('on reads name the disk and the byte', async () => {
    await using folder = await scratch();
    await using server = await nbdkit(folder.path, shell({ pread: 'echo EIO bad sector >&2; exit 1' }));
    const disk = await openDisk(server.address, { label: 'disk vda of web01' });
    const failure = await disk.read(4_096, new Uint8Array(512)).catch((error) => error);
    expect(failure).toBeInstanceOf(GodwitError);
    expect(failure).toMatchObject({
      code: 'DISK_READ_FAILED',
      object: 'disk vda of web01',
      details: { offset: 4_096 },
    });
    await disk.write(0, new Uint8Array(512));
    await disk.close();
  });

  it('on writes tell a full target from a broken one', async () => {
    await using folder = await scratch();
    await using full = await nbdkit(
      folder.path,
      shell({ pwrite: 'cat >/dev/null; echo ENOSPC >&2; exit 1' }),
      undefined,
      'full',
    );
    const disk = await openDisk(full.address);
    await expect(disk.write(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'TARGET_FULL' });
    await expect(disk.zero(0, 512)).rejects.toMatchObject({ code: 'TARGET_FULL' });
    await disk.read(0, new Uint8Array(512));
    await disk.close();
    await using broken = await nbdkit(
      folder.path,
      shell({ pwrite: 'cat >/dev/null; echo EIO >&2; exit 1' }),
      undefined,
      'broken',
    );
    const other = await openDisk(broken.address);
    await expect(other.write(0, new Uint8Array(512))).rejects.toMatchObject({ code: 'DISK_WRITE_FAILED' });
    await other.close();
  });

  it('on flush reject it', async () => {
    await using folder = await scratch();
    await using server = await nbdkit(folder.path, shell({ flush: 'echo EIO >&2; exit 1' }));
    const disk = await openDisk(server.address);
    await disk.write(0, new Uint8Array(512));
    await expect(disk.flush()).rejects.toMatchObject({ code: 'DISK_WRITE_FAILED' });
    await disk.close();
  });

  it('that cannot flush is not believed to be durable', async () => {
    await using folder = await scratch();
    const script = shell({ can_flush: 'exit 3' });
    await using server = await nbdkit(folder.path, script);
    const disk = await openDisk(server.address);
    await disk.flush();
    await disk.write(0, new Uint8Array(512));
    await expect(disk.flush()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await disk.close();
  });

  it('that come now and then hit single requests only', async () => {
    await using folder = await scratch();
    const faults = ['error-pread=EIO', 'error-pread-rate=30%'];
    await using server = await nbdkit(folder.path, ['--filter=error', 'pattern', '4M', ...faults]);
    const disk = await openDisk({ ...server.address, readOnly: true });
    let good = 0;
    let bad = 0;
    await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const into = Buffer.alloc(8_192);
        try {
          await disk.read(n * 8_192, into);
          good++;
          expect(into.readBigUInt64BE(8)).toBe(BigInt(n * 8_192 + 8));
        } catch (error) {
          bad++;
          expect(error).toMatchObject({ code: 'DISK_READ_FAILED', details: { offset: n * 8_192 } });
        }
      }),
    );
    expect(good).toBeGreaterThan(0);
    expect(bad).toBeGreaterThan(0);
    await disk.close();
  });
});

/** Has nbdkit's pause filter hold back every answer (`p`) or go on (`r`), and waits until it does. */
async function tell(control: string, word: 'p' | 'r'): Promise<void> {
  const socket = connect(control);
  socket.write(word);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  expect(answer.toString()).toBe(word.toUpperCase());
}

describe('an aborted request', () => {
  it('settles at once and its late reply never touches the buffer', async () => {
    await using folder = await scratch();
    const control = `${folder.path}/c`;
    await using server = await nbdkit(folder.path, ['--filter=pause', 'pattern', '4M', `pause-control=${control}`]);
    const disk = await openDisk({ ...server.address, readOnly: true });
    await tell(control, 'p');
    const into = Buffer.alloc(524_288, 0xee);
    const aborting = new AbortController();
    const reads = Array.from({ length: 4 }, () => disk.read(0, into, aborting.signal));
    const kept = Buffer.alloc(4_096);
    const keptRead = disk.read(65_536, kept);
    await sleep(30);
    aborting.abort();
    const results = await Promise.allSettled(reads);
    await tell(control, 'r');
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
    await expect(reads[0]).rejects.toMatchObject({ code: 'CANCELED' });
    await keptRead;
    expect(kept.readBigUInt64BE(0)).toBe(65_536n);
    // All four late replies have passed once a later request on the same connection is answered.
    await disk.read(131_072, kept);
    await disk.read(131_072, kept);
    expect(kept.readBigUInt64BE(0)).toBe(131_072n);
    expect(into.equals(Buffer.alloc(524_288, 0xee))).toBe(true);
    await disk.close();
  });

  it('with a signal that was aborted before is never sent', async () => {
    await using folder = await scratch();
    await using server = await nbdkit(folder.path, ['memory', '1M']);
    const disk = await openDisk(server.address);
    await expect(disk.write(0, Buffer.alloc(512, 1), AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' });
    const into = Buffer.alloc(512, 0xee);
    await disk.read(0, into);
    expect(into.equals(Buffer.alloc(512))).toBe(true);
    await disk.close();
  });

  it('that writes cannot overtake a later write to the same bytes', async () => {
    await using folder = await scratch();
    // A write of nines is held until the file `go` is there: an overtaken one would land last.
    const go = `${folder.path}/go`;
    const held = `d=$(od -An -tu1 -N1 $f | tr -d ' '); while [ $d = 9 ] && [ ! -e ${go} ]; do sleep 0.01; done`;
    const pwrite = `f=$(mktemp ${folder.path}/w-XXXXXX); cat >$f; ${held}; dd if=$f of=${folder.path}/disk bs=1 seek=$4 conv=notrunc 2>/dev/null; rm $f`;
    const underWay = () => readdirSync(folder.path).filter((name) => name.startsWith('w-')).length;
    const script = [
      'get_size=echo 4096',
      'thread_model=echo parallel',
      `pread=dd if=${folder.path}/disk bs=1 skip=$4 count=$3 2>/dev/null`,
      `pwrite=${pwrite}`,
      'can_write=exit 0',
      `config_complete=truncate -s 4096 ${folder.path}/disk`,
    ];
    await using server = await nbdkit(folder.path, ['eval', ...script]);
    const disk = await openDisk(server.address);
    const aborting = new AbortController();
    const first = disk.write(0, Buffer.alloc(512, 9), aborting.signal);
    first.catch(() => undefined);
    while (underWay() === 0) await sleep(5);
    aborting.abort();
    await expect(first).rejects.toMatchObject({ code: 'CANCELED' });
    const second = disk.write(0, Buffer.alloc(512, 1));
    // Time for one that overtakes to do so.
    await Promise.race([second, sleep(300)]);
    writeFileSync(go, '');
    await second;
    while (underWay() > 0) await sleep(5);
    const into = Buffer.alloc(512);
    await disk.read(0, into);
    expect(into[0]).toBe(1);
    await disk.close();
  });
});
