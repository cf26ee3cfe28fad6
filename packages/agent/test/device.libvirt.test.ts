import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, symlinkSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { Device } from '../src/minion/device.ts';
import { RefusedError } from '../src/minion/refused.ts';
import { Slots } from '../src/minion/slots.ts';

const exec = promisify(execFile);
const MIB = 1_048_576;
const undo: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A block device over a file of 8 MiB. */
async function loopDevice(): Promise<{ path: string; file: string; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'gwal-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'backing');
  await writeFile(file, randomBytes(8 * MIB));
  const { stdout } = await exec('losetup', ['--find', '--show', file]);
  const path = stdout.trim();
  undo.push(() => exec('losetup', ['--detach', path]));
  return { path, file, folder };
}

async function openDevice(path: string, readOnly = false): Promise<Device> {
  const device = await Device.open({ id: 'vda', path, readOnly }, false, 0);
  undo.push(() => device.close());
  return device;
}

async function refusal(promise: Promise<unknown>): Promise<RefusedError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof RefusedError)) throw new Error(`no refusal but ${String(error)}`);
  return error;
}

describe('a block device', () => {
  it('is read and written past the page cache', async () => {
    const { path, file } = await loopDevice();
    const device = await openDevice(path);
    expect([device.size, device.block]).toEqual([8 * MIB, 512]);
    const slot = await new Slots(MIB, 2).take();
    // What a buffered reader finds now stays in memory.
    await readFile(path);
    const changed = Buffer.alloc(MIB, 0x5a);
    const under = await open(file, 'r+');
    await under.write(changed, 0, MIB, 2 * MIB);
    await under.sync();
    await under.close();
    await device.read(2 * MIB, slot);
    expect(slot.equals(changed)).toBe(true);
    slot.fill(0xa5);
    await device.write(4 * MIB, slot);
    await device.flush();
    expect((await readFile(file)).subarray(4 * MIB, 5 * MIB).equals(Buffer.alloc(MIB, 0xa5))).toBe(true);
  });

  it('is found through links, wherever they lead from', async () => {
    const { path, folder } = await loopDevice();
    const link = join(folder, 'link');
    symlinkSync(path, link);
    expect((await openDevice(link)).path).toBe(path);
  });

  it('that is mounted is not written, but may be read', async () => {
    const { path, folder } = await loopDevice();
    await exec('mke2fs', ['-q', '-F', path]);
    const mount = join(folder, 'mnt');
    mkdirSync(mount);
    await exec('mount', [path, mount]);
    undo.push(() => exec('umount', [mount]));
    const refused = await refusal(openDevice(path));
    expect(refused.code).toBe('CONFLICT');
    expect(refused.message).toContain('mounted');
    expect((await openDevice(path, true)).readOnly).toBe(true);
  });

  it('belongs to one writer until that one lets go', async () => {
    const { path } = await loopDevice();
    const first = await Device.open({ id: 'vda', path, readOnly: false }, false, 0);
    expect((await refusal(openDevice(path))).code).toBe('CONFLICT');
    await first.close();
    expect((await openDevice(path)).size).toBe(8 * MIB);
  });
});
