import { randomUUID } from 'node:crypto';
import { type JsonObject, wantsEvent } from '@godwit/domain';
import { sql } from 'kysely';
import type { Webhook, WebhookDelivery } from './control-tables.ts';
import type { Db } from './database.ts';
import { type EventCursor, lastEvent, readEvents } from './events.ts';
import type { SecretBox } from './secrets.ts';
import { type StoredEvent, toJson } from './tables.ts';
import { inTransaction } from './transaction.ts';
import type { Scope } from './transfers.ts';

/**
 * Who outside is told of events, and what they have still to be told. Events become deliveries in their order, by one
 * process at a time, in the transaction that moves the cursor: a crash neither loses one nor makes it twice. Each delivery
 * is then sent by whoever claims it.
 */

/** The place in the order of events up to which deliveries were made; in the settings. */
const CURSOR = 'webhook_cursor';
/** Events that become deliveries in one transaction. */
const BATCH = 500;

export interface NewWebhook {
  projectId: string;
  userId: string;
  name: string;
  url: string;
  events: readonly string[];
  statuses: readonly string[];
  enabled: boolean;
  secret: string;
}

export async function insertWebhook(db: Db, secrets: SecretBox, webhook: NewWebhook): Promise<Webhook> {
  const id = randomUUID();
  return inTransaction(db, async (trx) => {
    if (webhook.enabled) await beginHere(trx);
    return trx
      .insertInto('webhook')
      .values({
        id,
        project_id: webhook.projectId,
        user_id: webhook.userId,
        name: webhook.name,
        url: webhook.url,
        events: toJson(webhook.events),
        statuses: toJson(webhook.statuses),
        enabled: webhook.enabled,
        signing_secret: secrets.seal({ table: 'webhook', id }, webhook.secret),
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  });
}

/** Oldest first. */
export async function listWebhooks(db: Db, scope: Scope): Promise<Webhook[]> {
  return db
    .selectFrom('webhook')
    .selectAll()
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

export async function getWebhook(db: Db, id: string, scope?: Scope): Promise<Webhook | undefined> {
  return db
    .selectFrom('webhook')
    .selectAll()
    .where('id', '=', id)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
}

export interface WebhookChange {
  name?: string;
  url?: string;
  events?: readonly string[];
  statuses?: readonly string[];
  enabled?: boolean;
  secret?: string;
}

/** While it is disabled nothing is kept for it: it hears of what happens once it is enabled again. */
export async function updateWebhook(
  db: Db,
  secrets: SecretBox,
  id: string,
  change: WebhookChange,
): Promise<Webhook | undefined> {
  const { events, statuses, secret, ...columns } = change;
  return inTransaction(db, async (trx) => {
    if (change.enabled === true) await beginHere(trx);
    return trx
      .updateTable('webhook')
      .set({
        ...columns,
        ...(events !== undefined && { events: toJson(events) }),
        ...(statuses !== undefined && { statuses: toJson(statuses) }),
        ...(secret !== undefined && { signing_secret: secrets.seal({ table: 'webhook', id }, secret) }),
        updated_at: sql<Date>`now()`,
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst();
  });
}

/** Removes it with its secret and all its deliveries; false when it never was. */
export async function deleteWebhook(db: Db, id: string): Promise<boolean> {
  const result = await db.deleteFrom('webhook').where('id', '=', id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

export function openWebhookSecret(secrets: SecretBox, webhook: Pick<Webhook, 'id' | 'signing_secret'>): string {
  return String(secrets.open({ table: 'webhook', id: webhook.id }, webhook.signing_secret));
}

/** The first enabled webhook hears of what happens from now on, not of all that is still kept. */
async function beginHere(trx: Db): Promise<void> {
  const now = toJson(await lastEvent(trx));
  await trx
    .insertInto('setting')
    .values({ key: CURSOR, value: now, updated_at: sql<Date>`now()` })
    .onConflict((oc) => oc.column('key').doNothing())
    .execute();
  await trx.selectFrom('setting').select('key').where('key', '=', CURSOR).forUpdate().execute();
  const enabled = await trx.selectFrom('webhook').select('id').where('enabled', '=', true).limit(1).execute();
  if (enabled.length > 0) return;
  await trx
    .updateTable('setting')
    .set({ value: now, updated_at: sql<Date>`now()` })
    .where('key', '=', CURSOR)
    .execute();
}

/**
 * Makes deliveries of the next events for all enabled webhooks of their projects. Events that belong to no project are
 * nobody's. Returns true when there may be more; false as well when another process is at it.
 *
 * @param bodyOf what is to be sent
 */
export async function makeDeliveries(db: Db, bodyOf: (event: StoredEvent) => JsonObject): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const hooks = await trx
      .selectFrom('webhook')
      .select(['id', 'project_id', 'events', 'statuses'])
      .where('enabled', '=', true)
      .execute();
    if (hooks.length === 0) return false;
    const cursor = await trx
      .selectFrom('setting')
      .select('value')
      .where('key', '=', CURSOR)
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (cursor === undefined) return false;
    const events = await readEvents(trx, undefined, cursor.value as unknown as EventCursor, BATCH);
    const last = events.at(-1);
    if (last === undefined) return false;
    const rows = events.flatMap((event) =>
      hooks
        .filter((hook) => hook.project_id === event.project_id && concerns(hook, event))
        .map((hook) => ({ id: randomUUID(), webhook_id: hook.id, event_id: event.id, body: bodyOf(event) })),
    );
    if (rows.length > 0) {
      // A webhook that was deleted meanwhile has none.
      await sql`
        insert into webhook_delivery (id, webhook_id, event_id, body)
        select given.id, webhook_id, event_id, body
        from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
          as given (id text, webhook_id text, event_id bigint, body jsonb)
        join webhook on webhook.id = webhook_id
        order by event_id
        on conflict (webhook_id, event_id) do nothing`.execute(trx);
    }
    const place: EventCursor = { xid: last.xid, id: last.id };
    await trx
      .updateTable('setting')
      .set({ value: toJson(place), updated_at: sql<Date>`now()` })
      .where('key', '=', CURSOR)
      .execute();
    return events.length === BATCH;
  });
}

/** A test goes to the one webhook that it is about, whatever that wants. */
function concerns(hook: Pick<Webhook, 'id' | 'events' | 'statuses'>, event: StoredEvent): boolean {
  if (event.type === 'webhook.test') return event.object_id === hook.id;
  return wantsEvent(hook, event.type, event.payload);
}

/**
 * Takes the next due delivery of a webhook for `leaseMs`; whoever took it and vanished leaves it to others then. Counts as
 * an attempt.
 */
export async function claimDelivery(db: Db, webhookId: string, leaseMs: number): Promise<WebhookDelivery | undefined> {
  return db
    .updateTable('webhook_delivery')
    .set((eb) => ({
      attempts: eb('attempts', '+', 1),
      next_at: sql<Date>`clock_timestamp() + ${leaseMs} * interval '1 ms'`,
      updated_at: sql<Date>`now()`,
    }))
    .where('id', '=', (eb) =>
      eb
        .selectFrom('webhook_delivery')
        .select('id')
        .where('webhook_id', '=', webhookId)
        .where('state', '=', 'waiting')
        .where('next_at', '<=', sql<Date>`clock_timestamp()`)
        .orderBy('next_at')
        .orderBy('event_id')
        .limit(1)
        .forUpdate()
        .skipLocked(),
    )
    .returningAll()
    .executeTakeFirst();
}

/** How an attempt ended. */
export interface DeliveryOutcome {
  /** `waiting`: it is tried again. */
  state: WebhookDelivery['state'];
  /** Milliseconds until it is. Default 0. */
  delayMs?: number;
  /** HTTP status of the answer, when there was one. */
  status: number | null;
  error: string | null;
}

/** Writes it, unless the claim has passed to another attempt. */
export async function settleDelivery(db: Db, delivery: WebhookDelivery, outcome: DeliveryOutcome): Promise<void> {
  await db
    .updateTable('webhook_delivery')
    .set({
      state: outcome.state,
      next_at: sql<Date>`clock_timestamp() + ${outcome.delayMs ?? 0} * interval '1 ms'`,
      last_status: outcome.status,
      last_error: outcome.error,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', delivery.id)
    .where('attempts', '=', delivery.attempts)
    .execute();
}

/** An attempt that was broken off did not happen. */
export async function releaseDelivery(db: Db, delivery: WebhookDelivery): Promise<void> {
  await db
    .updateTable('webhook_delivery')
    .set((eb) => ({ attempts: eb('attempts', '-', 1), next_at: sql<Date>`clock_timestamp()` }))
    .where('id', '=', delivery.id)
    .where('attempts', '=', delivery.attempts)
    .execute();
}

export interface DeliveryQuery {
  state?: WebhookDelivery['state'];
  limit: number;
}

/** Newest first. */
export async function listDeliveries(db: Db, webhookId: string, query: DeliveryQuery): Promise<WebhookDelivery[]> {
  return db
    .selectFrom('webhook_delivery')
    .selectAll()
    .where('webhook_id', '=', webhookId)
    .$if(query.state !== undefined, (q) => q.where('state', '=', query.state!))
    .orderBy('event_id', 'desc')
    .limit(query.limit)
    .execute();
}

/** Gives one that was given up all its attempts again; false when there is none of that id. */
export async function retryDelivery(db: Db, webhookId: string, id: string): Promise<WebhookDelivery | undefined> {
  return db
    .updateTable('webhook_delivery')
    .set({ state: 'waiting', attempts: 0, next_at: sql<Date>`clock_timestamp()`, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('webhook_id', '=', webhookId)
    .where('state', '=', 'failed')
    .returningAll()
    .executeTakeFirst();
}

/** Forgets deliveries that ended more than `days` ago; returns how many. */
export async function purgeDeliveries(db: Db, days: number): Promise<number> {
  const result = await db
    .deleteFrom('webhook_delivery')
    .where('state', '<>', 'waiting')
    .where('updated_at', '<', sql<Date>`now() - ${days} * interval '1 day'`)
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
