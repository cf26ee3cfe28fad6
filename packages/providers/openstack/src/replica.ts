import { GodwitError, type JsonObject } from '@godwit/domain';
import { checkInput, type TargetDisk } from '@godwit/provider';
import { Type } from 'typebox';
import type { Volume } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import type { DestinationEnvironment, MinionEnvironment } from './environment.ts';
import { checkKey, digest, isMarked, PREFIX } from './mark.ts';
import { orNull } from './wait.ts';

/**
 * A replica disk: a volume that is written through a minion, or a file on the worker that becomes a volume when it is
 * deployed. Named `godwit-KEY-DISK`; the volume's metadata say the same, and `godwit_zeroed` once it is known to be zero
 * where nothing was written.
 */
export type Replica = VolumeReplica | FileReplica;

export interface VolumeReplica {
  kind: 'volume';
  id: string;
  volume: string;
  key: string;
  transfer: string;
  environment: MinionEnvironment;
  object: string;
}

export interface FileReplica {
  kind: 'file';
  id: string;
  path: string;
  key: string;
  object: string;
}

const volumeSchema = Type.Object({
  kind: Type.Literal('volume'),
  volume: Type.String(),
  key: Type.String(),
  transfer: Type.String(),
  environment: Type.Object({}),
});
const fileSchema = Type.Object({
  kind: Type.Literal('file'),
  path: Type.String({ pattern: '^/' }),
  key: Type.String(),
});

/** Fields of the environment that the writing of a disk needs later, without the rest. */
export function minionPart(environment: DestinationEnvironment): JsonObject {
  const fields = Object.entries(environment).filter(([name]) => name.startsWith('minion_'));
  return JSON.parse(JSON.stringify(Object.fromEntries(fields)));
}

export function replicaOf(id: string, handle: JsonObject): Replica {
  const object = `replica disk ${id}`;
  if (handle.kind === 'file') {
    const { path, key } = checkInput(fileSchema, handle, `handle of disk ${id}`);
    const marked = path
      .split('/')
      .at(-1)
      ?.startsWith(`${PREFIX}${checkKey(key)}-`);
    if (!marked || path.includes('/../')) {
      throw new GodwitError('FORBIDDEN', object, { reason: `Godwit did not make ${path}` });
    }
    return { kind: 'file', id, path, key, object };
  }
  const { volume, key, transfer, environment } = checkInput(volumeSchema, handle, `handle of disk ${id}`);
  return { kind: 'volume', id, volume, key: checkKey(key), transfer, environment, object };
}

export function replicaOfDisk(disk: TargetDisk): Replica {
  return replicaOf(disk.id, disk.handle);
}

/** @throws GodwitError UNSUPPORTED: staged files */
export function volumeReplicas(disks: readonly TargetDisk[]): VolumeReplica[] {
  return disks.map(replicaOfDisk).flatMap((replica) => (replica.kind === 'volume' ? [replica] : []));
}

export function diskName(key: string, disk: string): string {
  return `${PREFIX}${checkKey(key)}-${digest(disk)}`;
}

/** The volume of a replica disk, as it is now. @throws GodwitError NOT_FOUND, FORBIDDEN (not ours) */
export async function ownVolume(cloud: Cloud, replica: VolumeReplica): Promise<Volume> {
  const volume = await orNull(cloud.volumes.volume(replica.volume));
  if (volume === null) throw new GodwitError('NOT_FOUND', `${replica.object} (volume ${replica.volume})`);
  if (isMarked(volume.metadata, replica.key)) return volume;
  throw new GodwitError('FORBIDDEN', replica.object, { reason: `Godwit did not make volume ${replica.volume}` });
}

/** True when an instance took the volume over for good: it is the user's then. */
export function isHandedOver(volume: Volume): boolean {
  return volume.metadata?.godwit_role === 'instance';
}
