import type { Db } from '@godwit/store';
import { sql } from 'kysely';
import { CONTROL_QUEUE } from './contract.ts';

/** Where an execution stands among those that wait for a worker. */
export interface QueuePlace {
  /** Who waits in turn with others: the source endpoint. */
  party: string;
  /** 0 and up, lower ones first; equal ones in the order in which they came. */
  place: number;
}

/**
 * The place of a transfer's next execution, so that all parties are served in turn: one behind the last of its own party that
 * waits, and not before the first of all that wait. The hundredth of one source stands behind the first of another that came
 * later. Nothing is counted: two looks into the queue's indexes. Two that ask at once may get the same place, which is as good.
 *
 * Undefined: there is no such transfer.
 */
export async function queuePlace(db: Db, transferId: string): Promise<QueuePlace | undefined> {
  const queued = sql`queue_name = ${sql.lit(CONTROL_QUEUE)} and status = 'ENQUEUED'`;
  const { rows } = await sql<QueuePlace>`
    select origin_endpoint_id as party, greatest(0,
      (select min(priority) from dbos.workflow_status where ${queued}),
      (select max(priority) + 1 from dbos.workflow_status where ${queued} and queue_partition_key = origin_endpoint_id)
    ) as place
    from transfer where id = ${transferId}`.execute(db);
  return rows[0];
}
