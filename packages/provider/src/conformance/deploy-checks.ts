import { isDeepStrictEqual } from 'node:util';
import type { InstanceInfo } from '@godwit/domain';
import type { DeployedInstance, DeployRequest, ProviderContext, TargetDisk } from '../provider.ts';
import { InstanceInfoSchema } from '../schemas.ts';
import { type Bench, type Check, ensure } from './bench.ts';
import { ensureShape } from './inventory-checks.ts';
import { deployRequest, ensureFilled, fillDisks, withScratchDisks } from './scratch-instance.ts';

/** Instances out of disks; none is ever started. */
export const deployChecks: Check[] = [
  {
    name: 'deploys a clone, once per key, while replication goes on',
    needs: 'deployment',
    run: (bench) => deployBesideReplication(bench, { clone: true, test: false }),
  },
  {
    name: 'deploys a test failover, once per key, while replication goes on',
    needs: 'deployment',
    run: (bench) => deployBesideReplication(bench, { clone: true, test: true }),
  },
  {
    name: 'deploys the replica disks themselves and gives them back when that is undone',
    needs: 'deployment',
    run: async (bench) => {
      const before = await bench.everything();
      const detail = await withScratchDisks(bench, async (disks, request, ctx) => {
        await fillDisks(bench, ctx, disks, 21);
        const deploy = deployRequest(bench, request, disks, { clone: false, test: false });
        const { info, deployed } = await deployTwice(bench, ctx, deploy);
        ensureMachine(info, deploy);
        await bench.target.removeInstance(ctx, deployed);
        await bench.target.removeInstance(ctx, deployed);
        await ensureFilled(bench, ctx, disks, 21, 'after the deployment was undone');
        return `${info.name}: ${info.devices.disks.length} disk(s)`;
      });
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return detail;
    },
  },
  {
    name: 'hands nothing over to the user before an instance is finalized, and nothing of a test at all',
    needs: 'deployment',
    run: async (bench) => {
      const before = await bench.everything();
      for (const how of [
        { clone: true, test: false },
        { clone: false, test: false },
        { clone: true, test: true },
      ]) {
        await withScratchDisks(bench, (disks, request, ctx) =>
          finalizeThenUndo(bench, ctx, deployRequest(bench, request, disks, how)),
        );
      }
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return 'a failed deployment would be removed whole';
    },
  },
  {
    name: 'leaves nothing when the reaper removes a failed deployment',
    needs: 'deployment',
    run: async (bench) => {
      const before = await bench.everything();
      await withScratchDisks(bench, async (disks, request, ctx) => {
        await fillDisks(bench, ctx, disks, 22);
        const known = new Set(bench.live().map(({ kind, name }) => `${kind} ${name}`));
        await bench.target.deployInstance(ctx, deployRequest(bench, request, disks, { clone: true, test: true }));
        const made = bench.live().filter(({ kind, name }) => !known.has(`${kind} ${name}`));
        ensure(made.length > 0, 'an instance was made that the ledger does not know');
        for (const entry of made) await bench.provider.remove(ctx, entry);
        for (const entry of made) await ctx.ledger.removed(entry.kind, entry.name);
        await ensureFilled(bench, ctx, disks, 22, 'after the reaper came');
      });
      ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
      return 'only the deployment was removed';
    },
  },
];

async function deployBesideReplication(bench: Bench, how: { clone: boolean; test: boolean }): Promise<string> {
  const before = await bench.everything();
  const detail = await withScratchDisks(bench, async (disks, request, ctx) => {
    await fillDisks(bench, ctx, disks, 11);
    const deploy = deployRequest(bench, request, disks, how);
    const { info, deployed } = await deployTwice(bench, ctx, deploy);
    ensureMachine(info, deploy);
    if (how.test) ensureIsolated(info, request.networkMap);
    await fillDisks(bench, ctx, disks, 12);
    await bench.target.removeInstance(ctx, deployed);
    await bench.target.removeInstance(ctx, deployed);
    await ensureFilled(bench, ctx, disks, 12, 'after the instance was removed');
    return `${info.name}: ${info.devices.disks.length} disk(s), ${info.num_cpu} CPU(s), ${info.memory_mb} MiB`;
  });
  ensure(isDeepStrictEqual(await bench.everything(), before), 'the platform holds something that was not there');
  return detail;
}

/** What is handed over is never removed by the reaper: too early, and a deployment that fails leaves it for good. */
async function finalizeThenUndo(bench: Bench, ctx: ProviderContext, request: DeployRequest): Promise<void> {
  const refuse = (when: string): void => {
    const [early] = bench.handedOver();
    ensure(early === undefined, `${early?.kind} ${early?.name} was handed over ${when}`);
  };
  const deployed = await bench.target.deployInstance(ctx, request);
  refuse('before the instance was finalized');
  await bench.target.finalizeInstance(ctx, request, deployed);
  if (request.test) refuse('although it is a test');
  await bench.target.removeInstance(ctx, deployed);
}

async function deployTwice(
  bench: Bench,
  ctx: ProviderContext,
  request: DeployRequest & { disks: TargetDisk[] },
): Promise<{ info: InstanceInfo; deployed: DeployedInstance }> {
  const deployed = await bench.target.deployInstance(ctx, request);
  const everything = await bench.everything();
  const again = await bench.target.deployInstance(ctx, request);
  ensure(again.id === deployed.id, `the second call made ${again.id} beside ${deployed.id}`);
  ensure(isDeepStrictEqual(await bench.everything(), everything), 'the second call made something');
  const info = await bench.target.finalizeInstance(ctx, request, deployed);
  ensureShape(InstanceInfoSchema, info, `instance ${info.id}`);
  return { info, deployed };
}

function ensureMachine(info: InstanceInfo, request: DeployRequest): void {
  const { instance } = request;
  ensure(!info.running, 'it runs although it was not to be started');
  ensure(info.num_cpu === instance.num_cpu, `it has ${info.num_cpu} CPU(s) of ${instance.num_cpu}`);
  ensure(info.memory_mb === instance.memory_mb, `it has ${info.memory_mb} MiB of ${instance.memory_mb}`);
  ensure(info.firmware_type === instance.firmware_type, `its firmware is ${info.firmware_type}`);
  const sizes = info.devices.disks.map(({ size_bytes }) => size_bytes);
  const wanted = instance.devices.disks.map(({ size_bytes }) => size_bytes);
  ensure(sizes.length === wanted.length, `it has ${sizes.length} disk(s) of ${wanted.length}`);
  ensure(
    sizes.every((size, index) => size >= (wanted[index] ?? 0)),
    `its disks have ${sizes.join(', ')} bytes of ${wanted.join(', ')}`,
  );
}

function ensureIsolated(info: InstanceInfo, networkMap: Record<string, string>): void {
  const real = new Set(Object.values(networkMap));
  for (const nic of info.devices.nics) {
    ensure(!real.has(nic.network_name), `the test is connected to ${nic.network_name}`);
  }
}
