import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@godwit/domain';
import { sql, type Updateable } from 'kysely';
import type { Db } from './database.ts';
import { type ReplicaDisk, type ReplicaDiskTable, toJson } from './tables.ts';

export interface NewReplicaDisk {
  transferId: string;
  instance: string;
  diskId: string;
  /** Bytes. */
  size: number;
  /** The provider's TargetDisk. */
  target: JsonObject;
  zeroed: boolean;
}

/**
 * Notes the target of a disk. A disk that is known already keeps its leaves and token; only target, size and `zeroed`
 * (when nothing was ever copied) follow.
 */
export async function putReplicaDisk(db: Db, disk: NewReplicaDisk): Promise<ReplicaDisk> {
  return db
    .insertInto('replica_disk')
    .values({
      id: randomUUID(),
      transfer_id: disk.transferId,
      instance: disk.instance,
      disk_id: disk.diskId,
      size: disk.size,
      target: toJson(disk.target),
      zeroed: disk.zeroed,
    })
    .onConflict((oc) =>
      oc.columns(['transfer_id', 'instance', 'disk_id']).doUpdateSet((eb) => ({
        size: eb.ref('excluded.size'),
        target: eb.ref('excluded.target'),
        updated_at: sql<Date>`now()`,
      })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function getReplicaDisk(db: Db, id: string): Promise<ReplicaDisk | undefined> {
  return db.selectFrom('replica_disk').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Disks of a transfer (of one instance), in the order they were made. */
export async function listReplicaDisks(db: Db, transferId: string, instance?: string): Promise<ReplicaDisk[]> {
  return db
    .selectFrom('replica_disk')
    .selectAll()
    .where('transfer_id', '=', transferId)
    .$if(instance !== undefined, (q) => q.where('instance', '=', instance!))
    .orderBy('created_at')
    .orderBy('disk_id')
    .execute();
}

export async function updateReplicaDisk(
  db: Db,
  id: string,
  change: Updateable<ReplicaDiskTable>,
): Promise<ReplicaDisk | undefined> {
  return db
    .updateTable('replica_disk')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
}

/** Forgets disks for good, with their leaves: the next execution starts from nothing. Returns what was forgotten. */
export async function deleteReplicaDisks(db: Db, transferId: string, instance?: string): Promise<ReplicaDisk[]> {
  return db
    .deleteFrom('replica_disk')
    .where('transfer_id', '=', transferId)
    .$if(instance !== undefined, (q) => q.where('instance', '=', instance!))
    .returningAll()
    .execute();
}
