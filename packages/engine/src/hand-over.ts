import type { InstanceInfo } from '@godwit/domain';
import { type Db, type Deployment, deleteReplicaDisks, markMigrated } from '@godwit/store';
import { sql } from 'kysely';

/** Kinds of things that a running instance is made of. */
const OF_AN_INSTANCE = ['instance', 'disk', 'network', 'file'];

/**
 * An instance that was brought to its end belongs to its user: the ledger keeps what it is made of for ever. Disks that were
 * not cloned are part of it, so the transfer forgets them and its next execution is a full copy to new ones. In the
 * inventory its source counts as migrated. One transaction; done already is success.
 *
 * @param instance as the transfer names it
 * @param source what it is at its origin
 */
export async function handOver(db: Db, deployment: Deployment, instance: string, source: InstanceInfo): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { id, name, num_cpu, memory_mb, os_type } = source;
    const seen = { externalId: id, name, data: { id, name, num_cpu, memory_mb, os_type } };
    const owner = { projectId: deployment.project_id, endpointId: deployment.origin_endpoint_id };
    await markMigrated(trx, owner, 'instance', seen);
    const keepForever = trx
      .updateTable('ledger')
      .set({ keep: 'forever', updated_at: sql<Date>`now()` })
      .where('state', '<>', 'removed');
    await keepForever
      .where('deployment_id', '=', deployment.id)
      .where('kind', 'in', OF_AN_INSTANCE)
      .where('keep', '=', 'deployment')
      .where('task_id', 'in', (qb) => qb.selectFrom('task').select('id').where('instance', '=', instance))
      .execute();
    if (deployment.clone_disks) return;
    await keepForever
      .where('transfer_id', '=', deployment.transfer_id)
      .where('kind', '=', 'disk')
      .where('keep', '=', 'transfer')
      .where((eb) =>
        eb.or([
          eb('task_id', 'in', (qb) => qb.selectFrom('task').select('id').where('instance', '=', instance)),
          // The task that made the disk may be long forgotten; the entry still names the same thing as the replica does.
          eb.exists(
            eb
              .selectFrom('replica_disk as disk')
              .select('disk.id')
              .where('disk.transfer_id', '=', deployment.transfer_id)
              .where('disk.instance', '=', instance)
              .where(sql<boolean>`disk.target -> 'handle' = ledger.handle`),
          ),
        ]),
      )
      .execute();
    await deleteReplicaDisks(trx, deployment.transfer_id, instance);
  });
}
