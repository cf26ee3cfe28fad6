import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { libvirtProvider } from '../src/index.ts';
import { type Lab, openLab, sshConnection } from './lab.ts';
import { byteIn, changedIn, request, source, target, withDisk } from './reading.ts';

const MIB = 1_048_576;
let lab: Lab;

beforeAll(async () => {
  lab = await openLab({ ssh: true, tcpPort: 16_509 });
});

afterAll(() => lab?.stop());

const disks = [
  { id: 'vda', format: 'qcow2', size: 8 * MIB },
  { id: 'vdb', format: 'raw', size: 4 * MIB },
] as const;

test('a running instance of a host over TCP is read by NBD from its address, with changes', async () => {
  const ctx = lab.context({ uri: lab.host.tcpUri ?? '' });
  const domain = await lab.domain('over-tcp', disks);
  const first = await source.snapshot(ctx, request('far-1', domain.uuid));
  await source.release(ctx, first, true);
  await domain.write('vda', 1, MIB, 65_536);
  const second = await source.snapshot(ctx, request('far-2', domain.uuid, { vda: 'godwit-far-1' }));
  const address = (await source.open(ctx, second)).addresses.vda;
  expect(address).toMatchObject({ kind: 'nbd', transport: { host: /\/\/([^:]+)/.exec(lab.host.tcpUri ?? '')?.[1] } });
  expect(await changedIn(ctx, second, 'vda')).toEqual([{ offset: MIB, length: 65_536 }]);
  expect(await byteIn(ctx, second, 'vda', MIB)).toBe(1);
  await source.release(ctx, second, false);
  // Scratch files were removed through libvirt's storage pool; nothing else reaches them.
  expect(readdirSync(lab.host.images).filter((name) => name.includes('scratch'))).toEqual([]);
  await source.dropToken(ctx, domain.uuid, 'godwit-far-1');
});

test('what cannot be done over TCP is refused and says what to use instead', async () => {
  const ctx = lab.context({ uri: lab.host.tcpUri ?? '' });
  const domain = await lab.domain('far-stopped', disks);
  await domain.powerOff();
  await expect(source.validate(ctx, domain.uuid, {})).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  const instance = await libvirtProvider.getInstance(ctx, domain.uuid, {});
  const wanted = { key: 'far', transfer: 'far', instance, environment: {}, networkMap: {}, storageMappings: {} };
  await expect(target.createDisks(ctx, wanted, [])).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  await expect(target.validate(ctx, wanted)).rejects.toThrow(/qemu\+ssh/);
});

test('a host over TCP whose files the worker sees is a full source and target', async () => {
  const ctx = lab.context({ uri: lab.host.tcpUri ?? '', files: 'local' });
  const domain = await lab.domain('shared-files', disks);
  await domain.write('vdb', 7, 0, 65_536);
  await domain.powerOff();
  const snapshot = await source.snapshot(ctx, request('shared-1', domain.uuid));
  expect(await byteIn(ctx, snapshot, 'vdb', 0)).toBe(7);
  await source.release(ctx, snapshot, false);
});

test('an unknown host key and a wrong user are refused as wrong credentials', async () => {
  const right = await sshConnection(lab);
  await libvirtProvider.validateConnection(lab.context(right));
  const other = await sshConnection(lab);
  const known = String(other.ssh_known_hosts).replace(/(ssh-ed25519 \S{30})\S{6}/, '$1AAAAAA');
  const validate = (overrides: Record<string, string>) =>
    libvirtProvider.validateConnection(lab.context({ ...right, ...overrides }));
  await expect(validate({ ssh_known_hosts: known })).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  const nobody = String(right.uri).replace('root@', 'nobody@');
  await expect(validate({ uri: nobody })).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  await expect(validate({ ssh_private_key: 'no key' })).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
});

test('a tunnel and the server at its far end go when they are closed', async () => {
  const ctx = lab.context(await sshConnection(lab));
  const domain = await lab.domain('tunneled', disks);
  await domain.powerOff();
  const snapshot = await source.snapshot(ctx, request('tunnel-1', domain.uuid));
  const opened = await source.open(ctx, snapshot);
  const address = opened.addresses.vda;
  if (address?.kind !== 'nbd' || !('unix' in address.transport)) throw new Error('no tunnel');
  await withDisk(Promise.resolve({ addresses: opened.addresses, close: () => Promise.resolve() }), 'vda', (disk) =>
    disk.read(0, new Uint8Array(512)),
  );
  await opened.close();
  expect(existsSync(address.transport.unix)).toBe(false);
  // No reader holds the image's lock any more.
  await domain.start();
  await source.release(ctx, snapshot, false);
});

test('a password opens a host over TCP, a wrong one or none is refused', async () => {
  const guarded = await openLab({ tcpPort: 16_509, sasl: true });
  try {
    const uri = guarded.host.tcpUri ?? '';
    const password = (await readFile(join(guarded.host.dir, 'password'), 'utf8')).trim();
    const validate = (secrets: Record<string, string>) =>
      libvirtProvider.validateConnection(guarded.context({ uri, ...secrets }));
    await validate({ username: 'godwit', password });
    await expect(validate({ username: 'godwit', password: 'wrong' })).rejects.toMatchObject({
      code: 'AUTHENTICATION_FAILED',
    });
    await expect(validate({})).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  } finally {
    await guarded.stop();
  }
});
