import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { libvirtProvider } from '../src/index.ts';
import { type Lab, openLab, run } from './lab.ts';
import { byteIn, changedIn, request, source } from './reading.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
let lab: Lab;

beforeAll(async () => {
  lab = await openLab();
});

afterAll(() => lab?.stop());

const disks = [
  { id: 'vda', format: 'qcow2', size: 32 * MIB },
  { id: 'vdb', format: 'qcow2', size: 16 * MIB },
  { id: 'vdc', format: 'raw', size: 8 * MIB },
] as const;

test('a raw disk among others is frozen with them and compared in full, with the reason', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('mixed', disks);
  await domain.write('vdc', 1, MIB, 64 * KIB);
  const snapshot = await source.snapshot(ctx, request('mixed-1', domain.uuid));
  await domain.write('vdc', 2, MIB, 64 * KIB);
  await domain.write('vda', 2, MIB, 64 * KIB);
  expect(await byteIn(ctx, snapshot, 'vdc', MIB)).toBe(1);
  expect(await byteIn(ctx, snapshot, 'vda', MIB)).toBe(0);
  expect(snapshot.disks[2]).toEqual({
    id: 'vdc',
    size: 8 * MIB,
    token: null,
    changes: 'unknown',
    reason: 'raw disks cannot be tracked',
  });
  await source.release(ctx, snapshot, true);
  await source.dropToken(ctx, domain.uuid, 'godwit-mixed-1');
  expect(readdirSync(lab.host.images).filter((name) => name.includes('scratch'))).toEqual([]);
});

test('each disk tells changes since its own token, and one without a token is read in full', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('tokens', disks);
  const first = await source.snapshot(ctx, request('tokens-1', domain.uuid));
  await source.release(ctx, first, true);
  await domain.write('vda', 1, 4 * MIB, 64 * KIB);
  const second = await source.snapshot(ctx, request('tokens-2', domain.uuid, { vda: 'godwit-tokens-1' }));
  await source.release(ctx, second, true);
  await domain.write('vda', 2, 8 * MIB, 64 * KIB);
  await domain.write('vdb', 2, 2 * MIB, 128 * KIB);
  const tokens = { vda: 'godwit-tokens-2', vdb: 'godwit-tokens-1', vdc: null };
  const third = await source.snapshot(ctx, request('tokens-3', domain.uuid, tokens));
  expect(await changedIn(ctx, third, 'vda')).toEqual([{ offset: 8 * MIB, length: 64 * KIB }]);
  expect(await changedIn(ctx, third, 'vdb')).toEqual([{ offset: 2 * MIB, length: 128 * KIB }]);
  expect(await changedIn(ctx, third, 'vdc')).toBeNull();
  await source.release(ctx, third, false);
  for (const token of ['godwit-tokens-1', 'godwit-tokens-2']) await source.dropToken(ctx, domain.uuid, token);
  expect(await lab.host.virsh('checkpoint-list', '--name', 'tokens')).toBe('');
});

test('a crash of QEMU makes changes unknown, and the next token works again', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('crashed', disks);
  const first = await source.snapshot(ctx, request('crash-1', domain.uuid));
  await source.release(ctx, first, true);
  await domain.crash();
  await domain.start();
  const tokens = { vda: 'godwit-crash-1', vdb: 'godwit-crash-1' };
  const second = await source.snapshot(ctx, request('crash-2', domain.uuid, tokens));
  expect(second.disks.map(({ changes }) => changes)).toEqual(['unknown', 'unknown', 'unknown']);
  expect(second.disks[0]?.reason).toMatch(/bitmap is gone/);
  await source.release(ctx, second, true);
  await source.dropToken(ctx, domain.uuid, 'godwit-crash-1');
  await domain.write('vda', 7, 0, 64 * KIB);
  const third = await source.snapshot(ctx, request('crash-3', domain.uuid, { vda: 'godwit-crash-2' }));
  expect(await changedIn(ctx, third, 'vda')).toEqual([{ offset: 0, length: 64 * KIB }]);
  await source.release(ctx, third, false);
});

test('a bitmap that QEMU left open in a crash is not believed, running or stopped', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('torn', disks);
  const first = await source.snapshot(ctx, request('torn-1', domain.uuid));
  await source.release(ctx, first, true);
  // Stored by an orderly stop, in use again since the start, never stored again.
  await domain.powerOff();
  await domain.start();
  await domain.write('vda', 3, 0, 64 * KIB);
  await domain.crash();
  const tokens = { vda: 'godwit-torn-1', vdb: 'godwit-torn-1' };
  const stopped = await source.snapshot(ctx, request('torn-2', domain.uuid, tokens));
  expect(stopped.disks[0]).toMatchObject({ changes: 'unknown', reason: 'its change bitmap was not closed properly' });
  await source.release(ctx, stopped, false);
  await domain.start();
  const running = await source.snapshot(ctx, request('torn-3', domain.uuid, tokens));
  expect(running.disks[0]).toMatchObject({ changes: 'unknown' });
  await source.release(ctx, running, false);
  await source.dropToken(ctx, domain.uuid, 'godwit-torn-1');
});

test('tokens go on across stop and start, and a stopped instance is read from its files', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('stopped', disks);
  const first = await source.snapshot(ctx, request('stop-1', domain.uuid));
  await source.release(ctx, first, true);
  await domain.write('vdb', 5, MIB, 64 * KIB);
  await domain.powerOff();
  const second = await source.snapshot(
    ctx,
    request('stop-2', domain.uuid, { vda: 'godwit-stop-1', vdb: 'godwit-stop-1' }),
  );
  expect(second.consistency).toBe('stopped');
  expect(await changedIn(ctx, second, 'vda')).toEqual([]);
  expect(await changedIn(ctx, second, 'vdb')).toEqual([{ offset: MIB, length: 64 * KIB }]);
  expect(await byteIn(ctx, second, 'vdb', MIB)).toBe(5);
  await source.check?.(ctx, second);
  await source.release(ctx, second, true);
  await source.dropToken(ctx, domain.uuid, 'godwit-stop-1');
  await source.powerOn(ctx, domain.uuid);
  await domain.write('vda', 6, 3 * MIB, 64 * KIB);
  const third = await source.snapshot(
    ctx,
    request('stop-3', domain.uuid, { vda: 'godwit-stop-2', vdb: 'godwit-stop-2' }),
  );
  expect(await changedIn(ctx, third, 'vda')).toEqual([{ offset: 3 * MIB, length: 64 * KIB }]);
  expect(await changedIn(ctx, third, 'vdb')).toEqual([]);
  await source.release(ctx, third, false);
});

test('a stopped instance cannot be started while its files are read', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('locked', disks);
  await domain.powerOff();
  const snapshot = await source.snapshot(ctx, request('lock-1', domain.uuid));
  const opened = await source.open(ctx, snapshot);
  await expect(domain.start()).rejects.toThrow(/lock/);
  await opened.close();
  await domain.start();
  await expect(source.check?.(ctx, snapshot)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  await expect(source.open(ctx, snapshot)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  const again = source.snapshot(ctx, request('lock-1', domain.uuid, {}, { resume: true }));
  await expect(again).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  await source.release(ctx, snapshot, false);
});

test('a stopped snapshot is lost when somebody wrote to a file and stopped again', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('touched', disks);
  await domain.powerOff();
  const snapshot = await source.snapshot(ctx, request('touch-1', domain.uuid));
  await run('qemu-io', '-f', 'raw', '-c', 'write -P 1 0 4k', domain.files.vdc!);
  await expect(source.open(ctx, snapshot)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  await source.release(ctx, snapshot, false);
});

test('an instance destroyed in mid-copy is a lost snapshot, and its scratch files go', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('killed', disks);
  const snapshot = await source.snapshot(ctx, request('kill-1', domain.uuid));
  await domain.crash();
  await expect(source.open(ctx, snapshot)).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  await domain.start();
  const again = source.snapshot(ctx, request('kill-1', domain.uuid, {}, { resume: true }));
  await expect(again).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
  const anew = await source.snapshot(ctx, request('kill-1', domain.uuid));
  await source.release(ctx, anew, false);
  expect(readdirSync(lab.host.images).filter((name) => name.includes('kill-1'))).toEqual([]);
});

test('a backup job of another program is refused as a conflict and left alone', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('foreign', disks);
  const file = join(lab.host.dir, 'foreign-backup.xml');
  await writeFile(
    file,
    `<domainbackup mode='pull'><server transport='unix' socket='${lab.host.dir}/f'/></domainbackup>`,
  );
  await lab.host.virsh('backup-begin', 'foreign', file);
  await expect(source.validate(ctx, domain.uuid, {})).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(source.snapshot(ctx, request('foreign-1', domain.uuid))).rejects.toMatchObject({ code: 'CONFLICT' });
  expect(await lab.host.virsh('domjobinfo', 'foreign')).toContain('Backup');
  await lab.host.virsh('domjobabort', 'foreign');
});

test('the reaper ends a job whose worker died and leaves nothing of it', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('orphan', disks);
  const known = new Set(lab.ledger.names());
  await source.snapshot(ctx, request('orphan-1', domain.uuid));
  const entries = [...lab.ledger.entries.values()].filter(({ id }) => !known.has(id));
  expect(entries.map(({ kind, keep, made }) => [kind, keep, made])).toEqual([
    ['snapshot', 'execution', true],
    ['token', 'transfer', true],
  ]);
  for (const entry of entries) await libvirtProvider.remove(ctx, entry);
  expect(await lab.host.virsh('domjobinfo', 'orphan')).toContain('None');
  expect(await lab.host.virsh('checkpoint-list', '--name', 'orphan')).toBe('');
  expect(readdirSync(lab.host.images).filter((name) => name.includes('orphan-1'))).toEqual([]);
});

test('an instance that ignores the power button is powered off after the grace, its bitmaps stored', async () => {
  const ctx = lab.context();
  const domain = await lab.domain('deaf', disks);
  const first = await source.snapshot(ctx, request('deaf-1', domain.uuid));
  await source.release(ctx, first, true);
  await domain.write('vda', 1, 0, 64 * KIB);
  await source.shutdown(ctx, domain.uuid, 1);
  await source.shutdown(ctx, domain.uuid, 1);
  const second = await source.snapshot(ctx, request('deaf-2', domain.uuid, { vda: 'godwit-deaf-1' }));
  expect(await changedIn(ctx, second, 'vda')).toEqual([{ offset: 0, length: 64 * KIB }]);
  await source.release(ctx, second, false);
});

test('disks are served by TCP where that is asked for, on a port that is free', async () => {
  const ctx = lab.context();
  const one = await lab.domain('tcp-one', disks.slice(0, 1));
  const two = await lab.domain('tcp-two', disks.slice(0, 1));
  await one.write('vda', 9, 0, 64 * KIB);
  const environment = { nbd: 'tcp' };
  const first = await source.snapshot(ctx, request('tcp-1', one.uuid, {}, { environment }));
  const second = await source.snapshot(ctx, request('tcp-1', two.uuid, {}, { environment }));
  const ports = [first, second].map(({ handle }) => JSON.stringify(handle.server));
  expect(new Set(ports).size).toBe(2);
  await source.release(ctx, first, false);
  await source.release(ctx, second, false);
  expect(existsSync('/var/tmp/godwit-tcp-1')).toBe(false);
});
