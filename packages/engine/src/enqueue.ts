import type { Database } from '@godwit/store';
import { sql, type Transaction } from 'kysely';
import { APPLICATION, CONTRACT_VERSION } from './contract.ts';

/** A workflow to be run by whichever worker takes it from its queue. */
export interface QueuedWorkflow {
  workflow: string;
  /** A second one of the same id is not queued. */
  id: string;
  queue: string;
  args: readonly (string | number)[];
  /** Whose turns and limits it counts for within the queue; default: nobody's. */
  party?: string;
  /** Lower ones first; default 0. */
  priority?: number;
}

/**
 * Queues a workflow with the commit of the transaction. By the SQL function that the durable engine offers for that
 * (https://docs.dbos.dev/explanations/system-tables): one statement, where its client takes two and the wait between them.
 */
export async function enqueueWorkflow(trx: Transaction<Database>, queued: QueuedWorkflow): Promise<void> {
  await sql`select dbos.enqueue_workflow(
    workflow_name => ${queued.workflow}, queue_name => ${queued.queue}, workflow_id => ${queued.id},
    positional_args => ${queued.args.map((arg) => JSON.stringify(arg))}::json[],
    queue_partition_key => ${queued.party ?? null}, priority => ${queued.priority ?? 0}::integer,
    app_version => ${sql.lit(CONTRACT_VERSION)}, application_name => ${sql.lit(APPLICATION)})`.execute(trx);
}
