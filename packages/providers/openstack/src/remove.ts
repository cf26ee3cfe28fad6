import { rm } from 'node:fs/promises';
import { GodwitError, type JsonObject } from '@godwit/domain';
import type { LedgerEntry, ProviderContext } from '@godwit/provider';
import { openCloud } from './connection.ts';
import { removeDeployed } from './deploy.ts';
import { deleteDiskSnapshot } from './disk-snapshot.ts';
import { checkKey, isMarked } from './mark.ts';
import { removeMinion } from './minion.ts';
import { removeShared } from './pools.ts';
import { replicaOf } from './replica.ts';
import { removeSnapshot } from './source.ts';
import { deleteVolume } from './source-things.ts';
import { deleteReplica } from './target.ts';
import { removeTestNetworks } from './test-network.ts';

/** Removes one thing of the ledger; whatever does not carry our mark is left alone. */
export async function remove(ctx: ProviderContext, entry: LedgerEntry): Promise<void> {
  const { handle } = entry;
  switch (entry.kind) {
    case 'snapshot':
      return removeSnapshot(ctx, handle);
    case 'export':
      return removeMinion(openCloud(ctx), checkKey(text(handle, 'key')));
    case 'disk':
      return removeDisk(ctx, entry);
    case 'disk_snapshot':
      return deleteDiskSnapshot(openCloud(ctx), checkKey(text(handle, 'key')), text(handle, 'volume'));
    case 'instance':
      return removeDeployed(openCloud(ctx), ctx, handle);
    case 'pool':
      return removeShared(openCloud(ctx), checkKey(text(handle, 'key')));
    case 'network':
      return removeTestNetworks(openCloud(ctx), checkKey(text(handle, 'key')));
    default:
      throw new GodwitError('FORBIDDEN', `${entry.kind} ${entry.name}`, {
        reason: 'this provider makes no such thing',
      });
  }
}

async function removeDisk(ctx: ProviderContext, entry: LedgerEntry): Promise<void> {
  const replica = replicaOf(entry.name, entry.handle);
  if (replica.kind === 'file') return rm(replica.path, { force: true });
  const cloud = openCloud(ctx);
  if (replica.volume !== '') return deleteReplica(cloud, replica);
  // The worker died between the announcement and the answer: what was made then bears the name and the mark.
  for (const volume of await cloud.volumes.volumes({ name: entry.name })) {
    if (volume.name === entry.name && isMarked(volume.metadata, replica.key, 'replica')) {
      await deleteVolume(cloud, volume.id);
    }
  }
}

function text(handle: JsonObject, name: string): string {
  const value = handle[name];
  return typeof value === 'string' ? value : '';
}
