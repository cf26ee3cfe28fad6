import { execFile } from 'node:child_process';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder, ovf } from './folder.ts';
import { diskBytes, readAll } from './reading.ts';

const run = promisify(execFile);
const MIB = 1_048_576;
const size = 3 * MIB;
let folder: Folder;
let bytes: Uint8Array;

beforeEach(async () => {
  folder = await Folder.make();
  bytes = diskBytes(size);
});
afterEach(() => folder[Symbol.asyncDispose]());

/** The disk in the format, under a name, with its raw origin taken away. */
async function put(name: string, format: string, options?: string): Promise<void> {
  const raw = await folder.raw('origin.tmp', size, 0, bytes);
  await folder.convert(raw, name, format, options);
  await rm(raw);
}

function equal(seen: Uint8Array | undefined, length = size): boolean {
  return seen !== undefined && Buffer.compare(seen.subarray(0, length), bytes) === 0;
}

describe('a bare disk file is a VM', () => {
  const cases = [
    { name: 'vm.raw', format: 'raw' },
    { name: 'vm.img', format: 'raw' },
    { name: 'cloud.img', format: 'qcow2', kind: 'qcow2' },
    { name: 'vm.qcow2', format: 'qcow2' },
    { name: 'sparse.vmdk', format: 'vmdk', options: 'subformat=monolithicSparse' },
    { name: 'flat.vmdk', format: 'vmdk', options: 'subformat=monolithicFlat' },
    { name: 'split.vmdk', format: 'vmdk', options: 'subformat=twoGbMaxExtentSparse' },
    { name: 'stream.vmdk', format: 'vmdk', options: 'subformat=streamOptimized' },
    { name: 'vm.vhdx', format: 'vhdx' },
    { name: 'dynamic.vhd', format: 'vpc', options: 'subformat=dynamic,force_size=on' },
    { name: 'fixed.vhd', format: 'vpc', options: 'subformat=fixed,force_size=on' },
  ];
  test.each(cases)('$name', async ({ name, format, options }) => {
    await put(name, format, options);
    const list = await imageProvider.listInstances(folder.context(), { environment: {} });
    expect(list.map(({ id }) => id)).toEqual([name]);
    const info = await imageProvider.getInstance(folder.context(), name, { num_cpu: 4, memory_mb: 512 });
    expect(info).toMatchObject({
      num_cpu: 4,
      memory_mb: 512,
      devices: { disks: [{ id: name, format, size_bytes: size }] },
    });
    await imageProvider.source!.validate(folder.context(), name, {});
    for (const freeze of ['watch', 'copy']) expect(equal((await readAll(folder, name, { freeze }))[name])).toBe(true);
  });

  test('an odd-sized raw disk is read to its last byte', async () => {
    bytes = diskBytes(MIB + 333);
    await folder.raw('odd.raw', MIB + 333, 0, bytes);
    expect(equal((await readAll(folder, 'odd.raw'))['odd.raw'], MIB + 333)).toBe(true);
  });

  test('a VHD of a maker that qemu does not know keeps its end', async () => {
    await put('vbox.vhd', 'vpc', 'subformat=fixed,force_size=on');
    const file = await open(folder.at('vbox.vhd'), 'r+');
    const foot = Buffer.alloc(512);
    await file.read(foot, 0, 512, size);
    foot.write('vbox', 28, 'latin1');
    // Cylinders, heads and sectors that stand for less than the disk.
    foot.writeUInt16BE(80, 56);
    foot[58] = 4;
    foot[59] = 17;
    foot.writeUInt32BE(0, 64);
    const sum = foot.reduce((total, byte) => total + byte, 0);
    foot.writeUInt32BE(~sum >>> 0, 64);
    await file.write(foot, 0, 512, size);
    await file.close();
    expect(equal((await readAll(folder, 'vbox.vhd'))['vbox.vhd'])).toBe(true);
  });

  test('a qcow2 chain within the folder is one VM', async () => {
    await put('base.qcow2', 'qcow2');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', folder.at('top.qcow2')]);
    const list = await imageProvider.listInstances(folder.context(), { environment: {} });
    expect(list.map(({ id }) => id)).toEqual(['top.qcow2']);
    for (const freeze of ['watch', 'copy']) {
      expect(equal((await readAll(folder, 'top.qcow2', { freeze }))['top.qcow2'])).toBe(true);
    }
  });
});

describe('an OVA', () => {
  test('with streamOptimized disks is read in place', async () => {
    await put('web-disk1.vmdk', 'vmdk', 'subformat=streamOptimized');
    await put('web-disk2.vmdk', 'vmdk', 'subformat=streamOptimized');
    const disks = [1, 2].map((n) => ({ id: `vmdisk${n}`, href: `web-disk${n}.vmdk`, capacity: size }));
    await folder.write('web.ovf', ovf('web01', disks));
    const mf = [
      `SHA256(web.ovf)= ${await folder.sha256('web.ovf')}`,
      `SHA256(web-disk1.vmdk)= ${await folder.sha256('web-disk1.vmdk')}`,
    ];
    await folder.write('web.mf', mf.join('\n'));
    await folder.ova('web.ova', ['web.ovf', 'web.mf', 'web-disk1.vmdk', 'web-disk2.vmdk']);
    for (const name of ['web.ovf', 'web.mf', 'web-disk1.vmdk', 'web-disk2.vmdk']) await rm(folder.at(name));

    const ctx = folder.context();
    expect(await imageProvider.listInstances(ctx, { environment: {} })).toEqual([
      { id: 'web.ova', name: 'web01', num_cpu: 2, memory_mb: 2048, os_type: 'linux', firmware_type: 'EFI' },
    ]);
    const info = await imageProvider.getInstance(ctx, 'web01', {});
    expect(info.devices.disks.map(({ id, bus, format }) => [id, bus, format])).toEqual([
      ['vmdisk1', 'scsi', 'vmdk'],
      ['vmdisk2', 'scsi', 'vmdk'],
    ]);
    expect(info.devices.nics).toEqual([
      { id: '30', name: null, network_name: 'VM Network', mac_address: '00:50:56:aa:bb:01', model: 'vmxnet3' },
    ]);
    expect(await imageProvider.listNetworks!(ctx, {})).toEqual([{ id: 'VM Network', name: 'VM Network' }]);
    await imageProvider.source!.validate(ctx, 'web.ova', {});
    for (const freeze of ['watch', 'copy']) {
      const read = await readAll(folder, 'web.ova', { freeze });
      expect(Object.values(read).map((disk) => equal(disk))).toEqual([true, true]);
    }
  });

  test('with a raw disk of odd size is read to its last byte', async () => {
    bytes = diskBytes(MIB + 100);
    await folder.raw('d.raw', MIB + 100, 0, bytes);
    await folder.write('a.ovf', ovf('a', [{ id: 'd', href: 'd.raw', capacity: MIB + 100, format: 'urn:raw' }]));
    await folder.ova('a.ova', ['a.ovf', 'd.raw']);
    expect(equal((await readAll(folder, 'a.ova')).d, MIB + 100)).toBe(true);
  });
});

describe('an OVF', () => {
  test('in a folder claims its disks, packed and blank ones too', async () => {
    await run('mkdir', [folder.at('web')]);
    await put('web/one.vmdk', 'vmdk', 'subformat=streamOptimized');
    await put('web/two.qcow2', 'qcow2');
    await writeFile(folder.at('web/two.gz'), gzipSync(await readFile(folder.at('web/two.qcow2'))));
    await rm(folder.at('web/two.qcow2'));
    const disks = [
      { id: 'one', href: 'one.vmdk', capacity: size },
      { id: 'two', href: 'two.gz', capacity: size, compression: 'gzip', format: 'http://example.org/qcow2' },
      { id: 'blank', capacity: 2 * MIB },
    ];
    await folder.write('web/web.ovf', ovf('web01', disks));
    const list = await imageProvider.listInstances(folder.context(), { environment: {} });
    expect(list.map(({ id, name }) => [id, name])).toEqual([['web', 'web01']]);
    for (const freeze of ['watch', 'copy']) {
      const read = await readAll(folder, 'web', { freeze });
      expect(equal(read.one)).toBe(true);
      expect(equal(read.two)).toBe(true);
      expect(read.blank?.length).toBe(2 * MIB);
      expect(read.blank?.every((byte) => byte === 0)).toBe(true);
    }
  });

  test('whose manifest does not fit is refused before a byte is copied', async () => {
    await put('d.vmdk', 'vmdk', 'subformat=streamOptimized');
    await folder.write('a.ovf', ovf('a', [{ id: 'd', href: 'd.vmdk', capacity: size }]));
    await folder.write('a.mf', `SHA256(d.vmdk)= ${'0'.repeat(64)}`);
    await expect(readAll(folder, 'a.ovf')).rejects.toMatchObject({
      code: 'DISK_CORRUPT',
      object: 'd.vmdk of VM a.ovf',
    });
    expect(equal((await readAll(folder, 'a.ovf', { check_manifest: false })).d)).toBe(true);
  });
});

describe('a domain XML', () => {
  test('describes the files beside it, whatever folder it names', async () => {
    await run('mkdir', [folder.at('db')]);
    await put('db/root.qcow2', 'qcow2');
    await folder.raw('db/data.img', size, 0, bytes);
    await folder.write(
      'db/db.xml',
      `<domain type='kvm'><name>db01</name><memory unit='KiB'>3145728</memory><vcpu>3</vcpu>
       <os firmware='efi'><type machine='q35'>hvm</type><boot dev='hd'/></os>
       <metadata><libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0"><libosinfo:os id="http://debian.org/debian/12"/></libosinfo:libosinfo></metadata>
       <devices>
        <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/root.qcow2'/><target dev='vda' bus='virtio'/></disk>
        <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/srv/data.img'/><target dev='sda' bus='scsi'/><boot order='1'/></disk>
        <disk type='file' device='cdrom'><source file='/iso/x.iso'/><target dev='sdb' bus='sata'/></disk>
        <interface type='bridge'><mac address='52:54:00:11:22:33'/><source bridge='br0'/><model type='virtio'/></interface>
       </devices></domain>`,
    );
    const info = await imageProvider.getInstance(folder.context(), 'db', {});
    expect(info).toMatchObject({
      name: 'db01',
      num_cpu: 3,
      memory_mb: 3072,
      os_type: 'linux',
      firmware_type: 'EFI',
      machine_type: 'q35',
      boot_order: ['sda'],
    });
    expect(info.devices.disks.map(({ id, format, bus }) => [id, format, bus])).toEqual([
      ['vda', 'qcow2', 'virtio'],
      ['sda', 'raw', 'scsi'],
    ]);
    expect(info.devices.nics[0]).toMatchObject({ network_name: 'br0', mac_address: '52:54:00:11:22:33' });
    const read = await readAll(folder, 'db01');
    expect([equal(read.vda), equal(read.sda)]).toEqual([true, true]);
  });
});
