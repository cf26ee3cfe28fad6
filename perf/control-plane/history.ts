import { connect } from '@godwit/store';
import { sql } from 'kysely';
import type { Installation } from '../../testbed/spine/installation.ts';

const TASKS = 10;

export interface History {
  transfers: string[];
  /** Route of one execution of each of these transfers. */
  executions: string[];
}

/**
 * Writes a past into the database: transfers with two executions of ten tasks each, every task with an event and a progress
 * update, as an installation has them after some weeks.
 */
export async function writeHistory(
  installation: Installation,
  transfers: number,
  endpoints: { origin: string; destination: string },
): Promise<History> {
  const connection = connect(installation.databaseUrl(), { max: 1 });
  const { db } = connection;
  try {
    await sql`insert into transfer (id, project_id, user_id, scenario, instances, origin_endpoint_id, destination_endpoint_id,
        source_environment, destination_environment, network_map, last_execution_status, last_execution_number, created_at,
        updated_at, notes)
      select gen_random_uuid(), ${installation.projectId}, 'bench', 'replica', jsonb_build_array('vm-' || n),
        ${endpoints.origin}, ${endpoints.destination}, '{"a": 1}', '{"flavor": "m1.small", "network": "lan"}',
        '{"VM Network": "lan", "Backup": "backup"}', case when n % 20 = 0 then 'ERROR' else 'COMPLETED' end, 2,
        now() - n * interval '1 minute', now() - n * interval '30 seconds', 'transfer ' || n
      from generate_series(1, ${transfers}) n`.execute(db);
    await sql`insert into execution (id, action_id, action_type, number, type, status, started_at, finished_at, created_at, updated_at)
      select gen_random_uuid(), id, 'transfer', number, 'transfer_execution', 'COMPLETED', created_at, created_at, created_at,
        created_at from transfer, generate_series(1, 2) number where user_id = 'bench'`.execute(db);
    await sql`insert into task (id, execution_id, instance, task_type, status, index, attempt, host, process_id, started_at,
        finished_at, created_at, updated_at)
      select gen_random_uuid(), execution.id, 'vm', 'GET_INSTANCE_INFO', 'COMPLETED', index, 1, 'host', 1, now(), now(), now(),
        now()
      from execution join transfer on transfer.id = action_id and user_id = 'bench',
        generate_series(1, ${TASKS}) index`.execute(db);
    const benchTasks = sql`task join execution on execution.id = execution_id join transfer on transfer.id = action_id
      and transfer.user_id = 'bench'`;
    await sql`insert into task_event (id, task_id, level, message, index)
      select gen_random_uuid(), task.id, 'INFO', 'Something was done to something', 1 from ${benchTasks}`.execute(db);
    await sql`insert into progress_update (id, task_id, index, current_step, total_steps, message)
      select gen_random_uuid(), task.id, 1, 10, 10, 'Replicating' from ${benchTasks}`.execute(db);
    await sql`vacuum analyze`.execute(db);
    const rows = await sql<{ transfer: string; execution: string }>`
      select transfer.id as transfer, execution.id as execution from transfer join execution on action_id = transfer.id
      where user_id = 'bench' and number = 2 order by md5(transfer.id) limit 2000`.execute(db);
    return {
      transfers: rows.rows.map((row) => row.transfer),
      executions: rows.rows.map((row) => `/transfers/${row.transfer}/executions/${row.execution}`),
    };
  } finally {
    await connection.close();
  }
}
