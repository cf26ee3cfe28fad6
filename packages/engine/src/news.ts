import type { JsonObject } from '@godwit/domain';
import { type Database, EVENT_CHANNEL, type NewEvent } from '@godwit/store';
import { sql, type Transaction } from 'kysely';

/**
 * Events of one transaction, gathered while it works and written with one statement: what a step of an execution takes is
 * mostly round trips.
 */
export class News {
  readonly #projectId: string;
  readonly #events: NewEvent[] = [];

  constructor(projectId: string) {
    this.#projectId = projectId;
  }

  add(type: string, objectType: string, objectId: string, payload: JsonObject): void {
    this.#events.push({ projectId: this.#projectId, type, objectType, objectId, payload });
  }

  /** Writes what was gathered, in order, and announces it with the commit. */
  async write(trx: Transaction<Database>): Promise<void> {
    const events = this.#events.splice(0);
    if (events.length === 0) return;
    const rows = events.map((event) => ({
      type: event.type,
      object_type: event.objectType,
      object_id: event.objectId,
      payload: event.payload ?? {},
    }));
    await sql`
      with added as (
        insert into event (project_id, type, object_type, object_id, payload)
        select ${this.#projectId}, type, object_type, object_id, payload
        from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
          as given (type text, object_type text, object_id text, payload jsonb)
        returning id)
      select pg_notify(${EVENT_CHANNEL}, id::text) from added`.execute(trx);
  }
}
