import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Installation } from '../spine/installation.ts';
import { type Cloud, runningClouds } from './clouds.ts';
import { type Listing, listCloud } from './listing.ts';
import { connectionOf, deleteDisks, minionEnvironment, onlyCame } from './migrating.ts';
import { stepper } from './steps.ts';
import { createTenant, type Tenant } from './tenant.ts';

const step = stepper('pools');
const MiB = 1_048_576;

interface Machine {
  id: string;
  allocation_status: string;
  allocated_action: string | null;
  provider_properties: { id: string } | null;
}
interface Pool {
  id: string;
  status: string;
  minion_machines: Machine[];
  events: { message: string }[];
}

/** Machines kept ready in a cloud: lent, checked, replaced, removed. Two guests at most. */
describe('a minion pool in a cloud', () => {
  let dst: Cloud;
  let to: Tenant;
  let godwit: Installation;
  let folder: string;
  let pool: string;
  let before: Listing;
  const transfers: string[] = [];

  const everything = () => listCloud(dst, { project: to.projectId, users: [to.credentials] });
  const show = () => godwit.get<Pool>('GET', `/minion_pools/${pool}`, 'minion_pool');
  const settled = async (wanted: string): Promise<Pool> => {
    let seen: Pool | undefined;
    await godwit.until(
      wanted,
      async () => {
        seen = await show();
        if (seen.status === 'ERROR') throw new Error(seen.events.map(({ message }) => message).join('\n'));
        return seen.status === wanted;
      },
      800_000,
    );
    return seen as Pool;
  };
  const act = (body: object) => godwit.get('POST', `/minion_pools/${pool}/actions`, 'minion_pool', body);
  const serverOf = (machine: Machine | undefined): string => String(machine?.provider_properties?.id);

  beforeAll(async () => {
    ({ dst } = await runningClouds(inject('cloudsInstance')));
    folder = mkdtempSync(path.join(tmpdir(), 'gwpool-'));
    for (const name of ['one', 'two']) {
      writeFileSync(path.join(folder, `${name}.raw`), Buffer.concat([randomBytes(4 * MiB), Buffer.alloc(28 * MiB)]));
    }
    step('a tenant and Godwit');
    [to, godwit] = await Promise.all([createTenant(dst, 'pool'), Installation.start()]);
    await to.quota('compute', { ram: -1 });
    const origin = await godwit.endpoint('images', 'image', { path: folder });
    const destination = await godwit.endpoint('dst', 'openstack', connectionOf(to.credentials));
    before = await everything();
    const { data_path: _, ...machine } = minionEnvironment;
    const made = await godwit.get<Pool>('POST', '/minion_pools', 'minion_pool', {
      minion_pool: {
        name: 'helpers',
        endpoint_id: destination,
        platform: 'destination',
        os_type: 'linux',
        minimum_minions: 1,
        maximum_minions: 2,
        minion_max_idle_time: 3_600,
        environment_options: { ...machine, minion_network: to.network.name },
      },
    });
    pool = made.id;
    for (const name of ['one.raw', 'two.raw']) {
      transfers.push(
        await godwit.transfer(origin, destination, [name], {
          destination_minion_pool_id: pool,
          destination_environment: { network: 'none' },
        }),
      );
    }
  });

  afterAll(async () => {
    step('removing what was made');
    await godwit?.stop();
    await to?.remove();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('has its minimum ready, and lends different machines to two executions at once', async () => {
    step('allocating');
    const { minion_machines: ready } = await settled('ALLOCATED');
    expect(ready).toMatchObject([{ allocation_status: 'AVAILABLE', allocated_action: null }]);
    step('two executions at once');
    const routes = await Promise.all(transfers.map((transfer) => godwit.execute(transfer)));
    let lent: Machine[] = [];
    await godwit.until(
      'lent to both',
      async () => {
        lent = (await show()).minion_machines.filter((machine) => machine.allocated_action !== null);
        return lent.length === 2;
      },
      120_000,
    );
    expect(lent.map((machine) => machine.allocated_action).sort()).toEqual([...transfers].sort());
    for (const route of routes) {
      const execution = await godwit.ended(route);
      const said = execution.tasks.map((task) => task.exception_details).filter((text) => text !== null);
      expect([execution.status, ...said]).toEqual(['COMPLETED']);
    }
    const { minion_machines: after } = await show();
    expect(after.map((machine) => machine.allocation_status)).toEqual(['AVAILABLE', 'AVAILABLE']);
    expect(new Set(after.map(serverOf)).size).toBe(2);
    expect(after.map((machine) => machine.id)).toContain(ready[0]?.id);
  });

  it('has a machine that was killed replaced, and leaves nothing behind', async () => {
    const [, killed] = (await show()).minion_machines;
    step('killing a machine');
    await to.api.call('compute', 'DELETE', `/servers/${serverOf(killed)}`);
    await act({ refresh: null });
    const { minion_machines: machines } = await settled('ALLOCATED');
    expect(machines.map((machine) => machine.allocation_status)).toEqual(['AVAILABLE', 'AVAILABLE']);
    expect(machines.map(serverOf)).not.toContain(serverOf(killed));
    step('deallocating');
    for (const transfer of transfers) await deleteDisks(godwit, transfer);
    await act({ deallocate: { force: false } });
    expect((await settled('DEALLOCATED')).minion_machines).toEqual([]);
    await onlyCame(godwit, before, everything, []);
  });
});
