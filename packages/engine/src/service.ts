import { GodwitError } from '@godwit/domain';
import {
  type Db,
  ensureRegion,
  getService,
  heartbeatService,
  mappedRegions,
  mapRegions,
  registerWorker,
} from '@godwit/store';
import { sql } from 'kysely';
import type pg from 'pg';
import { LOCKS } from './contract.ts';
import { hostFacts } from './host-facts.ts';
import type { WorkerContext } from './worker-context.ts';

/** Name of the program in the service table. */
const BINARY = 'godwit-worker';
/** Workers on one host at most. */
const SLOTS = 64;
/** A worker that was killed and starts again finds its place held until the database has noticed: it asks this long. */
const PATIENCE_MS = 2_000;

/**
 * A worker's place on its host: 0 for the first, 1 for the next that runs beside it. The same place after a restart means
 * the same executor, which resumes its own work at once. Held by an advisory lock of one session.
 */
export interface Slot {
  readonly host: string;
  /** Undefined until it is held for the first time; then it never changes. */
  number: number | undefined;
}

/** Takes the first free place, or, after the session was lost, the same one again. `CONFLICT` when somebody else has it. */
export async function holdSlot(session: pg.Client, slot: Slot): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  const wanted = slot.number === undefined ? Array.from({ length: SLOTS }, (_, n) => n) : [slot.number];
  for (const number of wanted) {
    do {
      const { rows } = await session.query<{ held: boolean }>('select pg_try_advisory_lock($1, hashtext($2)) as held', [
        LOCKS.slot,
        `${slot.host}/${number}`,
      ]);
      if (rows[0]?.held === true) {
        slot.number = number;
        return;
      }
      await session.query('select pg_sleep(0.1)');
    } while (performance.now() < until);
  }
  throw new GodwitError('CONFLICT', `worker ${slot.host}`, { reason: 'its place is held by another process' });
}

const executorOf = (slot: Slot): string => `${slot.host}/${slot.number ?? 0}`;

export interface ServicePlace {
  id: string;
  host: string;
  executorId: string;
  regions: ReadonlySet<string>;
  /** False: takes no new work, and ends what it has begun. Known with each heartbeat. */
  enabled: boolean;
}

/** What a worker can do. */
export interface Offer {
  providers: string[];
  /** Instances replicated at once. */
  copies: number;
  /** Names of regions to be mapped to; absent: as the table says. */
  regions?: string[];
  /** Of Godwit. */
  version?: string;
}

/** Enters this worker in the service table and maps it to its regions. */
export async function register(db: Db, slot: Slot, offer: Offer): Promise<ServicePlace> {
  const { copies, providers, regions, version } = offer;
  const executorId = executorOf(slot);
  const row = await registerWorker(db, {
    host: slot.host,
    binary: BINARY,
    topic: `godwit_worker.${slot.number ?? 0}`,
    executorId,
    providers: Object.fromEntries(providers.map((name) => [name, { types: [] }])),
    specs: { ...hostFacts(BINARY, version), copies },
  });
  if (regions !== undefined) {
    const ids: string[] = [];
    for (const name of regions) ids.push((await ensureRegion(db, name)).id);
    await mapRegions(db, 'service', row.id, ids);
  }
  const mapped = (await mappedRegions(db, 'service', [row.id])).get(row.id) ?? [];
  return { id: row.id, host: slot.host, executorId, regions: new Set(mapped), enabled: row.enabled };
}

/** The heartbeat of the worker. A row that was deleted is entered anew. */
export async function beat({ db, service }: WorkerContext, slot: Slot, offer: Offer): Promise<void> {
  if (await heartbeatService(db, service.id)) return;
  const again = await register(db, slot, offer);
  Object.assign(service, { id: again.id, regions: again.regions, enabled: again.enabled });
}

/**
 * After a heartbeat: the row is read, and the tasks that run here are marked. Apart from the heartbeat, for their rows may be
 * locked.
 */
export async function readService({ db, runs, service }: WorkerContext): Promise<void> {
  const mapped = (await mappedRegions(db, 'service', [service.id])).get(service.id) ?? [];
  service.regions = new Set(mapped);
  service.enabled = (await getService(db, service.id))?.enabled ?? true;
  const ids = runs.taskIds;
  if (ids.length === 0) return;
  await db
    .updateTable('task')
    .set({ heartbeat_at: sql<Date>`clock_timestamp()` })
    .where('id', 'in', ids)
    .where('process_id', '=', process.pid)
    .execute();
}
