import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { GuestReport } from '../guests/guest.ts';
import { Installation } from '../spine/installation.ts';
import { askGuest, bootGuest, type CloudGuest, consoleReport, fillGuest, serverIs, ssh } from './cloud-guest.ts';
import { type Cloud, runningClouds } from './clouds.ts';
import { compareDisks, localDisk, volumeFile } from './disk-files.ts';
import { type Listing, listCloud } from './listing.ts';
import {
  completed,
  connectionOf,
  deploy,
  forget,
  minionEnvironment,
  onlyCame,
  type Receipt,
  receiptsOf,
  saveReceipt,
  untilCopying,
  without,
} from './migrating.ts';
import { stepper } from './steps.ts';
import { createTenant, type Tenant } from './tenant.ts';

const step = stepper('migration');
const MiB = 1_048_576;
const verify = path.join(import.meta.dirname, '../../packages/verify/src/main.ts');

interface DeployedServer {
  id: string;
  name: string;
  metadata: Record<string, string>;
  tags: string[];
  key_name: string;
  security_groups: { name: string }[];
}

/** Of the server groups, one in either cloud. */
const GROUP = 'apart';

async function makeServerGroup({ api }: Tenant): Promise<string> {
  const body = { server_group: { name: GROUP, policy: 'soft-anti-affinity' } };
  return (await api.one<{ id: string }>('compute', 'POST', '/os-server-groups', 'server_group', body)).id;
}

/** Makes what the source's instance has by name: its keypair and its security group. */
async function giveNames(from: Tenant, to: Tenant): Promise<void> {
  const route = `/os-keypairs/${from.keyName}`;
  const known = await from.api.one<{ public_key: string }>('compute', 'GET', route, 'keypair');
  await to.api.call('compute', 'POST', '/os-keypairs', {
    keypair: { name: from.keyName, public_key: known.public_key },
  });
  await to.api.call('network', 'POST', '/security-groups', { security_group: { name: from.name } });
}

/**
 * An instance with its root disk on the host and two volumes moves to another cloud through minions, as an ordinary member
 * of a project on either side.
 */
describe('an instance that goes through minions', () => {
  let src: Cloud;
  let dst: Cloud;
  let from: Tenant;
  let to: Tenant;
  let godwit: Installation;
  let folder: string;
  let web: CloudGuest;
  let sourceBefore: Listing;
  let targetBefore: Listing;
  let transfer: string;

  const source = (): Promise<Listing> => listCloud(src, { project: from.projectId, users: [from.credentials] });
  const target = (): Promise<Listing> => listCloud(dst, { project: to.projectId, users: [to.credentials] });

  beforeAll(async () => {
    ({ src, dst } = await runningClouds(inject('cloudsInstance')));
    folder = mkdtempSync(path.join(tmpdir(), 'gwmig-'));
    step('tenants with the member role, and Godwit');
    [from, to, godwit] = await Promise.all([createTenant(src, 'from'), createTenant(dst, 'to'), Installation.start()]);
    await Promise.all([from.quota('volumev3', { volumes: 20, snapshots: 20 }), to.quota('volumev3', { volumes: 20 })]);
    step('a guest with two volumes boots');
    const [serverGroup] = await Promise.all([makeServerGroup(from), makeServerGroup(to), giveNames(from, to)]);
    web = await bootGuest(from, {
      name: 'web',
      volumes: [1, 1],
      metadata: { tier: 'front' },
      tags: ['blue'],
      serverGroup,
    });
    step('the guest writes');
    await fillGuest(web, 16 * 1024);
    // The second volume has no file system: what the guest writes there is all that changes.
    await ssh(web, 'umount /disks/data2; sed -i /GWdata2/d /etc/testbed-disks; sync');
    [sourceBefore, targetBefore] = await Promise.all([source(), target()]);

    const origin = await godwit.endpoint('old', 'openstack', connectionOf(from.credentials));
    const destination = await godwit.endpoint('new', 'openstack', connectionOf(to.credentials));
    transfer = await godwit.transfer(origin, destination, ['web'], {
      source_environment: { ...minionEnvironment, minion_network: from.network.name },
      destination_environment: { ...minionEnvironment, minion_network: to.network.name, floating_network: 'public' },
      network_map: { [from.network.name]: to.network.name },
    });
  });

  afterAll(async () => {
    step('removing everything');
    await godwit?.stop();
    await Promise.all([from?.remove(), to?.remove()]);
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  const sentBy = (receipts: Receipt[]): number => receipts.reduce((sum, receipt) => sum + receipt.bytes_sent, 0);

  it('is listed with what it is', async () => {
    step('listing the instances');
    const endpoint = (await godwit.get<{ id: string; name: string }[]>('GET', '/endpoints', 'endpoints')).find(
      ({ name }) => name === 'old',
    );
    const instances = await godwit.get<{ name: string }[]>('GET', `/endpoints/${endpoint?.id}/instances`, 'instances');
    expect(instances.map(({ name }) => name)).toEqual(['web']);
  });

  it('is replicated while it runs, although the worker is killed in mid-copy', async () => {
    step('first execution; the worker is killed in mid-copy');
    const run = await godwit.execute(transfer);
    await untilCopying(godwit, run);
    expect(godwit.kill('worker')).toBe(true);
    step('worker killed');
    completed(await godwit.ended(run));
    step('first execution done');
    const receipts = await receiptsOf(godwit, run);
    expect(receipts).toHaveLength(3);
    expect(receipts.every(({ result }) => result === 'match')).toBe(true);
    // One replica volume for each disk, and nothing else that was not there before.
    await onlyCame(godwit, targetBefore, target, ['volume', 'volume', 'volume']);
    await onlyCame(godwit, sourceBefore, source, []);
  });

  it('sends at most 1.1 times what the guest changed', async () => {
    await ssh(web, 'dd if=/dev/urandom of=/dev/vdc bs=1M seek=200 count=32 conv=fsync 2>/dev/null');
    step('second execution: 32 MiB have changed');
    const run = await godwit.execute(transfer);
    completed(await godwit.ended(run));
    const sent = sentBy(await receiptsOf(godwit, run));
    step(`second execution done: ${(sent / MiB).toFixed(2)} MiB were sent`);
    expect(sent).toBeGreaterThanOrEqual(32 * MiB);
    expect(sent).toBeLessThanOrEqual(1.1 * 32 * MiB);
  });

  let report: GuestReport;

  it('is cut over with every disk equal to its source, as qemu-img and godwit verify see it', async () => {
    step('last words, then the cutover');
    await ssh(web, 'testbed put data1 last.bin 256');
    report = await askGuest(web);
    const run = await godwit.execute(transfer, true);
    completed(await godwit.ended(run));
    await serverIs(from.api, web.id, 'SHUTOFF');
    step('comparing disks');
    const volumes = await to.api.list<{ id: string; metadata: Record<string, string> }>(
      'volumev3',
      '/volumes/detail',
      'volumes',
    );
    const receipts = await receiptsOf(godwit, run);
    expect(receipts).toHaveLength(3);
    for (const receipt of receipts) {
      const original = web.volumes.includes(receipt.disk_id)
        ? volumeFile(src, receipt.disk_id)
        : localDisk(src, web.id);
      const replica = volumes.find(({ metadata }) => metadata.godwit_disk === receipt.disk_id);
      const copy = volumeFile(dst, replica?.id ?? '');
      expect(await compareDisks(src, original, copy)).toBe('Images are identical.');
      const file = path.join(folder, `${receipt.id}.receipt`);
      await saveReceipt(godwit, receipt, file);
      const verdict = spawnSync(process.execPath, [verify, file, '--disk', copy], { encoding: 'utf8' });
      expect(verdict.stdout + verdict.stderr).toMatch(/^HOLDS: /m);
      expect(verdict.status).toBe(0);
    }
  });

  it('boots in the other cloud and reports the same files, MAC and address on the console, with all that belongs to it', async () => {
    step('deployment');
    await deploy(godwit, transfer);
    step('console of the deployed guest');
    const servers = await to.api.list<DeployedServer>('compute', '/servers/detail', 'servers');
    expect(servers).toMatchObject([
      { name: 'web', metadata: { tier: 'front' }, tags: ['blue'], key_name: from.keyName },
    ]);
    expect(servers[0]?.security_groups.map(({ name }) => name)).toEqual([from.name]);
    const groups = await to.api.list<{ name: string; members: string[] }>(
      'compute',
      '/os-server-groups',
      'server_groups',
    );
    expect(groups).toMatchObject([{ name: GROUP, members: [servers[0]?.id] }]);
    const floating = await to.api.list<{ fixed_ip_address: string }>('network', '/floatingips', 'floatingips');
    expect(floating).toMatchObject([{ fixed_ip_address: web.ip }]);
    const after = await consoleReport(to.api, servers[0]?.id ?? '');
    expect(after.disks).toEqual(report.disks);
    expect(Object.values(after.disks).every(({ status }) => status === 'ok')).toBe(true);
    expect(after.nics).toMatchObject([{ mac: web.mac, ip: web.ip }]);
  });

  it('leaves nothing behind in either cloud but the deployed instance', async () => {
    step('removing the transfer');
    await forget(godwit, transfer);
    const deployed = ['floating IP', 'port', 'server', 'volume', 'volume', 'volume'];
    const there = async () => without(await target(), 'server group'); // its members are others
    await onlyCame(godwit, without(targetBefore, 'server group'), there, deployed);
    const here = async () => without(await source(), 'server', 'attachment'); // stopped
    await onlyCame(godwit, without(sourceBefore, 'server', 'attachment'), here, []);
  });
});
