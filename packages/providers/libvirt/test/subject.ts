import { readdir } from 'node:fs/promises';
import type { JsonObject } from '@godwit/domain';
import type { ConformanceSubject, SubjectInstance } from '@godwit/provider/conformance';
import type { Lab } from './lab.ts';

const MIB = 1_048_576;

/** A running domain with two qcow2 disks, on a host with another domain beside it. */
export function libvirtSubject(lab: Lab, wrongCredentials: JsonObject | string): ConformanceSubject {
  return {
    makeInstance: () => makeInstance(lab),
    listEverything: () => everything(lab),
    wrongCredentials: () => Promise.resolve(wrongCredentials),
    unreachable: () => Promise.resolve({ uri: 'qemu+tcp://127.0.0.1:9/system' }),
    unowned: async () => {
      const instance = (await lab.host.virsh('domuuid', 'bystander')).trim();
      const file = `${lab.host.images}/bystander-vda.qcow2`;
      return [
        { id: 'a', kind: 'token', name: 'mine', handle: { instance, token: 'mine' } },
        { id: 'b', kind: 'disk', name: file, handle: { path: file, format: 'qcow2', key: 'check' } },
        {
          id: 'c',
          kind: 'disk_snapshot',
          name: file,
          handle: { path: file, format: 'qcow2', key: 'check', snapshot: 'mine' },
        },
        {
          id: 'd',
          kind: 'instance',
          name: instance,
          handle: { uuid: instance, key: 'check', replicas: [], disks: 'overlay', nvram: null },
        },
        { id: 'e', kind: 'network', name: 'godwit-check', handle: { key: 'check' } },
      ];
    },
  };
}

async function everything(lab: Lab): Promise<string[]> {
  const { host } = lab;
  const [domains = [], networks = [], pools = []] = await host.virshLists(
    'list --all --name',
    'net-list --all --name',
    'pool-list --all --name',
  );
  const checkpoints = await host.virshLists(...domains.map((name) => `checkpoint-list --name '${name}'`));
  return [
    ...domains.map((name) => `domain ${name}`),
    ...domains.flatMap((name, at) =>
      (checkpoints[at] ?? []).map((checkpoint) => `checkpoint ${checkpoint} of ${name}`),
    ),
    ...networks.map((name) => `network ${name}`),
    ...pools.map((name) => `pool ${name}`),
    ...(await readdir(host.images, { recursive: true })).map((name) => `file ${name}`),
    ...(await readdir(host.dir)).filter((name) => name.startsWith('godwit-')).map((name) => `socket ${name}`),
  ];
}

async function makeInstance(lab: Lab): Promise<SubjectInstance> {
  await lab.domain('bystander', [{ id: 'vda', format: 'qcow2', size: MIB }]);
  await lab.host.virsh('checkpoint-create-as', 'bystander', 'mine');
  const disks = [
    { id: 'vda', format: 'qcow2', size: 16 * MIB },
    { id: 'vdb', format: 'qcow2', size: 8 * MIB + 512 },
  ] as const;
  const domain = await lab.domain('guest', disks);
  const bytes = new Uint8Array(131_072).fill(0x5a);
  for (const { id } of disks) await domain.writeBytes(id, MIB, bytes);
  return {
    id: domain.uuid,
    name: 'guest',
    disks: disks.map(({ id, size }) => ({ id, size, known: { offset: MIB, bytes } })),
    write: (disk, offset, data) => domain.writeBytes(disk, offset, data),
  };
}
