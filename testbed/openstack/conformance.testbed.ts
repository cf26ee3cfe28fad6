import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Machine, MachineRequest, ProviderContext } from '@godwit/provider';
import { type ConformanceOptions, conformanceChecks, MemoryLedger, runConformance } from '@godwit/provider/conformance';
import { openstackProvider } from '@godwit/provider-openstack';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createVolume } from './cloud-guest.ts';
import { type Cloud, runningClouds } from './clouds.ts';
import { cloudSubject } from './conformance-subject.ts';
import { difference, listCloud } from './listing.ts';
import { connectionOf, minionEnvironment } from './migrating.ts';
import { stepper } from './steps.ts';
import { createTenant, type Tenant } from './tenant.ts';

const step = stepper('conformance');

/** The two halves of the contract run side by side, each in a cloud of its own, as an ordinary member of a project. */
const halves = { source: ['endpoint', 'instance'], target: ['scratch'] } as const;
type Half = keyof typeof halves;
const names: Half[] = ['source', 'target'];

/** What OpenStack cannot have: change tokens. */
const notApplicable = new Set([
  'tells exactly what changed since a token, disk by disk, with an idle first disk',
  'answers a stale token with unknown, and drops it twice without complaint',
]);

/** All checks of a half work through one machine of a pool: a boot for each would take hours. */
describe('the provider openstack in a real cloud, through minions', () => {
  const results = { source: new Map<string, string>(), target: new Map<string, string>() };
  const left = new Map<Half, string[]>();
  const tenants: Tenant[] = [];
  const folder = mkdtempSync(path.join(tmpdir(), 'gwcon-'));

  async function run(half: Half, cloud: Cloud): Promise<void> {
    const tenant = await createTenant(cloud, half);
    tenants.push(tenant);
    await Promise.all([tenant.quota('volumev3', { volumes: 30, snapshots: 30 }), tenant.quota('compute', { ram: -1 })]);
    const foreign = await createVolume(tenant.api, 'foreign', 1);
    const ledger = new MemoryLedger();
    const context = (signal: AbortSignal, more: Partial<ProviderContext> = {}): ProviderContext => ({
      endpoint: `endpoint ${half}`,
      connectionInfo: connectionOf(tenant.credentials),
      signal,
      ledger,
      workDir: folder,
      progress: (message) => step(`${half}: ${message}`),
      ...more,
    });
    const everything = () => listCloud(cloud, { project: tenant.projectId, users: [tenant.credentials] });
    const before = await everything();
    const machine = await lendMachine(half, tenant, context);
    const { data_path, ...minion } = minionEnvironment;
    const environment = { data_path, ...minion, minion_network: tenant.network.name };
    const options: ConformanceOptions = {
      needs: halves[half],
      scratch: half === 'target',
      network: tenant.network.name,
      sourceEnvironment: environment,
      // Reading each new volume once would take most of the time; the migration's suite does.
      destinationEnvironment: { ...environment, boot_seconds: 0, new_volumes: 'trust' },
      subject: cloudSubject(cloud, tenant, foreign),
      cancelSeconds: 30,
    };
    const checks = runConformance(
      openstackProvider,
      ({ signal, connectionInfo }) =>
        context(signal, { pool: machine.pool, ...(connectionInfo && { connectionInfo }) }),
      options,
    );
    for await (const { name, status, detail, seconds } of checks) {
      step(`${half}: ${name}: ${status} in ${Math.round(seconds)} s: ${detail}`);
      results[half].set(name, status === 'passed' ? status : `${status}: ${detail}`);
    }
    await machine.giveBack();
    // The instance that the source's checks looked at is not theirs to remove.
    const { came } = difference(before, await everything());
    left.set(half, half === 'source' ? came.filter((line) => line.includes('godwit')) : came);
  }

  beforeAll(async () => {
    const { src, dst } = await runningClouds(inject('cloudsInstance'));
    await Promise.all([run('source', src), run('target', dst)]);
  }, 1_800_000);

  afterAll(async () => {
    step('removing everything');
    await Promise.all(tenants.map((tenant) => tenant.remove()));
    rmSync(folder, { recursive: true, force: true });
  });

  describe.each(names)('as a %s', (half) => {
    test.each(conformanceChecks(halves[half]))('%s', (name) => {
      const expected = notApplicable.has(name) ? /^not_applicable/ : /^passed$/;
      expect(results[half].get(name)).toMatch(expected);
    });

    test('leaves nothing behind when its machine is gone too', () => {
      expect(left.get(half)).toEqual([]);
    });
  });
});

/** A machine of a pool, as an execution holds one. */
async function lendMachine(
  half: Half,
  tenant: Tenant,
  context: (signal: AbortSignal) => ProviderContext,
): Promise<{ pool: { machine: Machine }; giveBack: () => Promise<void> }> {
  const { pools } = openstackProvider;
  if (pools === undefined) throw new Error('the provider has no pools');
  const { data_path: _, ...minion } = minionEnvironment;
  const ctx = context(new AbortController().signal);
  const pool = {
    key: `conformance-${half}`,
    side: half === 'source' ? 'source' : 'destination',
    osType: 'linux',
    environment: { ...minion, minion_network: tenant.network.name },
  } as const;
  const request: MachineRequest = { ...pool, key: `machine-${half}`, shared: await pools.createShared(ctx, pool) };
  const machine = await pools.createMachine(ctx, request);
  await pools.checkMachine(ctx, request, machine);
  step(`${half}: its machine is ready`);
  const giveBack = async (): Promise<void> => {
    await pools.deleteMachine(ctx, request);
    await pools.deleteShared(ctx, pool);
  };
  return { pool: { machine }, giveBack };
}
