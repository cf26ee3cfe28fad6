import { HEARTBEAT_LIMIT_MS } from '@godwit/store';
import { sql } from 'kysely';
import { APPLICATION, DEFAULT_REGION, regionQueue } from './contract.ts';
import { lookAway } from './listening.ts';
import type { WorkerContext } from './worker-context.ts';

/** Times that one piece of work is left to others before it is done here: they may be slower to come than they seem. */
const PATIENCE = 10;
/** Milliseconds for which this worker does not look at a queue that it left something in. */
const AWAY_MS = 500;

/** How many heavy tasks a worker has, and how many it may have. */
export interface Load {
  executor: string;
  tasks: number;
  most: number;
}

/** True when one of the others would have less to do with one more than this worker has now. */
export function isLighterElsewhere(mine: number, others: readonly Load[]): boolean {
  return others.some(({ most, tasks }) => tasks < most && tasks + 1 < mine);
}

/**
 * Spreads heavy tasks: queues give to whoever asks first, and as much as it can take. A worker that got one while another,
 * fitting worker has less to do leaves it there for that one.
 */
export class Balance {
  readonly #worker: WorkerContext;
  readonly #left = new Map<string, number>();
  /** One decision after the other: several tasks that came together must not all go. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(worker: WorkerContext) {
    this.#worker = worker;
  }

  /** True when the workflow went back to its queue. */
  leave(workflowId: string): Promise<boolean> {
    const decision = this.#last.then(() => this.#decide(workflowId));
    this.#last = decision.catch(() => undefined);
    return decision;
  }

  async #decide(workflowId: string): Promise<boolean> {
    const { durable, service } = this.#worker;
    const times = this.#left.get(workflowId) ?? 0;
    this.#left.delete(workflowId);
    if (service.enabled && (times >= PATIENCE || (await this.#isAlone()))) return false;
    const query = { workflowIDs: [workflowId], loadInput: false, loadOutput: false };
    const queue = (await durable.listWorkflows(query))[0]?.queueName;
    if (queue === undefined) return false;
    if (service.enabled) {
      const loads = await this.#loads(queue);
      const mine = loads.find((load) => load.executor === service.executorId)?.tasks ?? 0;
      const others = loads.filter((load) => load.executor !== service.executorId);
      if (!isLighterElsewhere(mine, others)) return false;
      this.#left.set(workflowId, times + 1);
    }
    lookAway(queue, AWAY_MS);
    await durable.resumeWorkflows([workflowId], { queueName: queue });
    return true;
  }

  /** True when no other worker takes anything: the most common case, in which nothing else needs to be asked. */
  async #isAlone(): Promise<boolean> {
    const { db, service } = this.#worker;
    const { rows } = await sql`
      select from service where deleted_at is null and enabled and executor_id <> ${service.executorId}
        and heartbeat_at > clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 ms' limit 1`.execute(db);
    return rows.length === 0;
  }

  /** Of the workers that take from this queue now. */
  async #loads(queue: string): Promise<Load[]> {
    const { db, durable } = this.#worker;
    const { rows } = await sql<{ executor: string; most: number }>`
      select executor_id as executor, coalesce((specs ->> 'copies')::integer, 1) as most from service
      where deleted_at is null and enabled and executor_id is not null
        and heartbeat_at > clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 ms'
        and (${queue} = ${regionQueue(DEFAULT_REGION)} or exists (
          select from region_mapping where object_type = 'service' and object_id = service.id
            and ${regionQueue('')} || region_id = ${queue}))`.execute(db);
    if (rows.length < 2) return [];
    const running = await durable.listWorkflows({
      status: 'PENDING',
      applicationName: APPLICATION,
      loadInput: false,
      loadOutput: false,
    });
    const tasks = Map.groupBy(
      running.filter((workflow) => workflow.queueName?.startsWith(regionQueue(''))),
      (workflow) => workflow.executorId,
    );
    return rows.map(({ executor, most }) => ({ executor, most, tasks: tasks.get(executor)?.length ?? 0 }));
  }
}
