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
 * Notes the target of a disk. A disk that is known already keeps its leaves and token; only target and size follow. That
 * it reads as zeroes counts on only for the same disk of the same size: of what was grown, or made anew, the provider says
 * it again or nobody does.
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
        zeroed: sql<boolean>`excluded.zeroed or (replica_disk.zeroed and excluded.size = replica_disk.size
          and excluded.target -> 'size' is not distinct from replica_disk.target -> 'size'
          and excluded.target -> 'handle' is not distinct from replica_disk.target -> 'handle')`,
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

/**
 * Notes that a deployment takes the disks themselves and may write to them: from here on nothing that is known of them
 * counts, until {@link giveBackReplicaDisks} says that they are as they were.
 */
export async function lendReplicaDisks(
  db: Db,
  transferId: string,
  instance: string,
  deploymentId: string,
): Promise<void> {
  await setLent(db, transferId, instance, deploymentId);
}

/** The disks hold again, byte for byte, what they held when they were lent. */
export async function giveBackReplicaDisks(db: Db, transferId: string, instance: string): Promise<void> {
  await setLent(db, transferId, instance, null);
}

async function setLent(db: Db, transferId: string, instance: string, deploymentId: string | null): Promise<void> {
  await db
    .updateTable('replica_disk')
    .set({ lent_to: deploymentId, updated_at: sql<Date>`now()` })
    .where('transfer_id', '=', transferId)
    .where('instance', '=', instance)
    .execute();
}

/** Forgets disks that were lent and never given back: nobody knows what they hold. Returns what was forgotten. */
export async function forgetLentReplicaDisks(db: Db, transferId: string, instance: string): Promise<ReplicaDisk[]> {
  return db
    .deleteFrom('replica_disk')
    .where('transfer_id', '=', transferId)
    .where('instance', '=', instance)
    .where('lent_to', 'is not', null)
    .returningAll()
    .execute();
}

/**
 * What execution `number` proved of the disks of an instance counts no more: its snapshot was lost, and the next one shows
 * another moment. They are compared whole from here on, the receipts go, and whoever owned one of the disks, complete or
 * not, is refused: it may still be about to complete it from the lost snapshot.
 */
export async function disownReplicaDisks(
  db: Db,
  transferId: string,
  instance: string,
  execution: { id: string; number: number },
): Promise<void> {
  const proven = sql<boolean>`complete_no = ${execution.number}`;
  await db
    .updateTable('replica_disk')
    .set((eb) => ({
      complete_no: sql<number>`case when ${proven} then 0 else complete_no end`,
      complete_size: sql<number>`case when ${proven} then 0 else complete_size end`,
      complete_snapshot: sql<string | null>`case when ${proven} then null else complete_snapshot end`,
      token: sql<string | null>`case when ${proven} then null else token end`,
      fence: eb('fence', '+', 1),
      updated_at: sql<Date>`now()`,
    }))
    .where('transfer_id', '=', transferId)
    .where('instance', '=', instance)
    .execute();
  await db.deleteFrom('receipt').where('execution_id', '=', execution.id).where('instance', '=', instance).execute();
}

/**
 * Ids of those disks of a transfer that hold a mixture: an execution after the last complete one wrote to them and did not
 * come to its end.
 */
export async function tornReplicaDisks(db: Db, transferId: string): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    select disk.id from replica_disk disk
    where disk.transfer_id = ${transferId} and (
      ((disk.progress ->> 'executionNumber')::integer > disk.complete_no
        and jsonb_array_length(disk.progress -> 'intent') > 0)
      or exists (select 1 from leaf_group part
        where part.replica_disk_id = disk.id and part.changed_no > disk.complete_no))`.execute(db);
  return new Set(rows.map((row) => row.id));
}
