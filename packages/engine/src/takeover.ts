import { HEARTBEAT_LIMIT_MS } from '@godwit/store';
import { sql } from 'kysely';
import { APPLICATION, LOCKS } from './contract.ts';
import type { WorkerContext } from './worker-context.ts';

/** Milliseconds between looks. */
export const TAKEOVER_EVERY_MS = 2_500;
/** A heartbeat comes every 5 s: one that stands still this long while this worker looks on has stopped. */
const STANDS_STILL_MS = 7_000;

/** A heartbeat as it was first seen. */
interface Sighting {
  heartbeat: string | null;
  /** By the looking worker's own monotonic clock. */
  since: number;
}

/**
 * Gives the workflows of dead workers back to their queues, where any living worker finds them. One worker at a time does
 * it.
 *
 * A worker is dead when its heartbeat is older than 30 s (by its own clock it has stopped touching disks at 20 s) and did
 * not move while this one looked on. The second condition is for clocks that jump: after a machine has slept, every
 * heartbeat is old, and all who sent them live.
 */
export class Takeover {
  readonly #worker: WorkerContext;
  readonly #standsStillMs: number;
  #sightings = new Map<string, Sighting>();

  constructor(worker: WorkerContext, standsStillMs = STANDS_STILL_MS) {
    this.#worker = worker;
    this.#standsStillMs = standsStillMs;
  }

  /** Looks once. Returns how many workflows went back; queue and partition are kept, so that regions and limits hold for the successor too. */
  async look(): Promise<number> {
    const worker = this.#worker;
    const living = await this.#living();
    return worker.db.transaction().execute(async (trx) => {
      const lock = await sql<{ held: boolean }>`select pg_try_advisory_xact_lock(${LOCKS.takeover}) as held`.execute(
        trx,
      );
      if (lock.rows[0]?.held !== true) return 0;
      const pending = await worker.durable.listWorkflows({
        status: 'PENDING',
        applicationName: APPLICATION,
        loadInput: false,
        loadOutput: false,
      });
      const orphaned = pending.filter((workflow) => !living.has(workflow.executorId ?? ''));
      for (const [queueName, group] of Map.groupBy(orphaned, (workflow) => workflow.queueName)) {
        await worker.durable.resumeWorkflows(
          group.map((workflow) => workflow.workflowID),
          queueName === undefined ? {} : { queueName },
        );
      }
      if (orphaned.length > 0) worker.log.warn({ workflows: orphaned.length }, 'took over the work of dead workers');
      return orphaned.length;
    });
  }

  /** Executors that are not known to be dead; this one certainly is not. */
  async #living(): Promise<Set<string>> {
    const { db, service } = this.#worker;
    const rows = await db
      .selectFrom('service')
      .select([
        'id',
        'executor_id',
        sql<string | null>`heartbeat_at::text`.as('heartbeat'),
        sql<boolean>`heartbeat_at > clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 ms'`.as('young'),
        // So signs off who goes in good order.
        sql<boolean>`heartbeat_at = 'epoch'`.as('gone'),
      ])
      // Deleted rows too: whoever was deleted by hand lives, and enters itself anew with its next heartbeat.
      .where('executor_id', 'is not', null)
      .execute();
    const now = performance.now();
    const sightings = new Map<string, Sighting>();
    const living = new Set<string>([service.executorId]);
    for (const { id, executor_id: executor, gone, heartbeat, young } of rows) {
      const before = this.#sightings.get(id);
      const sighting = before?.heartbeat === heartbeat ? before : { heartbeat, since: now };
      sightings.set(id, sighting);
      const moves = young || now - sighting.since < this.#standsStillMs;
      if (executor !== null && !gone && moves) living.add(executor);
    }
    this.#sightings = sightings;
    return living;
  }
}
