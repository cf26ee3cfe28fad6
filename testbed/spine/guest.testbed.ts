import { spawnSync } from 'node:child_process';
import { constants, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askReport } from '../guests/console.ts';
import { command, type GuestReport, guestDomainXml, nextReport, readReport } from '../guests/guest.ts';
import { buildGuest } from '../guests/guest-build.ts';
import { type LibvirtHost, startLibvirtHost } from '../libvirt/libvirt-host.ts';
import { type Execution, Installation } from './installation.ts';

const NAME = 'web01';
const MiB = 1_048_576;
/** An execution in which nothing moves for so long hangs. */
const STALL_MS = 120_000;

/** A running guest with four disks between two real hosts: replicated while it writes, tested, cut over, proven. */
describe('a guest with four disks', () => {
  let from: LibvirtHost;
  let to: LibvirtHost;
  let godwit: Installation;
  let log: string;
  let transfer: string;
  let disks: { path: string; role: string }[];
  let filesBefore: string[];
  let domainsBefore: string;

  beforeAll(async () => {
    const guest = await buildGuest(undefined, (line) => console.log(line));
    [from, to, godwit] = await Promise.all([startLibvirtHost(), startLibvirtHost(), Installation.start()]);
    for (const host of [from, to]) {
      const network = path.join(host.dir, 'lab.xml');
      await writeFile(network, "<network><name>lab</name><bridge name='gwlab'/></network>");
      await host.virsh('net-define', network);
      await host.virsh('net-start', 'lab');
    }
    const copies = guest.disks.map((disk) => ({ ...disk, path: path.join(from.images, path.basename(disk.path)) }));
    for (const [index, disk] of guest.disks.entries()) {
      await copyFile(disk.path, copies[index]?.path ?? '', constants.COPYFILE_FICLONE);
    }
    disks = copies;
    log = path.join(from.dir, 'console.log');
    const xml = path.join(from.dir, 'web01.xml');
    writeFileSync(xml, guestDomainXml({ name: NAME, guest: { disks: copies }, console: log, network: 'lab' }));
    await from.virsh('define', xml);
    await from.virsh('start', NAME);
    const report = await nextReport(log);
    expect(Object.values(report.disks).map((disk) => disk.status)).toEqual(['ok', 'ok', 'ok', 'ok']);
    filesBefore = readdirSync(from.images).sort();
    domainsBefore = await to.virsh('list', '--all', '--name');
    const old = await godwit.endpoint('old', 'libvirt', { uri: from.uri });
    const fresh = await godwit.endpoint('new', 'libvirt', { uri: to.uri });
    transfer = await godwit.transfer(old, fresh, [NAME], {
      source_environment: { socket_folder: from.dir },
      // Whether KVM gets a guest through its boot is the machine's affair, see guestDomainXml.
      destination_environment: { storage: to.images, virtualization: 'emulation' },
      network_map: { lab: 'lab' },
      options: { rate_limit: 8 * MiB },
    });
  }, 600_000);

  afterAll(async () => {
    await godwit?.stop();
    await Promise.all([from?.stop(), to?.stop()]);
  });

  const receiptsOf = async (execution: string): Promise<{ id: string; disk_id: string; result: string }[]> =>
    godwit.get('GET', `/receipts?execution_id=${execution}`, 'receipts');

  const sentBy = async (execution: string): Promise<number> => {
    let sent = 0;
    for (const { id } of await receiptsOf(execution)) {
      sent += ((await godwit.request('GET', `/receipts/${id}`)).body as { bytes_sent: number }).bytes_sent;
    }
    return sent;
  };

  const tail = (text: string, characters: number) => `...${text.slice(-characters)}`;

  /** What to look at when something went wrong. */
  const evidence = async (): Promise<string> =>
    [
      `domains at the source: ${await from.virsh('list', '--all').catch(String)}`,
      `domains at the destination: ${await to.virsh('list', '--all').catch(String)}`,
      `console: ${tail(readFileSync(log, 'latin1'), 1500)}`,
      `server: ${tail(godwit.log, 4000)}`,
    ].join('\n');

  /** Waits until the execution at `route` is COMPLETED; any other end, and a halt on the way, rejects with all there is to know. */
  const completed = async (route: string, meanwhile: () => void = () => undefined): Promise<Execution> => {
    let seen = '';
    let moved = Date.now();
    for (;;) {
      meanwhile();
      const now = await godwit.get<Execution>('GET', route, 'execution');
      if (now.status === 'COMPLETED') return now;
      const text = JSON.stringify(now);
      if (text !== seen) [seen, moved] = [text, Date.now()];
      const stalled = Date.now() - moved > STALL_MS;
      if (stalled || !['RUNNING', 'UNEXECUTED', 'PENDING'].includes(now.status)) {
        const what = stalled ? `has not moved for ${STALL_MS / 1000} s, ${now.status}` : `ended ${now.status}`;
        throw new Error(`${route} ${what}: ${JSON.stringify(now.tasks, null, 1)}\n${await evidence()}`);
      }
      await sleep(100);
    }
  };

  it('is replicated while it runs, although the worker is killed in mid-copy', async () => {
    await command(from, NAME, log, 'load 4');
    const begun = Date.now();
    let killed = 0;
    const execution = await completed(await godwit.execute(transfer), () => {
      if (killed < 2 && Date.now() - begun > 2500 * (killed + 1) && godwit.kill('worker')) killed += 1;
    });
    expect(killed).toBe(2);
    const receipts = await receiptsOf(execution.id);
    expect(receipts.map((receipt) => receipt.disk_id).sort()).toEqual(['vda', 'vdb', 'vdc', 'vdd']);
    expect(receipts.every((receipt) => receipt.result === 'match')).toBe(true);
  });

  it('sends only what changed in the next execution', async () => {
    await command(from, NAME, log, 'load off');
    await completed(await godwit.execute(transfer));
    await command(from, NAME, log, 'stamp 4000000 arrived');
    const execution = await completed(await godwit.execute(transfer));
    // One leaf of the archive; the mounted file system may add a few of its own.
    expect(await sentBy(execution.id)).toBeLessThanOrEqual(8 * 65_536);
    expect(await sentBy(execution.id)).toBeGreaterThanOrEqual(65_536);
  });

  it('boots a test copy in an isolated network while replication goes on', async () => {
    const deployment = await godwit.get<{ id: string }>('POST', '/deployments', 'deployment', {
      deployment: { transfer_id: transfer, test: true },
    });
    try {
      await godwit.deployed(deployment.id);
      const names = (await to.virsh('list', '--name')).trim().split('\n');
      expect(names).toHaveLength(1);
      const report = await askReport(to, names[0] ?? '');
      expect(Object.values(report.disks).map((disk) => disk.status)).toEqual(['ok', 'ok', 'ok', 'ok']);
      await command(from, NAME, log, 'fill while-testing.txt 2048 5');
      await completed(await godwit.execute(transfer));
      // The test copy is of its own moment: what came later is not in it.
      const again = await askReport(to, names[0] ?? '');
      expect(again.disks.work?.status).toBe('ok');
      expect(again.disks.work?.digest).toBe(report.disks.work?.digest);
    } finally {
      // Also when something above failed: the tests below need the disks free.
      expect((await godwit.request('DELETE', `/deployments/${deployment.id}`)).status).toBe(204);
    }
    await godwit.until(
      'the test removed',
      async () => (await to.virsh('list', '--all', '--name')) === domainsBefore,
      60_000,
    );
  });

  let before: GuestReport;

  it('is cut over with every disk equal to its source', async () => {
    await command(from, NAME, log, 'put last-word before-the-cutover');
    await command(from, NAME, log, 'report');
    const newest = readReport(readFileSync(log, 'latin1'));
    expect(newest).not.toBeNull();
    before = newest as GuestReport;
    await completed(await godwit.execute(transfer, true));
    expect((await from.virsh('domstate', NAME)).trim()).toBe('shut off');
    const ledger = await godwit.get<{ kind: string; name: string }[]>('GET', '/ledger', 'ledger');
    const replicas = ledger.filter((row) => row.kind === 'disk').map((row) => row.name);
    expect(replicas).toHaveLength(4);
    for (const disk of ['vda', 'vdb', 'vdc', 'vdd']) {
      const source = disks['abcd'.indexOf(disk.slice(-1))]?.path ?? '';
      const replica = readdirSync(to.images)
        .filter((file) => file.endsWith(`-${disk}.qcow2`))
        .map((file) => path.join(to.images, file));
      expect(replica).toHaveLength(1);
      const compare = spawnSync('qemu-img', ['compare', source, replica[0] ?? ''], { encoding: 'utf8' });
      expect(compare.stdout.trim()).toBe('Images are identical.');
    }
  });

  it('boots at the destination and reports the same files, MAC and load', async () => {
    const deployment = await godwit.get<{ id: string }>('POST', '/deployments', 'deployment', {
      deployment: { transfer_id: transfer },
    });
    await godwit.deployed(deployment.id);
    const after = await askReport(to, NAME);
    expect(Object.fromEntries(Object.entries(after.disks).map(([role, disk]) => [role, disk.digest]))).toEqual(
      Object.fromEntries(Object.entries(before.disks).map(([role, disk]) => [role, disk.digest])),
    );
    expect(after.disks.work?.status).toBe('ok');
    expect(after.nics.map((nic) => nic.mac)).toEqual(before.nics.map((nic) => nic.mac));
    expect(after.load.bad).toBe(0);
    expect(after.load.records).toBeGreaterThanOrEqual(before.load.records);
  });

  it('leaves nothing of Godwit at the source when the transfer is gone', async () => {
    const { id } = await godwit.get<{ id: string }>('POST', `/transfers/${transfer}/actions`, 'execution', {
      'delete-disks': null,
    });
    await completed(`/transfers/${transfer}/executions/${id}`);
    expect((await godwit.request('DELETE', `/transfers/${transfer}`)).status).toBe(204);
    await godwit.until(
      'the source clean',
      async () =>
        (await from.virsh('checkpoint-list', NAME, '--name')).trim() === '' &&
        readdirSync(from.images).sort().join() === filesBefore.join(),
      60_000,
    );
    // At the destination the deployed instance lives on, with four disks of its own, and nothing else is left.
    expect(readdirSync(to.images).length).toBe(4);
    expect((await to.virsh('domstate', NAME)).trim()).toBe('running');
  });
});
