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

/** The parts of the contract run side by side, each as an ordinary member of a project of its own. */
const parts = { source: ['endpoint', 'instance'], target: ['scratch'], deployment: ['deployment'] } as const;
type Part = keyof typeof parts;
const names: Part[] = ['source', 'target', 'deployment'];

/** What OpenStack cannot have: change tokens. */
const notApplicable = new Set([
  'tells exactly what changed since a token, disk by disk, with an idle first disk',
  'answers a stale token with unknown, and drops it twice without complaint',
]);

/** All checks of a part work through one machine of a pool: a boot for each would take hours. */
describe('the provider openstack in a real cloud, through minions', () => {
  const results = new Map(names.map((part) => [part, new Map<string, string>()]));
  const left = new Map<Part, string[]>();
  const tenants: Tenant[] = [];
  const folder = mkdtempSync(path.join(tmpdir(), 'gwcon-'));

  async function run(part: Part, cloud: Cloud): Promise<void> {
    const tenant = await createTenant(cloud, part);
    tenants.push(tenant);
    await Promise.all([tenant.quota('volumev3', { volumes: 30, snapshots: 30 }), tenant.quota('compute', { ram: -1 })]);
    const foreign = await createVolume(tenant.api, 'foreign', 1);
    const ledger = new MemoryLedger();
    const context = (signal: AbortSignal, more: Partial<ProviderContext> = {}): ProviderContext => ({
      endpoint: `endpoint ${part}`,
      connectionInfo: connectionOf(tenant.credentials),
      signal,
      ledger,
      workDir: folder,
      progress: (message) => step(`${part}: ${message}`),
      ...more,
    });
    const everything = () => listCloud(cloud, { project: tenant.projectId, users: [tenant.credentials] });
    const before = await everything();
    const machine = await lendMachine(part, tenant, context);
    const { data_path, ...minion } = minionEnvironment;
    const environment = { data_path, ...minion, minion_network: tenant.network.name };
    const options: ConformanceOptions = {
      needs: parts[part],
      scratch: part !== 'source',
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
      step(`${part}: ${name}: ${status} in ${Math.round(seconds)} s: ${detail}`);
      results.get(part)?.set(name, status === 'passed' ? status : `${status}: ${detail}`);
    }
    await machine.giveBack();
    // The instance that the source's checks looked at is not theirs to remove.
    const { came } = difference(before, await everything());
    left.set(part, part === 'source' ? came.filter((line) => line.includes('godwit')) : came);
  }

  beforeAll(async () => {
    const { src, dst } = await runningClouds(inject('cloudsInstance'));
    await Promise.all([run('source', src), run('target', dst), run('deployment', dst)]);
  }, 1_800_000);

  afterAll(async () => {
    step('removing everything');
    await Promise.all(tenants.map((tenant) => tenant.remove()));
    rmSync(folder, { recursive: true, force: true });
  });

  describe.each(names)('as a %s', (part) => {
    test.each(conformanceChecks(parts[part]))('%s', (name) => {
      const expected = notApplicable.has(name) ? /^not_applicable/ : /^passed$/;
      expect(results.get(part)?.get(name)).toMatch(expected);
    });

    test('leaves nothing behind when its machine is gone too', () => {
      expect(left.get(part)).toEqual([]);
    });
  });
});

/** A machine of a pool, as an execution holds one. */
async function lendMachine(
  part: Part,
  tenant: Tenant,
  context: (signal: AbortSignal) => ProviderContext,
): Promise<{ pool: { machine: Machine }; giveBack: () => Promise<void> }> {
  const { pools } = openstackProvider;
  if (pools === undefined) throw new Error('the provider has no pools');
  const { data_path: _, ...minion } = minionEnvironment;
  const ctx = context(new AbortController().signal);
  const pool = {
    key: `conformance-${part}`,
    side: part === 'source' ? 'source' : 'destination',
    osType: 'linux',
    environment: { ...minion, minion_network: tenant.network.name },
  } as const;
  const request: MachineRequest = { ...pool, key: `machine-${part}`, shared: await pools.createShared(ctx, pool) };
  const machine = await pools.createMachine(ctx, request);
  await pools.checkMachine(ctx, request, machine);
  step(`${part}: its machine is ready`);
  const giveBack = async (): Promise<void> => {
    await pools.deleteMachine(ctx, request);
    await pools.deleteShared(ctx, pool);
  };
  return { pool: { machine }, giveBack };
}
