import { sql } from 'kysely';
import type { Db } from './database.ts';

/** A webhook that has something to hear now. */
export interface DueWebhook {
  id: string;
  project_id: string;
}

/** What is not to be named, whatever waits for it. */
export interface PassedOver {
  webhooks: readonly string[];
  projects: readonly string[];
}

/**
 * Enabled webhooks with something to send now, in the order of their turns: of each project the first, then of each the
 * second, and so on. First come, in a project and among projects, those with nothing that failed, then those whose last
 * attempt is longest ago: receivers that hang or fail, however many and whatever waits for them, hold up nobody else.
 */
export async function dueWebhooks(db: Db, limit: number, without: PassedOver): Promise<DueWebhook[]> {
  const { rows } = await sql<DueWebhook>`
    select id, project_id from (
      select *, row_number() over (partition by project_id order by tried nulls first, since, id) as turn
      from (
        select webhook.id, webhook.project_id, min(next_at) as since,
          max(webhook_delivery.updated_at) filter (where attempts > 0) as tried
        from webhook_delivery join webhook on webhook.id = webhook_id
        where state = 'waiting' and enabled
          and webhook.id <> all(${[...without.webhooks]}) and webhook.project_id <> all(${[...without.projects]})
        group by webhook.id
        having min(next_at) <= clock_timestamp()
      ) as due
    ) as turns
    order by turn, tried nulls first, since, id
    limit ${limit}`.execute(db);
  return rows;
}
