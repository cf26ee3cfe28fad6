import { type Db, deleteReplicaDisks } from '@godwit/store';
import { sql } from 'kysely';

/**
 * Disks that a deployment took as they are belong to its instance: the ledger keeps them for ever, and the transfer
 * forgets them, so that its next execution is a full copy to new ones. One transaction.
 */
export async function handOverDisks(db: Db, transferId: string, instance: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx
      .updateTable('ledger')
      .set({ keep: 'forever', updated_at: sql<Date>`now()` })
      .where('transfer_id', '=', transferId)
      .where('kind', '=', 'disk')
      .where('keep', '=', 'transfer')
      .where('state', '<>', 'removed')
      .where((eb) =>
        eb.or([
          eb('task_id', 'in', (qb) => qb.selectFrom('task').select('id').where('instance', '=', instance)),
          // The task that made the disk may be long forgotten; the entry still names the same thing as the replica does.
          eb.exists(
            eb
              .selectFrom('replica_disk as disk')
              .select('disk.id')
              .where('disk.transfer_id', '=', transferId)
              .where('disk.instance', '=', instance)
              .where(sql<boolean>`disk.target -> 'handle' = ledger.handle`),
          ),
        ]),
      )
      .execute();
    await deleteReplicaDisks(trx, transferId, instance);
  });
}
