import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ConformanceSubject, SubjectInstance } from '@godwit/provider/conformance';
import { bootGuest, createVolume, serverIs } from './cloud-guest.ts';
import type { Cloud } from './clouds.ts';
import { volumeFile } from './disk-files.ts';
import { listCloud } from './listing.ts';
import { connectionOf } from './migrating.ts';
import type { Tenant } from './tenant.ts';

const MiB = 1_048_576;
const LENGTH = 131_072;

/** A stopped instance of two volumes in a tenant's project, and what lies beside it. */
export function cloudSubject(cloud: Cloud, tenant: Tenant, foreignVolume: string): ConformanceSubject {
  const foreign = { kind: 'volume', volume: foreignVolume, key: 'check', transfer: 'check', environment: {} };
  return {
    makeInstance: () => makeInstance(cloud, tenant),
    listEverything: async () => {
      const lines = await listCloud(cloud, { project: tenant.projectId, users: [tenant.credentials] });
      // What it is and its name: the state of an instance's volumes is not ours.
      return lines.map((line) => line.split(' | ').slice(0, 3).join(' | '));
    },
    wrongCredentials: async () => ({ ...connection(tenant), password: 'not-this-one' }),
    unreachable: async () => ({ ...connection(tenant), auth_url: 'http://127.0.0.1:9/v3' }),
    unowned: async () => [
      { id: 'a', kind: 'disk', name: 'foreign', handle: foreign },
      { id: 'b', kind: 'disk_snapshot', name: 'foreign', handle: { key: 'check', volume: foreignVolume } },
      { id: 'c', kind: 'export', name: 'godwit-m-check', handle: { key: 'check' } },
      { id: 'd', kind: 'snapshot', name: 'godwit-check', handle: { key: 'check', server: 'none', paused: false } },
      { id: 'e', kind: 'network', name: tenant.network.name, handle: { key: 'check' } },
      {
        id: 'f',
        kind: 'instance',
        name: 'godwit-check',
        handle: {
          key: 'check',
          test: false,
          own: true,
          replicas: [{ id: 'root', handle: foreign }],
          volumes: [foreignVolume],
          ports: [],
        },
      },
    ],
  };
}

function connection(tenant: Tenant): Record<string, string> {
  return connectionOf(tenant.credentials);
}

/** Another instance, for lists: its disk is empty, so it costs nothing. */
async function makeNeighbour({ api, network }: Tenant): Promise<void> {
  const uuid = await createVolume(api, 'subject-too', 1);
  await api.call('volumev3', 'POST', `/volumes/${uuid}/action`, { 'os-set_bootable': { bootable: true } });
  const flavors = await api.list<{ id: string; name: string }>('compute', '/flavors', 'flavors');
  const disk = { boot_index: 0, uuid, source_type: 'volume', destination_type: 'volume', delete_on_termination: false };
  const { id } = await api.one<{ id: string }>('compute', 'POST', '/servers', 'server', {
    server: {
      name: 'subject-too',
      flavorRef: flavors.find(({ name }) => name === 'm1.nano')?.id,
      networks: [{ uuid: network.id }],
      block_device_mapping_v2: [disk],
    },
  });
  await serverIs(api, id, 'ACTIVE');
}

async function makeInstance(cloud: Cloud, tenant: Tenant): Promise<SubjectInstance> {
  await makeNeighbour(tenant);
  const guest = await bootGuest(tenant, { name: 'subject', fromVolume: true, volumes: [1] });
  await tenant.api.call('compute', 'POST', `/servers/${guest.id}/action`, { 'os-stop': null });
  await serverIs(tenant.api, guest.id, 'SHUTOFF');
  const [root = '', data = ''] = [guest.bootVolume, ...guest.volumes];
  const start = read(cloud, root, 0, LENGTH);
  const bytes = randomBytes(LENGTH);
  write(cloud, data, MiB, bytes);
  return {
    id: guest.id,
    name: guest.name,
    disks: [
      { id: root, size: 1024 * MiB, known: { offset: 0, bytes: start } },
      { id: data, size: 1024 * MiB, known: { offset: MiB, bytes } },
    ],
    write: async (disk, offset, more) => write(cloud, disk, offset, more),
  };
}

/** Writes into the volume of an instance that is off, where its hypervisor would: into the newest of its files. */
function write(cloud: Cloud, volume: string, offset: number, bytes: Uint8Array): void {
  withFile(bytes, (file) => qemuIo(cloud, volume, `write -s ${file} ${offset} ${bytes.length}`));
}

function read(cloud: Cloud, volume: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const file = openSync(volumeFile(cloud, volume), 'r');
  try {
    readSync(file, bytes, 0, length, offset);
  } finally {
    closeSync(file);
  }
  return bytes;
}

function qemuIo(cloud: Cloud, volume: string, command: string): void {
  const file = volumeFile(cloud, volume);
  const info = spawnSync('qemu-img', ['info', '-U', '--output=json', file], { encoding: 'utf8' });
  const { format } = JSON.parse(info.stdout) as { format: string };
  const io = spawnSync('qemu-io', ['-f', format, '-c', command, '-c', 'flush', file], { encoding: 'utf8' });
  if (io.status !== 0) throw new Error(`qemu-io ${command}: ${io.stdout}${io.stderr}`);
}

function withFile(bytes: Uint8Array, work: (file: string) => void): void {
  const folder = mkdtempSync(path.join(tmpdir(), 'gwsub-'));
  try {
    const file = path.join(folder, 'bytes');
    writeFileSync(file, bytes);
    work(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
