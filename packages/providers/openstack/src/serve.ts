import { pushAgent } from '@godwit/agent';
import type { DiskAddress } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { OpenDisks, ProviderContext } from '@godwit/provider';
import { attachVolumes, detachVolumes } from './attachment.ts';
import type { Cloud } from './client/cloud.ts';
import { deleteServer, type Minion } from './minion.ts';

/** Characters of a volume's id that a virtio disk shows as its serial number. */
const SERIAL_LENGTH = 20;
/** Milliseconds that a minion may take from ACTIVE to an answer by SSH; emulated ones take a minute and more. */
const SSH_MS = 240_000;
const DEVICE_MS = 60_000;

export interface ServedVolume {
  /** Disk id. */
  id: string;
  volume: string;
}

/** Attaches volumes to a minion and serves them from there. `close` ends the serving and detaches; the minion stays. */
export async function serveVolumes(
  cloud: Cloud,
  ctx: ProviderContext,
  minion: Minion,
  volumes: readonly ServedVolume[],
  readOnly: boolean,
): Promise<OpenDisks> {
  const ids = volumes.map(({ volume }) => volume);
  let answers = false;
  const pushing = pushAgent({
    host: minion.host,
    user: minion.user,
    privateKey: minion.privateKey,
    hostKeys: minion.hostKeys,
    devices: Object.fromEntries(
      volumes.map(({ id, volume }) => [id, { serial: volume.slice(0, SERIAL_LENGTH), readOnly }]),
    ),
    workDir: ctx.workDir,
    label: `minion ${minion.server.name} of ${cloud.label}`,
    signal: ctx.signal,
    waitMs: SSH_MS,
    deviceWaitMs: DEVICE_MS,
    // Not before it answers: a disk that is plugged in while the kernel counts its devices may cost it the root disk.
    plug: () => {
      answers = true;
      return attachVolumes(cloud, minion, ids);
    },
  });
  const agent = await pushing.catch(async (error: unknown) => {
    const failed = error instanceof GodwitError && error.code === 'CONNECTION_FAILED';
    if (failed && !answers && ctx.pool === undefined && !ctx.signal.aborted) {
      ctx.progress(`Minion ${minion.server.name} does not answer; another takes its place`);
      await deleteServer(cloud, minion.server);
    }
    throw error;
  });
  let closing: Promise<void> | null = null;
  const addresses: Record<string, DiskAddress> = agent.addresses;
  return {
    addresses,
    close: () => {
      closing ??= (async () => {
        await agent.close();
        await detachVolumes(cloud.unaborted(), minion.server.id, ids);
      })();
      return closing;
    },
  };
}
