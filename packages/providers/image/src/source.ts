import type { JsonObject } from '@godwit/domain';
import type { ProviderContext, SourceProvider } from '@godwit/provider';
import { sourceEnvironmentSchema } from './environment.ts';
import { checkImage } from './image-file.ts';
import { loadInstance } from './inventory.ts';
import { checkSnapshot, openSnapshot, releaseSnapshot, takeSnapshot } from './snapshot.ts';

/** A folder of VMs as a source. Its VMs do not run: what runs is read through its hypervisor's provider. */
export const source: SourceProvider = {
  environmentSchema: sourceEnvironmentSchema,
  validate,
  snapshot: takeSnapshot,
  open: openSnapshot,
  check: checkSnapshot,
  release: releaseSnapshot,
  // There are no tokens.
  dropToken: async () => undefined,
  shutdown: refuseRunning,
  powerOn: async (ctx, instance) => {
    await loadInstance(ctx, instance, {});
    ctx.progress(`${instance} is a folder of files: there is nothing to start`);
  },
};

async function validate(ctx: ProviderContext, id: string, environment: JsonObject): Promise<void> {
  const instance = await loadInstance(ctx, id, environment);
  for (const disk of instance.disks) {
    if (disk.image !== null) await checkImage(disk.image, disk.label, ctx.signal);
  }
}

/** Stopped is what files are, unless somebody else's hypervisor has them open. */
async function refuseRunning(ctx: ProviderContext, id: string): Promise<void> {
  await validate(ctx, id, {});
}
