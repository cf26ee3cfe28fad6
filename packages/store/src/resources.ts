import { randomUUID } from 'node:crypto';
import type { JsonObject, ResourceKind } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { ofProject, type Page, readPage } from './listing.ts';
import { type Resource, toJson } from './tables.ts';
import type { Scope } from './transfers.ts';

export interface SeenResource {
  externalId: string;
  name: string;
  data: JsonObject;
}

/**
 * Brings the inventory of one kind of one endpoint up to what was just seen: new ones are entered, known ones follow (and
 * keep their Migrated flag), vanished ones are marked deleted.
 */
export async function syncResources(
  db: Db,
  owner: { projectId: string; endpointId: string },
  kind: ResourceKind,
  seen: SeenResource[],
): Promise<void> {
  const list = toJson(seen.map((s) => ({ id: randomUUID(), external_id: s.externalId, name: s.name, data: s.data })));
  await sql`
    with seen as (select * from jsonb_to_recordset(${list}::jsonb) as s(id text, external_id text, name text, data jsonb)),
    gone as (
      update resource set deleted_at = now()
      where endpoint_id = ${owner.endpointId} and kind = ${kind} and deleted_at is null
        and external_id not in (select external_id from seen))
    insert into resource (id, project_id, endpoint_id, kind, external_id, name, data)
    select id, ${owner.projectId}, ${owner.endpointId}, ${kind}, external_id, name, data from seen
    where exists (select from endpoint where id = ${owner.endpointId} and deleted_at is null)
    on conflict (endpoint_id, kind, external_id) do update
      set name = excluded.name, data = excluded.data, updated_at = now(), deleted_at = null
      where resource.name <> excluded.name or resource.data <> excluded.data or resource.deleted_at is not null`.execute(
    db,
  );
}

/** Sets the Migrated flag; enters the resource when discovery has not seen it yet. */
export async function markMigrated(
  db: Db,
  owner: { projectId: string; endpointId: string },
  kind: ResourceKind,
  resource: SeenResource,
  migrated = true,
): Promise<void> {
  await db
    .insertInto('resource')
    .values({
      id: randomUUID(),
      project_id: owner.projectId,
      endpoint_id: owner.endpointId,
      kind,
      external_id: resource.externalId,
      name: resource.name,
      data: toJson(resource.data),
      migrated,
    })
    .onConflict((oc) =>
      oc.columns(['endpoint_id', 'kind', 'external_id']).doUpdateSet({ migrated, updated_at: sql<Date>`now()` }),
    )
    .execute();
}

export interface ResourceQuery extends Page {
  endpointId?: string;
  kind?: ResourceKind;
  migrated?: boolean;
  /** Case-insensitive part of the name. */
  name?: string;
}

export async function listResources(db: Db, scope: Scope, query: ResourceQuery = {}): Promise<Resource[]> {
  const sort = { name: 'plain', kind: 'plain', migrated: 'plain', external_id: 'plain', updated_at: 'time' } as const;
  return readPage(db, 'resource', sort, query, ofProject(scope), (after, order) =>
    db
      .selectFrom('resource')
      .selectAll()
      .where(after)
      .where('deleted_at', 'is', null)
      .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
      .$if(query.endpointId !== undefined, (q) => q.where('endpoint_id', '=', query.endpointId!))
      .$if(query.kind !== undefined, (q) => q.where('kind', '=', query.kind!))
      .$if(query.migrated !== undefined, (q) => q.where('migrated', '=', query.migrated!))
      .$if(query.name !== undefined, (q) =>
        q.where(sql<boolean>`strpos(lower(name), ${query.name!.toLowerCase()}) > 0`),
      )
      .orderBy(order)
      .$if(query.limit !== undefined, (q) => q.limit(query.limit!))
      .execute(),
  );
}

export async function getResource(db: Db, id: string, scope?: Scope): Promise<Resource | undefined> {
  return db
    .selectFrom('resource')
    .selectAll()
    .where('id', '=', id)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
}
