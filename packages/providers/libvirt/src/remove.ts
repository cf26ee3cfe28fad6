import { GodwitError, type JsonObject } from '@godwit/domain';
import type { LedgerEntry, ProviderContext } from '@godwit/provider';
import { thaw } from './backup.ts';
import { deleteCheckpoint } from './checkpoint.ts';
import { type Host, openHost } from './connection.ts';
import { removeDeployed } from './deploy.ts';
import { deleteDiskSnapshot } from './disk-snapshot.ts';
import { findDomain, isActive } from './inventory.ts';
import { checkKey } from './mark.ts';
import { replicaOf } from './replica.ts';
import { endSnapshot } from './source.ts';
import { deleteReplica } from './target.ts';
import { removeTestNetwork } from './test-network.ts';

/** Removes one thing of the ledger; whatever does not carry our mark is left alone. */
export async function remove(ctx: ProviderContext, entry: LedgerEntry): Promise<void> {
  const host = await openHost(ctx);
  const { handle } = entry;
  const instance = text(handle, 'instance');
  switch (entry.kind) {
    case 'snapshot': {
      const folders = Array.isArray(handle.folders) ? handle.folders.map(String) : [];
      await thawLeft(host, instance);
      return endSnapshot(host, instance, checkKey(text(handle, 'key')), folders);
    }
    case 'token':
      return deleteCheckpoint(host, instance, text(handle, 'token'));
    case 'disk':
      return deleteReplica(host, replicaOf(entry.name, handle));
    case 'disk_snapshot':
      return deleteDiskSnapshot(host, replicaOf(entry.name, handle), checkKey(text(handle, 'snapshot')));
    case 'instance':
      return removeDeployed(host, handle);
    case 'network':
      return removeTestNetwork(host, text(handle, 'key'));
    default:
      throw new GodwitError('FORBIDDEN', `${entry.kind} ${entry.name}`, {
        reason: 'this provider makes no such thing',
      });
  }
}

/** A snapshot that nobody finished may have left the guest frozen. */
async function thawLeft(host: Host, instance: string): Promise<void> {
  try {
    const domain = await findDomain(host, instance);
    if (isActive(domain) && domain.agent) await thaw(host, domain);
  } catch (error) {
    if (!(error instanceof GodwitError && error.code === 'NOT_FOUND')) throw error;
  }
}

function text(handle: JsonObject, name: string): string {
  const value = handle[name];
  return typeof value === 'string' ? value : '';
}
