import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { statSync, truncateSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LEAF_SIZE, openDisk } from '@godwit/disk';
import * as wire from '@godwit/disk/minion/nbd-wire';
import { GodwitError } from '@godwit/domain';
import { describe, expect, it } from 'vitest';
import { serve } from './serving.ts';

const exec = promisify(execFile);
const MIB = 1_048_576;
const { Blake3Hasher } = createRequire(import.meta.url)('@napi-rs/blake-hash') as {
  Blake3Hasher: new () => { update(bytes: Uint8Array): void; digest(): string };
};

function digest(bytes: Uint8Array): Buffer {
  const hasher = new Blake3Hasher();
  hasher.update(bytes);
  return Buffer.from(hasher.digest(), 'hex');
}

/** Data, then zeroes, then data: 6 MiB. */
function content(): Buffer {
  return Buffer.concat([randomBytes(2 * MIB), Buffer.alloc(2 * MIB), randomBytes(2 * MIB)]);
}

async function failure(promise: Promise<unknown>): Promise<GodwitError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GodwitError)) throw new Error(`no GodwitError but ${String(error)}`);
  return error;
}

describe('the agent as an NBD server', () => {
  it('describes and hands out its disk to nbdinfo and nbdcopy', async () => {
    const bytes = content();
    await using serving = await serve(bytes, null);
    const uri = `nbd+unix:///vda?socket=${serving.socket}`;
    const told = JSON.parse((await exec('nbdinfo', ['--json', uri])).stdout) as { exports: Record<string, unknown>[] };
    expect(told.exports[0]).toMatchObject({
      'export-name': 'vda',
      'export-size': bytes.length,
      is_read_only: false,
      can_flush: true,
      can_zero: true,
      can_multi_conn: true,
    });
    const copy = join(serving.folder, 'copy');
    await exec('nbdcopy', [uri, copy]);
    expect((await readFile(copy)).equals(bytes)).toBe(true);
  });

  it('lists its exports', async () => {
    await using serving = await serve(content(), null);
    const { stdout } = await exec('nbdinfo', ['--list', `nbd+unix:///?socket=${serving.socket}`]);
    expect(stdout).toContain('export="vda"');
  });

  it('takes a whole image from nbdcopy, with several connections', async () => {
    const bytes = content();
    await using serving = await serve(randomBytes(bytes.length), null);
    const image = join(serving.folder, 'image');
    await writeFile(image, bytes);
    const uri = `nbd+unix:///vda?socket=${serving.socket}`;
    await exec('nbdcopy', ['--flush', '--connections=4', image, uri]);
    expect((await readFile(serving.file)).equals(bytes)).toBe(true);
  });

  it('serves clients that negotiate nothing', async () => {
    const bytes = content();
    await using serving = await serve(bytes, null);
    const socket = connect(serving.socket);
    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const name = Buffer.concat([
      Buffer.from([0, 0, 0, 3]),
      wire.encodeOption(wire.OPT_EXPORT_NAME, Buffer.from('vda')),
    ]);
    const text = Buffer.alloc(1_000, 'x');
    socket.write(name);
    socket.write(Buffer.concat([wire.encodeRequest(wire.CMD_WRITE, 0, 1, 1, 5_000, text.length), text]));
    const answered = () => Buffer.concat(received).length;
    while (answered() < 28 + 16) await sleep(5);
    socket.write(wire.encodeRequest(wire.CMD_READ, 0, 1, 2, 4_000, 3_000));
    while (answered() < 28 + 16 + 16 + 3_000) await sleep(5);
    socket.write(wire.encodeRequest(wire.CMD_READ, 0, 1, 3, bytes.length - 512, 1_024));
    while (answered() < 28 + 16 + 16 + 3_000 + 16) await sleep(5);
    socket.write(wire.encodeRequest(wire.CMD_DISCONNECT, 0, 0, 0, 0, 0));
    await closed;
    text.copy(bytes, 5_000);
    const all = Buffer.concat(received);
    expect(all.subarray(60, 3_060).equals(bytes.subarray(4_000, 7_000))).toBe(true);
    expect(all.readUInt32BE(3_064)).toBe(22);
  });

  it('refuses strangers when it has a token', async () => {
    await using serving = await serve(content(), 'secret');
    const uri = `nbd+unix:///vda?socket=${serving.socket}`;
    await expect(exec('nbdinfo', [uri])).rejects.toThrow(/nbdinfo/);
    await expect(exec('nbdinfo', ['--list', uri])).rejects.toThrow(/nbdinfo/);
  });

  it('ends connections that send nonsense, and serves the next one', async () => {
    const bytes = content();
    await using serving = await serve(bytes, null);
    const bad = [
      randomBytes(200_000),
      Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.alloc(16, 0xff)]),
      Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from('49484156454f505400000007ffffffff', 'hex')]),
      Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from('49484156454f5054475700010000000161', 'hex')]),
    ];
    for (const sent of bad) {
      await new Promise<void>((resolve) => {
        const socket = connect(serving.socket);
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
        socket.resume();
        socket.write(sent);
      });
    }
    const disk = await openDisk(serving.address);
    const read = Buffer.alloc(MIB);
    await disk.read(0, read);
    expect(read.equals(bytes.subarray(0, MIB))).toBe(true);
    await disk.close();
  });
});

describe('zeroes asked of the agent', () => {
  it('clear what is there and take no room where nothing is', async () => {
    const bytes = Buffer.alloc(8 * MIB);
    bytes.fill(7, 3 * MIB + 4_096, 3 * MIB + 12_288);
    await using serving = await serve(bytes, 'secret');
    truncateSync(serving.file, 0);
    truncateSync(serving.file, bytes.length);
    const disk = await openDisk(serving.address);
    await disk.write(3 * MIB + 4_096, bytes.subarray(3 * MIB + 4_096, 3 * MIB + 12_288));
    await disk.zero(0, bytes.length);
    await disk.flush();
    await disk.close();
    expect((await readFile(serving.file)).equals(Buffer.alloc(bytes.length))).toBe(true);
    expect(statSync(serving.file).blocks * 512).toBeLessThan(MIB);
  });
});

describe.each([{ compress: true }, { compress: false }])('a disk of the agent, compress $compress', ({ compress }) => {
  it('reads, writes, zeroes and hashes as a local one would', async () => {
    const bytes = content();
    await using serving = await serve(bytes, 'secret');
    const disk = await openDisk({ ...serving.address, compress });
    const text = Buffer.alloc(MIB, 'all work and no play makes a dull disk\n');
    await disk.write(3 * MIB, text);
    text.copy(bytes, 3 * MIB);
    await disk.zero(100_000, 700_000);
    bytes.fill(0, 100_000, 800_000);
    await disk.flush();
    const whole = Buffer.alloc(bytes.length);
    await disk.read(0, whole);
    expect(whole.equals(bytes)).toBe(true);
    expect((await readFile(serving.file)).equals(bytes)).toBe(true);
    const told = await disk.hashLeaves?.(LEAF_SIZE, bytes.length - LEAF_SIZE - 1_000);
    const leaves: Uint8Array[] = [];
    for (let at = LEAF_SIZE; at < bytes.length - 1_000; at += LEAF_SIZE) {
      leaves.push(digest(bytes.subarray(at, Math.min(at + LEAF_SIZE, bytes.length - 1_000))));
    }
    expect(Buffer.concat(leaves).equals(told ?? Buffer.alloc(0))).toBe(true);
    await disk.close();
  });

  it('answers many requests at once, each with its own bytes', async () => {
    const bytes = randomBytes(24 * MIB);
    bytes.fill(0x61, 0, 12 * MIB);
    await using serving = await serve(bytes, 'secret');
    const disk = await openDisk({ ...serving.address, compress });
    const reads = Array.from({ length: 300 }, async (_, n) => {
      const offset = (n * 977_777) % (bytes.length - 524_288);
      const into = Buffer.alloc(1 + ((n * 7_919) % 524_288));
      await disk.read(offset, into);
      return into.equals(bytes.subarray(offset, offset + into.length));
    });
    const hashes = Array.from({ length: 24 }, async (_, n) => {
      const told = await disk.hashLeaves?.(n * MIB, MIB);
      return Buffer.from(told ?? [])
        .subarray(0, 32)
        .equals(digest(bytes.subarray(n * MIB, n * MIB + LEAF_SIZE)));
    });
    expect((await Promise.all([...reads, ...hashes])).every((right) => right)).toBe(true);
    await disk.close();
  });

  it('fails with a typed error once the agent is gone, and stays so', async () => {
    await using serving = await serve(content(), 'secret');
    const disk = await openDisk({ ...serving.address, compress });
    await disk.write(0, Buffer.alloc(LEAF_SIZE, 1));
    await disk.hashLeaves?.(0, LEAF_SIZE);
    serving.cut();
    expect((await failure(disk.flush())).code).toBe('CONNECTION_FAILED');
    expect((await failure(disk.hashLeaves?.(0, LEAF_SIZE) ?? Promise.resolve())).code).toBe('CONNECTION_FAILED');
    await disk.close();
  });

  it('is refused without the right token, and a device that was not given is not found', async () => {
    await using serving = await serve(content(), 'secret');
    expect((await failure(openDisk({ ...serving.address, compress, device: 'vdb' }))).code).toBe('NOT_FOUND');
    const wrong = { ...serving.address, compress, tokenFile: join(serving.folder, 'wrong') };
    await writeFile(wrong.tokenFile, 'secreT\n');
    expect((await failure(openDisk(wrong))).code).toBe('AUTHENTICATION_FAILED');
  });

  it('refuses to write what was given for reading', async () => {
    await using serving = await serve(content(), 'secret', true);
    expect((await failure(openDisk({ ...serving.address, compress, readOnly: false }))).code).toBe('UNSUPPORTED');
    const disk = await openDisk({ ...serving.address, compress });
    expect((await failure(disk.write(0, Buffer.alloc(512)))).code).toBe('DISK_WRITE_FAILED');
    await disk.close();
  });

  it('gives up within two seconds when it is told to', async () => {
    await using serving = await serve(content(), 'secret');
    const disk = await openDisk({ ...serving.address, compress });
    const stop = new AbortController();
    const open = [
      ...Array.from({ length: 40 }, (_, n) => disk.read(n * LEAF_SIZE, Buffer.alloc(LEAF_SIZE), stop.signal)),
      disk.hashLeaves?.(0, 6 * MIB, stop.signal),
    ].map((promise) => failure(promise ?? Promise.resolve()));
    stop.abort();
    for (const error of await Promise.all(open)) expect(error.code).toBe('CANCELED');
    await disk.close();
  });
});
