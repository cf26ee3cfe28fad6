import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { replicaName } from '../src/replica.ts';
import { type Lab, openLab } from './lab.ts';
import { changedIn, request, source } from './reading.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
let lab: Lab;

beforeAll(async () => {
  lab = await openLab();
});
afterAll(() => lab?.stop());

const disks = [
  { id: 'vda', format: 'qcow2', size: 16 * MIB },
  { id: 'vdb', format: 'qcow2', size: 16 * MIB },
] as const;

test('changes below an external snapshot that the user took are not lost, stopped', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('layered', disks);
  const first = await source.snapshot(ctx, request('layered-1', domain.uuid));
  await source.release(ctx, first, true);
  await domain.write('vda', 1, 4 * MIB, 64 * KIB);
  await lab.host.virsh('snapshot-create-as', 'layered', 'mine', '--disk-only', '--no-metadata');
  await domain.write('vda', 2, 8 * MIB, 64 * KIB);
  await domain.powerOff();
  const tokens = { vda: 'godwit-layered-1', vdb: 'godwit-layered-1' };
  const second = await source.snapshot(ctx, request('layered-2', domain.uuid, tokens));
  if (second.disks[0]?.changes === 'exact') {
    const offsets = (await changedIn(ctx, second, 'vda'))?.map(({ offset }) => offset);
    expect(offsets).toEqual([4 * MIB, 8 * MIB]);
  } else {
    expect(second.disks[0]?.changes).toBe('unknown');
  }
  await source.release(ctx, second, false);
});

test.each(['stopped', 'running'])('disks that changed places are compared in full, %s', async (state) => {
  const ctx = lab.context();
  const name = `swapped-${state}`;
  const domain = await lab.domain(name, disks);
  const first = await source.snapshot(ctx, request(`${name}-1`, domain.uuid));
  await source.release(ctx, first, true);
  await domain.powerOff();
  const text = await lab.host.virsh('dumpxml', '--inactive', name);
  const [a, b] = [domain.files.vda ?? '', domain.files.vdb ?? ''];
  const file = join(lab.host.dir, `${name}-swapped.xml`);
  await writeFile(file, text.replace(a, 'HOLD').replace(b, a).replace('HOLD', b));
  await lab.host.virsh('define', file);
  if (state === 'running') await domain.start();
  const tokens = { vda: `godwit-${name}-1`, vdb: `godwit-${name}-1` };
  const second = await source.snapshot(ctx, request(`${name}-2`, domain.uuid, tokens));
  expect(second.disks.map(({ changes }) => changes)).toEqual(['unknown', 'unknown']);
  await source.release(ctx, second, false);
});

test('two disks never share a file name', () => {
  const long = 'x'.repeat(60);
  const ids = ['disk 1', 'disk_1', 'disk-1', `${long}a`, `${long}b`, 'vda', 'vdb'];
  expect(new Set(ids.map((id) => replicaName('gw-1', id, 'qcow2'))).size).toBe(ids.length);
});

test('a saved instance is no more than crash-consistent, and is not taken for shut down', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('asleep', disks);
  await lab.host.virsh('managedsave', 'asleep');
  const snapshot = await source.snapshot(ctx, request('asleep-1', domain.uuid));
  expect(snapshot.consistency).toBe('crash');
  await source.release(ctx, snapshot, false);
  await expect(source.shutdown(ctx, domain.uuid, 1)).rejects.toMatchObject({ code: 'CONFLICT' });
  await lab.host.virsh('managedsave-remove', 'asleep');
  await source.shutdown(ctx, domain.uuid, 1);
});
