import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProviderContext } from '@godwit/provider';
import { MemoryLedger } from '@godwit/provider/conformance';
import { libvirtProvider } from '@godwit/provider-libvirt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LibvirtHost, startLibvirtHost } from '../libvirt/libvirt-host.ts';
import { command, guestDomainXml, nextReport } from './guest.ts';
import { buildGuest, copyGuest } from './guest-build.ts';

let host: LibvirtHost;
let ctx: ProviderContext;
let log: string;
let uuid: string;
const source = libvirtProvider.source!;

beforeAll(async () => {
  const [guest, started] = await Promise.all([buildGuest(), startLibvirtHost()]);
  host = started;
  log = join(host.dir, 'agent.log');
  const disks = await copyGuest(guest, host.images, 'agent');
  await writeFile(join(host.dir, 'agent.xml'), guestDomainXml({ name: 'agent', guest: disks, console: log }));
  await host.virsh('define', join(host.dir, 'agent.xml'));
  await host.virsh('start', 'agent');
  uuid = (await host.virsh('domuuid', 'agent')).trim();
  await nextReport(log);
  ctx = {
    endpoint: 'endpoint lab',
    connectionInfo: { uri: host.uri },
    signal: new AbortController().signal,
    ledger: new MemoryLedger(),
    workDir: await mkdtemp(join(tmpdir(), 'gwlw-')),
    progress: () => undefined,
  };
  // libvirt learns of the agent when it opens its channel.
  while (!(await host.virsh('dumpxml', 'agent')).includes("state='connected'")) await sleep(200);
});

afterAll(async () => {
  await host?.stop();
  if (ctx !== undefined) await rm(ctx.workDir, { recursive: true, force: true });
});

/** True while the command that freezes, begins the job and thaws is under way. */
async function isFreezing(): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.some((line) => line.includes(`domfsfreeze ${uuid}`));
}

test('a guest with an agent is frozen for the moment of the snapshot and writes on at once', async () => {
  await command(host, 'agent', log, 'load 1');
  const request = { key: 'frozen', instance: 'agent', environment: { quiesce: 'always' }, tokens: {}, resume: false };
  const snapshot = await source.snapshot(ctx, request);
  expect(snapshot.consistency).toBe('filesystem');
  expect(await source.snapshot(ctx, { ...request, resume: true })).toEqual(snapshot);
  expect((await host.virsh('qemu-agent-command', 'agent', '{"execute":"guest-fsfreeze-status"}')).trim()).toBe(
    '{"return":"thawed"}',
  );
  // A frozen work disk could not take this.
  await command(host, 'agent', log, 'put after the-snapshot');
  await command(host, 'agent', log, 'load off');
  await source.release(ctx, snapshot, false);
});

test('a guest is thawed although the worker is killed in the middle of the freeze', async () => {
  const status = async () =>
    (await host.virsh('qemu-agent-command', 'agent', '{"execute":"guest-fsfreeze-status"}')).trim();
  const { connectionInfo, workDir } = ctx;
  const request = { key: 'killed', instance: 'agent', environment: {}, tokens: {}, resume: false };
  const input = JSON.stringify({ connectionInfo, workDir, request });
  const worker = spawn(process.execPath, [join(import.meta.dirname, 'snapshot.fixture.ts'), input], {
    stdio: 'ignore',
  });
  const ended = once(worker, 'exit');
  while (!(await isFreezing()) && worker.exitCode === null) await sleep(5);
  expect(worker.exitCode).toBeNull();
  worker.kill('SIGKILL');
  await ended;
  while (await isFreezing()) await sleep(50);
  expect(await status()).toBe('{"return":"thawed"}');
  const snapshot = await source.snapshot(ctx, request);
  expect(snapshot.consistency).toBe('filesystem');
  await source.release(ctx, snapshot, false);
});

test('a guest that was left frozen is thawed by whoever goes on, and by the reaper', async () => {
  const request = { key: 'left', instance: 'agent', environment: {}, tokens: {}, resume: false };
  const snapshot = await source.snapshot(ctx, request);
  await host.virsh('domfsfreeze', 'agent');
  expect(await source.snapshot(ctx, { ...request, resume: true })).toEqual(snapshot);
  await command(host, 'agent', log, 'put thawed by-the-successor');
  await host.virsh('domfsfreeze', 'agent');
  const handle = { instance: 'agent', key: 'left', folders: [] };
  await libvirtProvider.remove(ctx, { id: 'left', kind: 'snapshot', name: 'left', handle });
  await command(host, 'agent', log, 'put again by-the-reaper');
  await source.release(ctx, snapshot, false);
});

test('a guest is asked to shut down through its agent', async () => {
  await source.shutdown(ctx, 'agent', 60);
  expect((await host.virsh('domstate', 'agent', '--reason')).trim()).toBe('shut off (shutdown)');
});
