import type { LedgerEntry, ProviderContext } from '@godwit/provider';
import { openFolder } from './connection.ts';
import { removeDeployed } from './deploy.ts';
import { deleteDiskSnapshot } from './disk-snapshot.ts';
import { removeReplica, replicaOf } from './replica.ts';
import { removeSnapshotFolder } from './snapshot.ts';

/** See `Provider.remove`. Everything it may remove carries a mark with the key in the entry's handle. */
export async function remove(ctx: ProviderContext, entry: LedgerEntry): Promise<void> {
  switch (entry.kind) {
    case 'snapshot':
      await removeSnapshotFolder(ctx, entry.handle);
      break;
    case 'disk': {
      const root = await openFolder(ctx);
      await removeReplica(root, await replicaOf(root, { id: entry.name, handle: entry.handle }));
      break;
    }
    case 'disk_snapshot': {
      const root = await openFolder(ctx);
      const { snapshot } = entry.handle;
      const replica = await replicaOf(root, { id: entry.name, handle: entry.handle });
      if (typeof snapshot === 'string') await deleteDiskSnapshot(root, replica, snapshot);
      break;
    }
    case 'instance':
      await removeDeployed(ctx, entry.handle);
      break;
    default:
      // This provider makes no other kinds: there is nothing to remove.
      return;
  }
  await ctx.ledger.removed(entry.kind, entry.name);
}
