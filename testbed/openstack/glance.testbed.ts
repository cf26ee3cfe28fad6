import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { GuestReport } from '../guests/guest.ts';
import { Installation } from '../spine/installation.ts';
import { askGuest, bootGuest, type CloudGuest, consoleReport, fillGuest, serverIs, ssh } from './cloud-guest.ts';
import { type Cloud, runningClouds } from './clouds.ts';
import { compareDisks, volumeFile } from './disk-files.ts';
import { type Listing, listCloud } from './listing.ts';
import {
  completed,
  connectionOf,
  deploy,
  errorOf,
  forget,
  onlyCame,
  receiptsOf,
  saveReceipt,
  without,
} from './migrating.ts';
import { stepper } from './steps.ts';
import { createTenant, type Tenant } from './tenant.ts';

const step = stepper('glance');
const verify = path.join(import.meta.dirname, '../../packages/verify/src/main.ts');

interface Named {
  id: string;
  name: string;
  status: string;
}

/**
 * An instance booted from a volume moves to another cloud through Glance on its way out and in, as an ordinary member of a
 * project on either side, while what can go wrong there does.
 */
describe('an instance that goes through Glance', () => {
  let src: Cloud;
  let dst: Cloud;
  let from: Tenant;
  let to: Tenant;
  let godwit: Installation;
  let folder: string;
  let db: CloudGuest;
  let report: GuestReport;
  let sourceBefore: Listing;
  let targetBefore: Listing;
  let transfer: string;
  let origin: string;
  let destination: string;

  const source = (): Promise<Listing> => listCloud(src, { project: from.projectId, users: [from.credentials] });
  const target = (): Promise<Listing> => listCloud(dst, { project: to.projectId, users: [to.credentials] });

  const newTransfer = (): Promise<string> =>
    godwit.transfer(origin, destination, ['db'], {
      source_environment: { data_path: 'glance' },
      destination_environment: { data_path: 'glance', staging_folder: folder, keep_addresses: 'always' },
      network_map: { [from.network.name]: to.network.name },
    });

  beforeAll(async () => {
    ({ src, dst } = await runningClouds(inject('cloudsInstance')));
    folder = mkdtempSync(path.join(tmpdir(), 'gwgla-'));
    step('tenants with the member role, and Godwit');
    [from, to, godwit] = await Promise.all([createTenant(src, 'from'), createTenant(dst, 'to'), Installation.start()]);
    step('a guest boots');
    db = await bootGuest(from, { name: 'db', fromVolume: true, metadata: { tier: 'back' } });
    await fillGuest(db, 4 * 1024);
    [sourceBefore, targetBefore] = await Promise.all([source(), target()]);
    origin = await godwit.endpoint('old', 'openstack', connectionOf(from.credentials));
    destination = await godwit.endpoint('new', 'openstack', connectionOf(to.credentials));
    transfer = await newTransfer();
  });

  afterAll(async () => {
    step('removing everything');
    await godwit?.stop();
    await Promise.all([from?.remove(), to?.remove()]);
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('is refused where a quota of volumes is used up, and nothing is left', async () => {
    step('volume quota exceeded');
    await to.quota('volumev3', { volumes: 0 });
    const execution = await godwit.ended(await godwit.execute(transfer));
    await to.quota('volumev3', { volumes: 10 });
    expect(execution.status).toBe('ERROR');
    expect(errorOf(execution)?.code).toBe('QUOTA_EXCEEDED');
    expect(errorOf(execution)?.remedy).not.toBe('');
    await onlyCame(godwit, sourceBefore, source, []);
    await onlyCame(godwit, targetBefore, target, []);
  });

  it('is replicated although its image is deleted in mid-upload, tokens are revoked and Keystone is down for 60 s', async () => {
    step('first execution');
    const route = await godwit.execute(transfer);
    const images = `/images?owner=${from.projectId}`;
    const uploading = await from.admin.until<{ images: Named[] }>(
      'an image that is uploaded',
      ['image', images, ''],
      (found) => found?.images.some(({ status }) => ['queued', 'saving'].includes(status)) === true,
    );
    const deleted = uploading?.images.map(({ id }) => id) ?? [];
    for (const id of deleted) await from.admin.remove('image', `/images/${id}`);
    step('image deleted during its upload');
    await from.admin.until<{ images: Named[] }>(
      'another image',
      ['image', images, ''],
      (found) => found?.images.some(({ id }) => !deleted.includes(id)) === true,
      300,
    );
    step('tokens revoked, Keystone down for 60 s');
    await from.revokeTokensOf(from.userId);
    await src.stopService('keystone', 'KILL');
    await sleep(60_000);
    await src.startService('keystone');
    step('Keystone is back');
    completed(await godwit.ended(route));
    step('first execution done');
    expect((await receiptsOf(godwit, route)).map(({ result }) => result)).toEqual(['match']);
    await onlyCame(godwit, sourceBefore, source, []);
    await onlyCame(godwit, targetBefore, target, []);
  });

  it('is cut over with a disk equal to its source, as qemu-img and godwit verify see it', async () => {
    step('last words, then the cutover');
    await ssh(db, 'testbed put root last.bin 256');
    report = await askGuest(db);
    const route = await godwit.execute(transfer, true);
    completed(await godwit.ended(route));
    await serverIs(from.admin, db.id, 'SHUTOFF'); // its own token was revoked above
    step('comparing');
    const staged = readdirSync(folder).filter((name) => name.endsWith('.raw'));
    expect(staged).toHaveLength(1);
    const copy = path.join(folder, staged[0] ?? '');
    expect(await compareDisks(src, volumeFile(src, db.bootVolume ?? ''), copy)).toBe('Images are identical.');
    const [receipt] = await receiptsOf(godwit, route);
    const file = path.join(folder, 'receipt');
    if (receipt !== undefined) await saveReceipt(godwit, receipt, file);
    const verdict = spawnSync(process.execPath, [verify, file, '--disk', copy], { encoding: 'utf8' });
    expect(verdict.stdout + verdict.stderr).toMatch(/^HOLDS: /m);
  });

  it('is not deployed onto an address that somebody else has, and what was begun is removed', async () => {
    step('deployment onto a taken address');
    const { id } = await to.api.one<{ id: string }>('network', 'POST', '/ports', 'port', {
      port: {
        name: 'squatter',
        network_id: to.network.id,
        fixed_ips: [{ subnet_id: to.network.subnet, ip_address: db.ip }],
      },
    });
    await expect(deploy(godwit, transfer)).rejects.toThrow(db.ip);
    await to.api.remove('network', `/ports/${id}`);
    await onlyCame(godwit, targetBefore, target, []);
  });

  it('boots in the other cloud and reports the same files, MAC and address on the console', async () => {
    step('deployment');
    await deploy(godwit, transfer);
    step('console of the deployed guest');
    const servers = await to.api.list<Named & { metadata: Record<string, string> }>(
      'compute',
      '/servers/detail',
      'servers',
    );
    expect(servers.map(({ name }) => name)).toEqual(['db']);
    expect(servers[0]?.metadata.tier).toBe('back');
    const after = await consoleReport(to.api, servers[0]?.id ?? '');
    expect(after.disks).toEqual(report.disks);
    expect(after.disks.root?.status).toBe('ok');
    expect(after.nics).toMatchObject([{ mac: db.mac, ip: db.ip }]);
  });

  it('leaves nothing behind in either cloud but the deployed instance', async () => {
    step('removing the transfer');
    await forget(godwit, transfer);
    await onlyCame(godwit, targetBefore, target, ['port', 'server', 'volume']);
    const here = async () => without(await source(), 'server', 'attachment'); // stopped
    await onlyCame(godwit, without(sourceBefore, 'server', 'attachment'), here, []);
    expect(readdirSync(folder).filter((name) => name.endsWith('.raw'))).toEqual([]);
  });
});
