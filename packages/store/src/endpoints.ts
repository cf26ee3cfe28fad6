import { randomUUID } from 'node:crypto';
import { GodwitError, type JsonObject } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { type Life, lifeEvents } from './events.ts';
import { mappedRegions, mapRegions } from './regions.ts';
import { joinedVersions, readVersion, versionText } from './row-version.ts';
import type { SecretBox } from './secrets.ts';
import { type Endpoint, toJson } from './tables.ts';
import { inTransaction } from './transaction.ts';
import type { Scope } from './transfers.ts';

export interface NewEndpoint {
  projectId: string;
  userId: string;
  name: string;
  /** Name of the provider. */
  type: string;
  description?: string | null;
  /** Whole, with secrets: sealed before it is stored. */
  connectionInfo: JsonObject;
  /** The part of it without secrets: stored in clear, for lists. */
  publicInfo: JsonObject;
  mappedRegions?: string[];
}

export interface EndpointChange {
  name?: string;
  description?: string | null;
  connectionInfo?: JsonObject;
  publicInfo?: JsonObject;
  mappedRegions?: string[];
}

/** An endpoint as lists show it: without the sealed bytes. */
export type PublicEndpoint = Omit<Endpoint, 'connection_secret'> & { mapped_regions: string[] };

const place = (id: string) => ({ table: 'endpoint', id }) as const;

export async function insertEndpoint(db: Db, secrets: SecretBox, endpoint: NewEndpoint): Promise<PublicEndpoint> {
  const id = randomUUID();
  return inTransaction(db, async (trx) => {
    await trx
      .insertInto('endpoint')
      .values({
        id,
        project_id: endpoint.projectId,
        user_id: endpoint.userId,
        name: endpoint.name,
        type: endpoint.type,
        description: endpoint.description ?? null,
        connection_info: toJson(endpoint.publicInfo),
        connection_secret: secrets.seal(place(id), endpoint.connectionInfo),
      })
      .execute();
    if (endpoint.mappedRegions !== undefined) await mapRegions(trx, 'endpoint', id, endpoint.mappedRegions);
    const row = (await getEndpoint(trx, id))!;
    await sayEndpoint(trx, 'created', row);
    return row;
  });
}

const sayEndpoint = lifeEvents('endpoint', ({ name, type }: Life & Pick<Endpoint, 'name' | 'type'>) => ({
  name,
  type,
}));

/** All columns but the sealed bytes. */
const PUBLIC = [
  'id',
  'project_id',
  'user_id',
  'name',
  'type',
  'description',
  'connection_info',
  'created_at',
  'updated_at',
  'deleted_at',
] as const;

/** Living endpoints, oldest first. */
export async function listEndpoints(db: Db, scope: Scope): Promise<PublicEndpoint[]> {
  const rows = await db
    .selectFrom('endpoint')
    .select(PUBLIC)
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  const regions = await mappedRegions(
    db,
    'endpoint',
    rows.map((row) => row.id),
  );
  return rows.map((row) => ({ ...row, mapped_regions: regions.get(row.id) ?? [] }));
}

/** Which versions of which rows `listEndpoints` would read just now; undefined when there are none. */
export async function endpointsVersion(db: Db, scope: Scope): Promise<string | undefined> {
  const regions = sql`(select string_agg(region_id || xmin || ctid, ',') from region_mapping
    where object_type = ${'endpoint'} and object_id = endpoint.id)`;
  const endpoints = db
    .selectFrom('endpoint')
    .select(sql`concat_ws(',', ${versionText('endpoint')}, ${regions})`.as('version'))
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!));
  return readVersion(db, sql`select ${joinedVersions} from ${endpoints.as('endpoints')}`);
}

export async function getEndpoint(db: Db, id: string, scope?: Scope): Promise<PublicEndpoint | undefined> {
  const row = await db
    .selectFrom('endpoint')
    .select(PUBLIC)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { ...row, mapped_regions: (await mappedRegions(db, 'endpoint', [id])).get(id) ?? [] };
}

/**
 * Keeps endpoints from being deleted until the end of the transaction: for what is about to name them.
 *
 * @throws GodwitError NOT_FOUND for one that does not live
 */
export async function holdEndpoints(trx: Db, ids: readonly string[]): Promise<void> {
  const rows = await trx
    .selectFrom('endpoint')
    .select('id')
    .where('id', 'in', ids)
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .forShare()
    .execute();
  const missing = ids.find((id) => !rows.some((row) => row.id === id));
  if (missing !== undefined) throw new GodwitError('NOT_FOUND', `Endpoint with ID '${missing}'`);
}

/**
 * The whole connection_info, opened: for the call of a provider only. Also of a deleted endpoint, whose leftovers the
 * reaper may still have to remove.
 *
 * @throws GodwitError NOT_FOUND, SECRET_KEY_MISSING, SECRET_CORRUPT
 */
export async function openConnectionInfo(db: Db, secrets: SecretBox, id: string): Promise<JsonObject> {
  const row = await db.selectFrom('endpoint').select('connection_secret').where('id', '=', id).executeTakeFirst();
  if (row === undefined || row.connection_secret === null) {
    throw new GodwitError('NOT_FOUND', `Endpoint with ID '${id}'`);
  }
  const info = secrets.open(place(id), row.connection_secret) as JsonObject;
  const reference = secretReference(info);
  return reference === undefined ? info : secrets.external(reference);
}

/** The reference of a connection_info that lies with a key manager: `{"secret_ref": URL}` and nothing else. */
export function secretReference(info: JsonObject): string | undefined {
  const { secret_ref: reference } = info;
  return typeof reference === 'string' && Object.keys(info).length === 1 ? reference : undefined;
}

export async function updateEndpoint(
  db: Db,
  secrets: SecretBox,
  id: string,
  change: EndpointChange,
): Promise<PublicEndpoint | undefined> {
  return inTransaction(db, async (trx) => {
    const result = await trx
      .updateTable('endpoint')
      .set({
        updated_at: sql<Date>`now()`,
        ...(change.name !== undefined && { name: change.name }),
        ...(change.description !== undefined && { description: change.description }),
        ...(change.publicInfo !== undefined && { connection_info: toJson(change.publicInfo) }),
        ...(change.connectionInfo !== undefined && {
          connection_secret: secrets.seal(place(id), change.connectionInfo),
        }),
      })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return undefined;
    if (change.mappedRegions !== undefined) await mapRegions(trx, 'endpoint', id, change.mappedRegions);
    const row = (await getEndpoint(trx, id))!;
    await sayEndpoint(trx, 'updated', row);
    return row;
  });
}

/** Living transfers that name the endpoint: while there are any it must stay. */
export async function transfersOfEndpoint(db: Db, id: string): Promise<number> {
  const row = await db
    .selectFrom('transfer')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where('deleted_at', 'is', null)
    .where((eb) => eb.or([eb('origin_endpoint_id', '=', id), eb('destination_endpoint_id', '=', id)]))
    .executeTakeFirstOrThrow();
  return row.n;
}

/**
 * Marks it deleted; false when it does not exist.
 *
 * @throws GodwitError ENDPOINT_IN_USE `N transfers would be orphaned!`, ENDPOINT_HAS_POOLS likewise: nobody could remove
 *   their machines without its connection
 */
export async function deleteEndpoint(db: Db, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const row = await trx
      .selectFrom('endpoint')
      .select(['id', 'project_id', 'name', 'type'])
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined) return false;
    const orphans = await transfersOfEndpoint(trx, id);
    if (orphans > 0) {
      throw new GodwitError('ENDPOINT_IN_USE', `endpoint ${id}`, { count: orphans });
    }
    const pools = await trx
      .selectFrom('minion_pool')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .where('endpoint_id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirstOrThrow();
    if (pools.n > 0) throw new GodwitError('ENDPOINT_HAS_POOLS', `endpoint ${id}`, { count: pools.n });
    await trx.updateTable('endpoint').set({ deleted_at: sql<Date>`now()` }).where('id', '=', id).execute();
    await trx.deleteFrom('region_mapping').where('object_type', '=', 'endpoint').where('object_id', '=', id).execute();
    await trx
      .updateTable('resource')
      .set({ deleted_at: sql<Date>`now()` })
      .where('endpoint_id', '=', id)
      .where('deleted_at', 'is', null)
      .execute();
    await sayEndpoint(trx, 'deleted', row);
    return true;
  });
}
