import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { CloudApi, CloudApiError } from './cloud-api.ts';
import {
  askGuest,
  bootGuest,
  type CloudGuest,
  consoleReport,
  createVolume,
  fillGuest,
  serverIs,
  ssh,
} from './cloud-guest.ts';
import { type Cloud, runningClouds } from './clouds.ts';
import { difference, listCloud } from './listing.ts';
import { stepper } from './steps.ts';
import { createTenant, type Tenant } from './tenant.ts';

const step = stepper('clouds');

/** The peers themselves: what the other suites believe about them is shown here. */
describe('the two clouds', () => {
  let src: Cloud;
  let dst: Cloud;
  let tenant: Tenant;
  let guest: CloudGuest;

  beforeAll(async () => {
    ({ src, dst } = await runningClouds(inject('cloudsInstance')));
    step('a tenant and a guest with a volume');
    tenant = await createTenant(src, 'peers');
    guest = await bootGuest(tenant, { name: 'peer', volumes: [1], userData: '#!/bin/sh\necho hello >/srv/hello\n' });
  });

  afterAll(async () => {
    step('removing the tenant');
    await tenant?.remove();
  });

  it('answer with a token, a catalogue and a region of their own', async () => {
    const logins = await Promise.all([src.admin(), dst.admin()]);
    expect(logins.map((api) => api.token.length > 20)).toEqual([true, true]);
    expect(logins[0]?.url('compute')).not.toBe(logins[1]?.url('compute'));
    expect(src.region).not.toBe(dst.region);
  });

  it('boot a guest that tells its MAC, its address and its check sums on the console', async () => {
    const report = await consoleReport(tenant.api, guest.id);
    expect(report.hostname).toBe('peer');
    expect(report.nics).toMatchObject([{ mac: guest.mac, ip: guest.ip }]);
    expect(report.disks.root?.status).toBe('ok');
    expect((await ssh(guest, 'cat /srv/hello')).trim()).toBe('hello');
  });

  it('let a guest write on a volume, and tell when a file on it is not what was written', async () => {
    step('writing in the guest');
    await fillGuest(guest, 1024);
    const whole = await askGuest(guest);
    expect(whole.disks).toMatchObject({ root: { status: 'ok', files: 2 }, data1: { status: 'ok', files: 1 } });
    await ssh(guest, 'printf x | dd of=/disks/data1/first.bin bs=1 seek=70000 conv=notrunc 2>/dev/null');
    const torn = await askGuest(guest);
    expect(torn.disks.data1?.status).toBe('BAD');
    expect(torn.bad[0]).toContain('./first.bin: FAILED');
  });

  it('run Node.js in the guest when it is pushed there', async () => {
    step('running Node.js in the guest');
    const push = spawn('ssh', [
      ...['-i', tenant.keyFile, '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
      ...['-o', 'LogLevel=ERROR', `root@${guest.floating}`, 'cat >/tmp/node && chmod +x /tmp/node'],
    ]);
    createReadStream(process.execPath).pipe(push.stdin);
    expect(await once(push, 'exit')).toEqual([0, null]);
    const script = "console.log(require('node:crypto').createHash('sha256').update('godwit').digest('hex'))";
    const said = await ssh(guest, `/tmp/node -e "${script}"`);
    expect(said.trim()).toBe(createHash('sha256').update('godwit').digest('hex'));
  });

  it('list the same when a volume came and went, and tell what came when it stayed', async () => {
    step('listing both clouds');
    const scope = { project: tenant.projectId, users: [tenant.credentials] };
    const before = await listCloud(src, scope);
    const volume = await createVolume(tenant.api, 'passing', 1);
    expect(difference(before, await listCloud(src, scope)).came).toEqual([
      expect.stringContaining(`volume | ${volume} | passing`),
    ]);
    await tenant.api.remove('volumev3', `/volumes/${volume}`);
    await tenant.api.until('volume gone', ['volumev3', `/volumes/${volume}`, 'volume'], (found) => found === null);
    expect(difference(before, await listCloud(src, scope))).toEqual({ came: [], went: [] });
  });

  it('refuse a volume over the quota', async () => {
    await tenant.quota('volumev3', { volumes: 1 });
    const refused = await createVolume(tenant.api, 'too-many', 1).catch((error: unknown) => error);
    await tenant.quota('volumev3', { volumes: 10 });
    expect(refused).toBeInstanceOf(CloudApiError);
    expect((refused as CloudApiError).status).toBe(413);
  });

  it('refuse a revoked token and a user whose role was taken', async () => {
    const user = await tenant.addUser(`${tenant.name}-second`, ['reader', 'creator']);
    const api = await CloudApi.login(user);
    expect((await api.list('compute', '/servers', 'servers')).length).toBe(1);
    await tenant.revokeToken(api.token);
    // Services believe a token for 10 s before they ask again.
    await expect
      .poll(() => api.list('compute', '/servers', 'servers').catch(String), { timeout: 60_000 })
      .toContain('401');
    await tenant.revoke(api.userId, 'reader');
    await tenant.revoke(api.userId, 'creator');
    await expect(CloudApi.login(user)).rejects.toThrow('401');
  });

  it('lose a service that is stopped, and have it back after a repair', async () => {
    step('stopping and starting services');
    await src.stopService('keystone', 'KILL');
    await expect(src.admin()).rejects.toThrow('fetch failed');
    await src.startService('keystone');
    expect((await src.admin()).token.length).toBeGreaterThan(20);
  });

  it('stop a guest at the press of its power button', async () => {
    step('stopping the guest');
    await tenant.api.call('compute', 'POST', `/servers/${guest.id}/action`, { 'os-stop': null });
    await serverIs(tenant.api, guest.id, 'SHUTOFF');
    expect(await ssh(guest, 'true').catch(() => 'silent')).toBe('silent');
  });
});
