import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDisk } from '@godwit/disk';
import type { InstanceInfo } from '@godwit/domain';
import type { DeployRequest, Ledger, TargetDisk, TargetRequest } from '@godwit/provider';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { takeLease } from '../src/lease.ts';
import { Folder } from './folder.ts';
import { readAll } from './reading.ts';

const MIB = 1_048_576;
const target = imageProvider.target!;
let folder: Folder;

beforeEach(async () => {
  folder = await Folder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

const instance: InstanceInfo = {
  id: 'vm-17',
  name: 'web 01/å',
  num_cpu: 2,
  memory_mb: 512,
  os_type: 'linux',
  firmware_type: 'EFI',
  running: true,
  secure_boot: true,
  nested_virtualization: false,
  dynamic_memory_enabled: false,
  hostname: 'web01',
  boot_order: ['sda', 'nic0'],
  devices: {
    disks: [
      { id: 'sda', size_bytes: 2 * MIB, format: 'qcow2', bus: 'scsi' },
      { id: 'vda', size_bytes: 3 * MIB + 512, format: 'raw', bus: 'virtio' },
      { id: '[ds 1] web/disk&2.vmdk', size_bytes: MIB, format: 'vmdk', bus: 'ide' },
    ],
    nics: [
      { id: 'nic0', network_name: 'VM <Network>', mac_address: '52:54:00:00:00:01', model: 'virtio' },
      { id: 'nic1', network_id: 'net-2', network_name: 'storage', mac_address: null, model: null },
    ],
    cdroms: [],
    serial_ports: [],
    floppies: [],
    controllers: [],
  },
};

function request(format = 'raw'): TargetRequest {
  return {
    key: 'exec-1',
    transfer: 'transfer-1',
    instance,
    environment: { disk_format: format },
    networkMap: { 'VM <Network>': 'lan & more', 'net-2': 'san' },
    storageMappings: { default: 'folder' },
  };
}

function deployment(disks: TargetDisk[], how: Partial<DeployRequest> = {}): DeployRequest {
  return { ...request(), key: 'deploy-1', disks, clone: false, test: false, powerOn: true, ...how };
}

async function fill(disks: TargetDisk[], byte: number): Promise<void> {
  const opened = await target.openDisks(folder.context(), disks, false);
  for (const { id, size } of disks) {
    const disk = await openDisk(opened.addresses[id]!);
    await disk.write(0, new Uint8Array(size).fill(byte));
    await disk.flush();
    await disk.close();
  }
  await opened.close();
}

test('executions that begin in the same moment are not in each other’s way', async () => {
  const ctx = folder.context();
  await Promise.all(Array.from({ length: 100 }, () => target.validate(ctx, request())));
  expect(await readdir(folder.path)).toEqual([]);
});

test('a probe that a killed worker left goes with the next look, one under way does not', async () => {
  const left = join(folder.path, '.godwit-probe-left');
  await writeFile(left, '');
  await utimes(left, 1, 1);
  await writeFile(join(folder.path, '.godwit-probe-fresh'), '');
  for (const name of ['.godwit-probe-full', '.godwit-probe-folder/x']) {
    await mkdir(join(folder.path, name, '..'), { recursive: true });
    await writeFile(join(folder.path, name), 'not ours');
    await utimes(join(folder.path, name), 1, 1);
  }
  await utimes(join(folder.path, '.godwit-probe-folder'), 1, 1);
  await target.validate(folder.context(), request());
  expect((await readdir(folder.path)).sort()).toEqual([
    '.godwit-probe-folder',
    '.godwit-probe-fresh',
    '.godwit-probe-full',
  ]);
});

describe.each(['raw', 'qcow2'])('%s replica disks', (format) => {
  test('become an instance that this provider reads back as it was meant', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(format), []);
    await fill(disks, 0x61);
    const deployed = await target.deployInstance(ctx, deployment(disks));
    const info = await target.finalizeInstance(ctx, deployment(disks), deployed);
    expect(folder.messages.at(-1)).toMatch(/cannot boot/);
    expect(info).toMatchObject({
      id: 'web_01_',
      name: 'web 01/å',
      num_cpu: 2,
      memory_mb: 512,
      firmware_type: 'EFI',
      secure_boot: true,
      running: false,
    });
    expect(info.devices.nics.map(({ network_name, mac_address }) => [network_name, mac_address])).toEqual([
      ['lan & more', '52:54:00:00:00:01'],
      ['san', null],
    ]);
    expect(info.devices.disks.map(({ id, size_bytes, bus }) => [id, size_bytes, bus])).toEqual([
      ['sda', 2 * MIB, 'scsi'],
      ['vda', 3 * MIB + 512, 'virtio'],
      ['hda', MIB, 'ide'],
    ]);
    expect(info.boot_order).toEqual(['sda']);
    const read = await readAll(folder, 'web_01_');
    for (const bytes of Object.values(read)) expect(bytes.every((byte) => byte === 0x61)).toBe(true);

    // The OVF alone says the same.
    await rm(folder.at('web_01_', 'web_01_.xml'));
    const byOvf = await imageProvider.getInstance(ctx, 'web_01_', {});
    expect(byOvf).toMatchObject({
      name: 'web 01/å',
      num_cpu: 2,
      memory_mb: 512,
      firmware_type: 'EFI',
      os_type: 'linux',
    });
    expect(byOvf.devices.disks.map(({ size_bytes }) => size_bytes).sort()).toEqual([MIB, 2 * MIB, 3 * MIB + 512]);
    expect(byOvf.devices.nics.map(({ network_name }) => network_name)).toEqual(['lan & more', 'san']);
  });

  test('that an instance took are refused to a new execution, and come back when it is removed', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(format), []);
    await fill(disks, 0x62);
    const deployed = await target.deployInstance(ctx, deployment(disks));
    const refusal = { code: 'CONFLICT', message: expect.stringMatching(/handed over .*web_01_\//) };
    await expect(target.createDisks(ctx, request(format), disks)).rejects.toMatchObject(refusal);
    await expect(target.openDisks(ctx, disks, false)).rejects.toMatchObject(refusal);
    await target.removeInstance(ctx, deployed);
    const opened = await target.openDisks(ctx, disks, true);
    const disk = await openDisk(opened.addresses.sda!);
    const bytes = new Uint8Array(2 * MIB);
    await disk.read(0, bytes);
    await disk.close();
    await opened.close();
    expect(bytes.every((byte) => byte === 0x62)).toBe(true);
    await target.deleteDisks(ctx, disks);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test('whose deployment was cut off half-way are deployed by the second call', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(format), []);
    await fill(disks, 0x63);
    const deployed = await target.deployInstance(ctx, deployment(disks));
    // As it was before the last rename, and one disk not yet moved.
    await mkdir(folder.at('.godwit', 'building'));
    await rename(folder.at('web_01_'), folder.at('.godwit', 'building', 'deploy-1'));
    const replica = String(disks[0]!.handle.path);
    await rename(folder.at('.godwit', 'building', 'deploy-1', `sda.${format}`), folder.at(replica));
    expect(await target.deployInstance(ctx, deployment(disks))).toEqual(deployed);
    const read = await readAll(folder, 'web_01_');
    for (const bytes of Object.values(read)) expect(bytes.every((byte) => byte === 0x63)).toBe(true);
  });

  test('are restored from a deployment that nobody can say how far it came', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(format), []);
    await fill(disks, 0x65);
    await target.snapshotDisks(ctx, 'deploy-1', disks);
    await target.deployInstance(ctx, deployment(disks));
    await mkdir(folder.at('.godwit', 'building'));
    await rename(folder.at('web_01_'), folder.at('.godwit', 'building', 'deploy-1'));
    await rename(
      folder.at('.godwit', 'building', 'deploy-1', `sda.${format}`),
      folder.at(String(disks[0]!.handle.path)),
    );
    await target.restoreDisks(ctx, 'deploy-1', disks);
    await target.deleteDiskSnapshots(ctx, 'deploy-1', disks);
    const entry = {
      id: '1',
      kind: 'instance' as const,
      name: 'web_01_',
      handle: { folder: 'web_01_', key: 'deploy-1' },
    };
    await imageProvider.remove(ctx, entry);
    expect(await readdir(folder.at('.godwit'))).toEqual(['replicas']);
    const again = await target.deployInstance(ctx, deployment(disks, { key: 'deploy-2' }));
    const read = await readAll(folder, again.id);
    for (const bytes of Object.values(read)) expect(bytes.every((byte) => byte === 0x65)).toBe(true);
  });

  test('that were handed over for good make room for new ones, and go with their instance', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(format), []);
    await fill(disks, 0x66);
    for (const { handle } of disks) {
      // What a worker leaves that is killed while it takes a lease.
      await writeFile(`${join(folder.path, String(handle.path))}.lease.0d79d849-bc36-4cbb-85fc-12b34fa9c882`, '{');
    }
    await target.snapshotDisks(ctx, 'deploy-1', disks);
    const deployed = await target.deployInstance(ctx, deployment(disks));
    await target.finalizeInstance(ctx, deployment(disks), deployed);
    await target.deleteDiskSnapshots(ctx, 'deploy-1', disks);
    expect(await readdir(folder.path)).toEqual(['web_01_']);
    const fresh = await target.createDisks(ctx, request(format), []);
    expect(fresh).toEqual(disks.map((disk) => ({ ...disk, zeroed: true })));
    await target.removeInstance(ctx, deployed);
    await fill(fresh, 0x67);
    expect(await readdir(folder.path)).toEqual(['.godwit']);
  });

  test('are not replaced by the empty ones of a worker that stood still since it announced them', async () => {
    const ctx = folder.context();
    const ledger: Ledger = {
      made: (id) => ctx.ledger.made(id),
      removed: (kind, name) => ctx.ledger.removed(kind, name),
      intend: async (...announced) => {
        const entry = await ctx.ledger.intend(...announced);
        if ((await readdir(folder.path, { recursive: true })).some((name) => name.endsWith(format))) return entry;
        await fill(await target.createDisks(ctx, request(format), []), 0x68);
        return entry;
      },
    };
    const disks = await target.createDisks({ ...ctx, ledger }, request(format), []);
    expect(disks.map(({ size, zeroed }) => [size, zeroed])).toEqual([
      [2 * MIB, false],
      [3 * MIB + 512, false],
      [MIB, false],
    ]);
    const deployed = await target.deployInstance(ctx, deployment(disks));
    const read = await readAll(folder, deployed.id);
    for (const bytes of Object.values(read)) expect(bytes.every((byte) => byte === 0x68)).toBe(true);
  });

  test('shut out a worker that was killed, and wait for one that is merely stopped', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(format), []);
    const job = JSON.stringify({ path: folder.path, workDir: folder.workDir, disk: disks[0] });
    const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'writer.fixture.ts'), job], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    try {
      await once(child.stdout!, 'data');
      child.kill('SIGSTOP');
      // Of the passing kind: whoever takes the work over waits for it, and no execution fails.
      const refusal = { code: 'DISK_BUSY', kind: 'retryable' };
      await expect(target.openDisks(ctx, disks.slice(0, 1), false)).rejects.toMatchObject(refusal);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    await fill(disks, 0x64);
    const deployed = await target.deployInstance(ctx, deployment(disks));
    const read = await readAll(folder, deployed.id);
    for (const bytes of Object.values(read)) expect(bytes.every((byte) => byte === 0x64)).toBe(true);
  });
});

describe('a folder as a target', () => {
  test('writes its disks sparse', async () => {
    const disks = await target.createDisks(folder.context(), request(), []);
    for (const { handle } of disks) expect((await stat(folder.at(String(handle.path)))).blocks).toBe(0);
  });

  test('refuses a name that is taken by something else', async () => {
    const ctx = folder.context();
    await writeFile(folder.at('web_01_'), 'mine');
    await expect(target.validate(ctx, request())).rejects.toMatchObject({ code: 'CONFLICT' });
    const disks = await target.createDisks(ctx, request(), []);
    await expect(target.deployInstance(ctx, deployment(disks))).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await readFile(folder.at('web_01_'), 'utf8')).toBe('mine');
  });

  test('keeps a second test of the same instance apart from the first', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(), []);
    const tests = ['deploy-1', 'deploy-2'].map((key) => deployment(disks, { key, test: true, clone: true }));
    const made = [await target.deployInstance(ctx, tests[0]!), await target.deployInstance(ctx, tests[1]!)];
    expect(made.map(({ id }) => id)).toEqual(['web_01_-test', 'web_01_-deploy-2-test']);
    const info = await imageProvider.getInstance(ctx, 'web_01_-test', {});
    expect(info.devices.nics.map(({ network_name }) => network_name)).toEqual(['godwit-isolated', 'godwit-isolated']);
    await target.removeInstance(ctx, made[0]!);
    expect((await readdir(folder.path)).sort()).toEqual(['.godwit', 'web_01_-deploy-2-test']);
  });

  test('says that a replica disk somebody deleted is gone, instead of making an empty one', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(), []);
    await rm(folder.at(String(disks[1]!.handle.path)));
    await expect(target.createDisks(ctx, request(), disks)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/gone/),
    });
  });

  test('lets a raw disk grow when nobody else may write to it', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(), []);
    const file = folder.at(String(disks[0]!.handle.path));
    const grown = structuredClone(request());
    grown.instance.devices.disks[0]!.size_bytes = 4 * MIB;
    const lease = await takeLease(file, 'replica disk', ctx.signal);
    await expect(target.createDisks(ctx, grown, disks)).rejects.toMatchObject({ code: 'DISK_BUSY' });
    expect((await stat(file)).size).toBe(2 * MIB);
    await lease.release();
    expect((await target.createDisks(ctx, grown, disks))[0]).toMatchObject({ size: 4 * MIB });
    expect((await stat(file)).size).toBe(4 * MIB);
  });

  test('says that a replica disk was cut short, instead of growing it with zeroes', async () => {
    const ctx = folder.context();
    const disks = await target.createDisks(ctx, request(), []);
    await fill(disks, 0x61);
    await truncate(folder.at(String(disks[0]!.handle.path)), MIB);
    await expect(target.createDisks(ctx, request(), disks)).rejects.toMatchObject({
      code: 'TARGET_TOO_SMALL',
      details: { needed: 2 * MIB, available: MIB },
    });
  });

  test('refuses handles that lead outside', async () => {
    const ctx = folder.context();
    await writeFile(folder.at('..', 'x.raw'), 'mine');
    const outside = { id: 'vda', size: 4, zeroed: false, handle: { path: '../x.raw', format: 'raw', key: 'exec-1' } };
    await expect(target.openDisks(ctx, [outside], false)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(target.deleteDisks(ctx, [outside])).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await readFile(folder.at('..', 'x.raw'), 'utf8')).toBe('mine');
  });
});
