import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Execution, Installation } from '../spine/installation.ts';
import { volumeIs } from './cloud-guest.ts';
import { type Cloud, runningClouds } from './clouds.ts';
import { type Listing, listCloud } from './listing.ts';
import {
  completed,
  connectionOf,
  deploy,
  errorOf,
  forget,
  minionEnvironment,
  onlyCame,
  receiptsOf,
  untilCopying,
  without,
} from './migrating.ts';
import { stepper } from './steps.ts';
import { createTenant, type Tenant } from './tenant.ts';

const step = stepper('faults');
const MiB = 1_048_576;

interface Named {
  id: string;
  name: string;
}

interface NamedVolume extends Named {
  metadata: { godwit_role?: string };
}

/**
 * What goes wrong in a target cloud, played for real on one disk of a folder: each time the run says why it stops, or goes
 * on by itself, and nothing but the replica volume stays.
 */
describe('faults of a cloud', () => {
  let dst: Cloud;
  let to: Tenant;
  let godwit: Installation;
  let folder: string;
  let disk: string;
  let flavor: string;
  let transfer: string;
  let before: Listing;

  const everything = (): Promise<Listing> => listCloud(dst, { project: to.projectId, users: [to.credentials] });
  const run = async (): Promise<Execution> => godwit.ended(await godwit.execute(transfer));
  const volumes = (): Promise<NamedVolume[]> => to.api.list('volumev3', '/volumes/detail', 'volumes');
  const replica = async (): Promise<string> => {
    const [one, ...others] = await volumes();
    expect(others).toEqual([]);
    return one?.id ?? '';
  };
  const removeServer = async (id: string): Promise<void> => {
    await to.api.remove('compute', `/servers/${id}`);
    await to.api.until('the server gone', ['compute', `/servers/${id}`, 'server'], (server) => server === null);
  };
  /** A flavor of that name; whoever is asked for it gets the newest. */
  const makeFlavor = async (ram: number): Promise<string> => {
    const body = { flavor: { name: flavor, vcpus: 1, ram, disk: 1 } };
    return (await to.admin.one<Named>('compute', 'POST', '/flavors', 'flavor', body)).id;
  };
  const removeFlavors = async (): Promise<void> => {
    for (const { id, name } of await to.admin.list<Named>('compute', '/flavors', 'flavors')) {
      if (name === flavor || /^godwit-/.test(name)) await to.admin.remove('compute', `/flavors/${id}`);
    }
  };

  beforeAll(async () => {
    ({ dst } = await runningClouds(inject('cloudsInstance')));
    folder = mkdtempSync(path.join(tmpdir(), 'gwflt-'));
    disk = path.join(folder, 'disk.raw');
    writeFileSync(disk, Buffer.concat([randomBytes(16 * MiB), Buffer.alloc(48 * MiB)]));
    step('a tenant that may make flavors, and Godwit');
    const roles = ['member', 'admin'];
    [to, godwit] = await Promise.all([createTenant(dst, 'faults', { roles }), Installation.start()]);
    await to.quota('compute', { ram: -1 }); // the flavor that no host has room for is no matter of quota
    flavor = `${to.name}-minion`;
    const origin = await godwit.endpoint('folder', 'image', { path: folder });
    const destination = await godwit.endpoint('cloud', 'openstack', connectionOf(to.credentials));
    before = without(await everything(), 'flavor');
    await makeFlavor(4_000_000);
    transfer = await godwit.transfer(origin, destination, ['disk.raw'], {
      source_environment: { memory_mb: 144 },
      destination_environment: {
        ...minionEnvironment,
        minion_flavor: flavor,
        minion_network: to.network.name,
        network: 'none',
        create_flavor: true,
        boot_seconds: 0,
      },
      options: { rate_limit: 2 * MiB },
    });
  });

  afterAll(async () => {
    step('removing everything');
    await godwit?.stop();
    if (to !== undefined) await removeFlavors();
    await to?.remove();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  const remains = (kinds: string[]): Promise<void> =>
    onlyCame(godwit, before, async () => without(await everything(), 'flavor'), kinds);

  it('refuses the run where no host has room for the minion, and leaves no minion', async () => {
    step('no valid host');
    const execution = await run();
    expect(execution.status).toBe('ERROR');
    expect(errorOf(execution)?.code, JSON.stringify(errorOf(execution))).toBe('NO_CAPACITY');
    await remains(['volume']);
    await removeFlavors();
    await makeFlavor(256);
  });

  it('completes by another minion when one is deleted in mid-copy, on the same volume', async () => {
    const volume = await replica();
    step('first copy');
    const route = await godwit.execute(transfer);
    await untilCopying(godwit, route, 4 * MiB);
    step('minion deleted in mid-copy');
    const servers = await to.api.list<Named>('compute', '/servers', 'servers');
    expect(servers).toHaveLength(1);
    await removeServer(servers[0]?.id ?? '');
    const execution = await godwit.ended(route);
    step('copy done');
    completed(execution);
    expect((await receiptsOf(godwit, route)).map(({ result }) => result)).toEqual(['match']);
    expect(await replica()).toBe(volume);
    await remains(['volume']);
  });

  it('refuses the run while its volume is in error, and names the volume', async () => {
    step('Cinder volume in error');
    const volume = await replica();
    const reset = (status: string) =>
      to.admin.call('volumev3', 'POST', `/volumes/${volume}/action`, { 'os-reset_status': { status } });
    await reset('error');
    const execution = await run();
    await reset('available');
    expect(execution.status).toBe('ERROR');
    expect(errorOf(execution)?.code).toBe('PLATFORM_ERROR');
    expect(errorOf(execution)?.message).toContain(volume);
    await remains(['volume']);
  });

  it('deploys with a flavor made for it where none fits exactly', async () => {
    step('deployment');
    const flavors = await everything();
    await deploy(godwit, transfer);
    const servers = await to.api.list<Named & { status: string; flavor: { vcpus: number; ram: number } }>(
      'compute',
      '/servers/detail',
      'servers',
    );
    expect(servers).toMatchObject([{ status: 'ACTIVE', flavor: { vcpus: 1, ram: 144 } }]);
    await onlyCame(godwit, flavors, everything, ['flavor', 'server', 'volume']);
    step('the user removes what was deployed');
    await removeServer(servers[0]?.id ?? '');
    for (const { id, metadata } of await volumes()) {
      if (metadata.godwit_role !== 'clone') continue;
      await volumeIs(to.api, id, 'available');
      await to.api.remove('volumev3', `/volumes/${id}`);
    }
    await remains(['volume']);
  });

  it('leaves nothing when its transfer is deleted', async () => {
    step('removing the transfer');
    await forget(godwit, transfer);
    await remains([]);
  });
});
