import { GodwitError } from '@godwit/domain';
import type { Ledger } from '@godwit/provider';
import type { Db } from '@godwit/store';
import { findLedger, intendLedger, type LedgerOwner, markMade, markRemoved } from '@godwit/store';
import { type DatabaseRetry, whileDatabaseIsAway } from './database-retry.ts';

/**
 * The ledger of one task. `intend` resolves when it is committed: what a provider makes after it can be found and removed
 * by anybody, whatever becomes of this process. What is made for a pool is kept for it; of a thing that was announced for a
 * pool and never confirmed nobody knows whether it is still about to appear, so that it is left to the reaper.
 */
export function taskLedger(db: Db, owner: LedgerOwner, retry: DatabaseRetry): Ledger {
  const forPool = (owner.poolId ?? null) !== null;
  return {
    intend: async (kind, name, handle, keep = 'execution') => {
      const row = await whileDatabaseIsAway(retry, () =>
        intendLedger(db, owner, { kind, name, handle, keep: forPool ? 'pool' : keep }),
      );
      return { id: row.id, kind, name: row.name, handle: row.handle };
    },
    made: (entry, handle) => whileDatabaseIsAway(retry, () => markMade(db, entry.id, handle)),
    removed: (kind, name) =>
      whileDatabaseIsAway(retry, async () => {
        const row = await findLedger(db, owner.endpointId, kind, name);
        if (row !== undefined && (!forPool || row.state !== 'intended')) await markRemoved(db, row.id);
      }),
  };
}

/** For calls that only look: making anything there is a defect of the provider. */
export const noLedger: Ledger = {
  intend: (kind, name) =>
    Promise.reject(
      new GodwitError('INTERNAL', `${kind} ${name}`, { reason: 'a call that only looks must make nothing' }),
    ),
  made: () => Promise.resolve(),
  removed: () => Promise.resolve(),
};
