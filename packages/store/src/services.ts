import { randomUUID } from 'node:crypto';
import type { JsonObject, ServiceStatus } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { mappedRegions } from './regions.ts';
import { type Service, toJson } from './tables.ts';
import { inTransaction } from './transaction.ts';

/** A worker is UP while its last heartbeat is younger than this. */
export const HEARTBEAT_LIMIT_MS = 30_000;

export type ServiceWithStatus = Service & { status: ServiceStatus; mapped_regions: string[] };

/** UP, DOWN, or UNKNOWN for a service that never reported. `now` is the database's clock where it matters. */
export function serviceStatus(service: Service, now: Date): ServiceStatus {
  if (service.heartbeat_at === null) return 'UNKNOWN';
  return now.getTime() - service.heartbeat_at.getTime() < HEARTBEAT_LIMIT_MS ? 'UP' : 'DOWN';
}

export interface WorkerRegistration {
  host: string;
  binary: string;
  topic: string;
  executorId: string;
  providers: JsonObject;
  specs: JsonObject;
}

/** Enters a worker or finds its living row again (by host, binary and topic), and counts as a heartbeat. */
export async function registerWorker(db: Db, worker: WorkerRegistration): Promise<Service> {
  return db
    .insertInto('service')
    .values({
      id: randomUUID(),
      host: worker.host,
      binary: worker.binary,
      topic: worker.topic,
      executor_id: worker.executorId,
      providers: toJson(worker.providers),
      specs: toJson(worker.specs),
      heartbeat_at: sql<Date>`clock_timestamp()`,
    })
    .onConflict((oc) =>
      oc
        .columns(['host', 'binary', 'topic'])
        .where('deleted_at', 'is', null)
        .doUpdateSet((eb) => ({
          executor_id: eb.ref('excluded.executor_id'),
          providers: eb.ref('excluded.providers'),
          specs: eb.ref('excluded.specs'),
          heartbeat_at: eb.ref('excluded.heartbeat_at'),
          updated_at: sql<Date>`now()`,
        })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** False when the row is gone: the worker registers anew. */
export async function heartbeatService(db: Db, id: string): Promise<boolean> {
  const result = await db
    .updateTable('service')
    .set({ heartbeat_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** A worker that goes in good order is DOWN at once. */
export async function signOffService(db: Db, id: string): Promise<void> {
  await db.updateTable('service').set({ heartbeat_at: sql<Date>`'epoch'` }).where('id', '=', id).execute();
}

export interface NewService {
  host: string;
  binary: string;
  topic: string;
  enabled?: boolean;
}

export async function insertService(db: Db, service: NewService): Promise<Service> {
  return db
    .insertInto('service')
    .values({ id: randomUUID(), ...service })
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function withStatus(db: Db, services: Service[]): Promise<ServiceWithStatus[]> {
  const [regions, clock] = await Promise.all([
    mappedRegions(
      db,
      'service',
      services.map((service) => service.id),
    ),
    sql<{ now: Date }>`select clock_timestamp() as now`.execute(db),
  ]);
  const now = clock.rows[0]!.now;
  return services.map((service) => ({
    ...service,
    status: serviceStatus(service, now),
    mapped_regions: regions.get(service.id) ?? [],
  }));
}

export async function listServices(db: Db): Promise<ServiceWithStatus[]> {
  const rows = await db
    .selectFrom('service')
    .selectAll()
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return withStatus(db, rows);
}

export async function getService(db: Db, id: string): Promise<ServiceWithStatus | undefined> {
  const rows = await db
    .selectFrom('service')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .execute();
  return (await withStatus(db, rows))[0];
}

export async function updateService(db: Db, id: string, change: { enabled?: boolean }): Promise<Service | undefined> {
  return db
    .updateTable('service')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/**
 * Marks it deleted and unmaps it, both or neither. `up`: its worker lives, and nothing was done; `absent`: it was deleted
 * already or never was. One statement judges and deletes: a worker that comes back meanwhile keeps its row.
 */
export async function deleteService(db: Db, id: string): Promise<'deleted' | 'up' | 'absent'> {
  return inTransaction(db, async (trx) => {
    const result = await trx
      .updateTable('service')
      .set({ deleted_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .where((eb) =>
        eb.or([
          eb('heartbeat_at', 'is', null),
          eb('heartbeat_at', '<=', sql<Date>`clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 millisecond'`),
        ]),
      )
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return (await getService(trx, id)) === undefined ? 'absent' : 'up';
    await trx.deleteFrom('region_mapping').where('object_type', '=', 'service').where('object_id', '=', id).execute();
    return 'deleted';
  });
}
