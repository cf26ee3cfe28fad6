import type { JsonObject } from '@godwit/domain';
import type { LedgerEntry, ProviderContext } from '@godwit/provider';
import { deleteCheckpoint } from './checkpoint.ts';
import { openHost } from './connection.ts';
import { checkKey, isOurs } from './mark.ts';
import { endSnapshot } from './source.ts';

/** Removes one thing of the ledger; whatever does not carry our mark is left alone. */
export async function remove(ctx: ProviderContext, entry: LedgerEntry): Promise<void> {
  const host = await openHost(ctx);
  const { handle } = entry;
  const instance = text(handle, 'instance');
  switch (entry.kind) {
    case 'snapshot': {
      const folders = Array.isArray(handle.folders) ? handle.folders.map(String) : [];
      return endSnapshot(host, instance, checkKey(text(handle, 'key')), folders);
    }
    case 'token': {
      const token = text(handle, 'token');
      return isOurs(token) ? deleteCheckpoint(host, instance, token) : undefined;
    }
  }
}

function text(handle: JsonObject, name: string): string {
  const value = handle[name];
  return typeof value === 'string' ? value : '';
}
