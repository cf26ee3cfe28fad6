import { readdirSync } from 'node:fs';
import type { InstanceInfo } from '@godwit/domain';
import type { DeployRequest, TargetDisk } from '@godwit/provider';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { libvirtProvider } from '../src/index.ts';
import { type Lab, makeNetwork, openLab, run } from './lab.ts';
import { byteOf, fill, target } from './reading.ts';

const MIB = 1_048_576;
let lab: Lab;
/** The description of a running instance, as a source gives it. */
let instance: InstanceInfo;

beforeAll(async () => {
  lab = await openLab();
  const nic = (network: string, mac: string) =>
    `<interface type='network'><mac address='${mac}'/><source network='${network}'/><model type='e1000e'/></interface>`;
  await makeNetwork(lab.host, 'office');
  const domain = await lab.domain(
    'web01',
    [
      { id: 'vda', format: 'qcow2', size: 8 * MIB },
      { id: 'vdb', format: 'raw', size: 4 * MIB + 512 },
    ],
    nic('office', '52:54:00:12:34:56'),
  );
  await domain.powerOff();
  instance = await libvirtProvider.getInstance(lab.context(), 'web01', {});
});

afterAll(() => lab?.stop());

/** A request to deploy `web01` at the same host under another name. */
function deployment(key: string, disks: TargetDisk[], how: Partial<DeployRequest> = {}): DeployRequest {
  const environment = { name_suffix: `-${key}`, virtualization: 'emulation', ...how.environment };
  return {
    key,
    transfer: 'transfer-1',
    instance,
    networkMap: { office: 'lan' },
    storageMappings: {},
    disks,
    clone: false,
    test: false,
    powerOn: true,
    ...how,
    environment,
  };
}

async function replicas(key: string, disk_format = 'qcow2'): Promise<TargetDisk[]> {
  const request = deployment(key, [], { environment: { disk_format } });
  return target.createDisks(lab.context(), { ...request, key: `replica-${key}` }, []);
}

test.each(['qcow2', 'raw'])('a test instance keeps its moment while replication goes on (%s)', async (format) => {
  const ctx = lab.context();
  const disks = await replicas(`frozen-${format}`, format);
  const [vda] = disks as [TargetDisk];
  await fill(ctx, vda, 1, MIB, 128 * 1024);
  const request = deployment(`frozen-${format}`, disks, { test: true, clone: true });
  await target.snapshotDisks(ctx, request.key, disks);
  const deployed = await target.deployInstance(ctx, request);
  const info = await target.finalizeInstance(ctx, request, deployed);
  await target.deleteDiskSnapshots(ctx, request.key, disks);
  expect(info.running).toBe(true);
  expect(info.name).toMatch(/-test$/);
  // Replication goes on in the disk, and the test instance writes into its own.
  await fill(ctx, vda, 2, MIB, 64 * 1024);
  const device = '/machine/peripheral/virtio-disk0/virtio-backend';
  const said = await lab.host.virsh(
    'qemu-monitor-command',
    deployed.id,
    '--hmp',
    `qemu-io -d ${device} "write -P 3 3M 64k"`,
  );
  expect(said.trim()).toBe('');
  const read = (at: string, byte: number) =>
    lab.host.virsh('qemu-monitor-command', deployed.id, '--hmp', `qemu-io -d ${device} "read -P ${byte} ${at} 64k"`);
  expect((await read('1M', 1)).trim()).toBe('');
  expect((await read('1088k', 1)).trim()).toBe('');
  await lab.host.virsh('destroy', deployed.id);
  const clone = info.devices.disks[0]?.path ?? '';
  // What qemu-io reads must be the pattern: it fails otherwise, which the monitor does not tell.
  const verify = (image: string, ...commands: string[]) =>
    run('qemu-io', '-U', '-r', '-f', format, ...commands.flatMap((command) => ['-c', command]), image);
  expect(await verify(clone, 'read -P 1 1M 128k', 'read -P 3 3M 64k')).not.toMatch(/failed/);
  const replica = String(vda.handle.path);
  expect(await verify(replica, 'read -P 2 1M 64k', 'read -P 1 1088k 64k', 'read -P 0 3M 64k')).not.toMatch(/failed/);
  await target.removeInstance(ctx, deployed);
  expect(await verify(replica, 'read -P 2 1M 64k', 'read -P 1 1088k 64k', 'read -P 0 3M 64k')).not.toMatch(/failed/);
  await target.deleteDisks(ctx, disks);
  expect(readdirSync(lab.host.images).filter((name) => name.startsWith('godwit-'))).toEqual([]);
});

test('two test instances of different moments stand beside each other, and go in any order', async () => {
  const ctx = lab.context();
  const disks = await replicas('two');
  const [vda] = disks as [TargetDisk];
  const at = async (key: string, byte: number) => {
    await fill(ctx, vda, byte, 0, 64 * 1024);
    return target.deployInstance(ctx, deployment(key, disks, { test: true, clone: true }));
  };
  const first = await at('two-1', 1);
  const second = await at('two-2', 2);
  await fill(ctx, vda, 3, 0, 64 * 1024);
  const clone = (key: string) => `${vda.handle.path}.clone-${key}`;
  const holds = (image: string, byte: number) => run('qemu-io', '-r', '-c', `read -P ${byte} 0 64k`, image);
  expect(await holds(clone('two-1'), 1)).not.toMatch(/failed/);
  expect(await holds(clone('two-2'), 2)).not.toMatch(/failed/);
  await target.removeInstance(ctx, first);
  expect(await holds(clone('two-2'), 2)).not.toMatch(/failed/);
  expect(await byteOf(ctx, vda, 0)).toBe(3);
  await target.removeInstance(ctx, second);
  expect(await byteOf(ctx, vda, 0)).toBe(3);
  const info = await run('qemu-img', 'info', String(vda.handle.path));
  expect(info).not.toMatch(/backing file/);
  await target.deleteDisks(ctx, disks);
});

test('a clone that stays is whole by itself', async () => {
  const ctx = lab.context();
  const disks = await replicas('copy');
  const [vda] = disks as [TargetDisk];
  await fill(ctx, vda, 4, 0, 64 * 1024);
  const request = deployment('copy', disks, { clone: true });
  const deployed = await target.deployInstance(ctx, request);
  const info = await target.finalizeInstance(ctx, request, deployed);
  await target.deleteDisks(ctx, disks);
  const disk = info.devices.disks[0]?.path ?? '';
  expect(await run('qemu-io', '-U', '-r', '-c', 'read -P 4 0 64k', disk)).not.toMatch(/failed/);
  expect(await run('qemu-img', 'info', '-U', disk)).not.toMatch(/backing file/);
  await target.removeInstance(ctx, deployed);
});

test('an instance that takes the replica disks keeps them when the transfer forgets them', async () => {
  const ctx = lab.context();
  const disks = await replicas('own');
  const [vda] = disks as [TargetDisk];
  await fill(ctx, vda, 5, 0, 64 * 1024);
  const request = deployment('own', disks);
  const held = await target.snapshotDisks(ctx, request.key, disks);
  const deployed = await target.deployInstance(ctx, request);
  const info = await target.finalizeInstance(ctx, request, deployed);
  expect(info.running).toBe(true);
  // The instance runs from the disk: QEMU itself is asked to forget the snapshot.
  await target.deleteDiskSnapshots(ctx, request.key, held);
  expect(await run('qemu-img', 'snapshot', '-U', '-l', String(vda.handle.path))).not.toMatch(/godwit/);
  await expect(target.openDisks(ctx, [vda], false)).rejects.toMatchObject({ code: 'CONFLICT' });
  await target.deleteDisks(ctx, disks);
  const anew = await replicas('own');
  expect(anew[0]?.handle.path).not.toBe(vda.handle.path);
  await lab.host.virsh('destroy', deployed.id);
  expect(await run('qemu-io', '-r', '-c', 'read -P 5 0 64k', String(vda.handle.path))).not.toMatch(/failed/);
  await target.deleteDisks(ctx, anew);
  await target.removeInstance(ctx, deployed);
  await target.deleteDisks(ctx, disks);
  expect(readdirSync(lab.host.images).filter((name) => name.startsWith('godwit-'))).toEqual([]);
});

test('a failed deployment is undone and the disks are what they were', async () => {
  const ctx = lab.context();
  const disks = await replicas('undo');
  const [vda] = disks as [TargetDisk];
  await fill(ctx, vda, 6, 0, 64 * 1024);
  const request = deployment('undo', disks);
  const held = await target.snapshotDisks(ctx, request.key, disks);
  const deployed = await target.deployInstance(ctx, request);
  await target.finalizeInstance(ctx, request, deployed);
  const device = '/machine/peripheral/virtio-disk0/virtio-backend';
  await lab.host.virsh('qemu-monitor-command', deployed.id, '--hmp', `qemu-io -d ${device} "write -P 9 0 64k"`);
  await target.removeInstance(ctx, deployed);
  const restored = await target.restoreDisks(ctx, request.key, held);
  expect(await byteOf(ctx, vda, 0)).toBe(6);
  await target.deleteDiskSnapshots(ctx, request.key, restored);
  await target.deleteDisks(ctx, disks);
});

test('the deployed machine has the CPUs, memory, MAC, NIC model and boot order of the source, and the mapped network', async () => {
  const ctx = lab.context();
  const disks = await replicas('machine');
  const request = deployment('machine', disks, { powerOn: false });
  const deployed = await target.deployInstance(ctx, request);
  const info = await target.finalizeInstance(ctx, request, deployed);
  expect(info).toMatchObject({
    name: 'web01-machine',
    num_cpu: instance.num_cpu,
    memory_mb: instance.memory_mb,
    firmware_type: 'BIOS',
    running: false,
    machine_type: instance.machine_type,
    boot_order: ['vda'],
  });
  expect(info.devices.nics).toMatchObject([{ mac_address: '52:54:00:12:34:56', network_name: 'lan', model: 'e1000e' }]);
  expect(info.devices.disks.map(({ id, bus, format }) => [id, bus, format])).toEqual([
    ['vda', 'virtio', 'qcow2'],
    ['vdb', 'virtio', 'qcow2'],
  ]);
  await target.removeInstance(ctx, deployed);
  await target.deleteDisks(ctx, disks);
});

test('a test instance is connected to nothing but its own isolated network, with the MAC of the source', async () => {
  const ctx = lab.context();
  const disks = await replicas('isolated');
  const request = deployment('isolated', disks, { test: true, clone: true, powerOn: false });
  const deployed = await target.deployInstance(ctx, request);
  const info = await target.finalizeInstance(ctx, request, deployed);
  expect(info.devices.nics).toMatchObject([{ mac_address: '52:54:00:12:34:56', network_name: 'godwit-isolated' }]);
  const network = await lab.host.virsh('net-dumpxml', 'godwit-isolated');
  expect(network).not.toMatch(/<forward|<ip /);
  await target.removeInstance(ctx, deployed);
  expect(await lab.host.virsh('net-list', '--all', '--name')).not.toMatch(/godwit/);
  await target.deleteDisks(ctx, disks);
});

test('an EFI instance brings the variables of its firmware along', async () => {
  const ctx = lab.context();
  const efi = structuredClone(instance);
  efi.firmware_type = 'EFI';
  efi.machine_type = 'q35';
  efi.devices.nics = [];
  const { gzipSync } = await import('node:zlib');
  const { readFileSync, existsSync } = await import('node:fs');
  const template = ['/usr/share/OVMF/OVMF_VARS_4M.fd', '/usr/share/OVMF/OVMF_VARS.fd'].find((file) =>
    existsSync(file),
  )!;
  const variables = readFileSync(template);
  variables.write('marked by the test', variables.length - 64);
  efi.artefacts = { 'application/x-nvram+gzip;base64': gzipSync(variables).toString('base64') };
  const disks = await replicas('efi');
  const request = deployment('efi', disks, { instance: efi });
  const deployed = await target.deployInstance(ctx, request);
  const info = await target.finalizeInstance(ctx, request, deployed);
  expect(info).toMatchObject({ firmware_type: 'EFI', running: true });
  expect(info.artefacts?.['application/x-nvram+gzip;base64']).toBeDefined();
  const file = `${lab.host.images}/godwit-efi-nvram.fd`;
  expect(readFileSync(file).includes('marked by the test')).toBe(true);
  await target.removeInstance(ctx, deployed);
  expect(existsSync(file)).toBe(false);
  await target.deleteDisks(ctx, disks);
});

test('what does not fit the host is refused before anything is made', async () => {
  const ctx = lab.context();
  const validate = (how: Partial<DeployRequest>) => target.validate(ctx, deployment('fit', [], how));
  await validate({});
  await expect(validate({ networkMap: {} })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await expect(validate({ networkMap: { office: 'nowhere' } })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await expect(validate({ environment: { storage: 'nowhere' } })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await expect(validate({ environment: { storage: '/no/such/folder' } })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  });
  await expect(validate({ environment: { name_suffix: '' } })).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(validate({ environment: { no_such_option: 1 } })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
});
